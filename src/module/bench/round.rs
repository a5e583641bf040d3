//! One round: a flow that carries so many bytes, and how long that took.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use srv6pipes_vnf::abi::MAX_WINDOW;

use crate::module::alarm::Alarm;
use crate::module::bench::Error;
use crate::module::broke::What;
use crate::module::desk::{Desk, ROOM};
use crate::module::feed::{BOTH, Fault, Feed, Over};
use crate::module::samples;
use crate::module::stopwatch::{Lap, Stopwatch};
use crate::module::watched::{self, Spawned, spawn};
use crate::vnf::{Broken, Direction, FlowInfo, Function, Progress, Transform};

/// How long a function may wait for nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a round took.
#[derive(Debug, Default)]
pub struct Round {
    /// Bytes that went in at the beginning of the chain.
    bytes: usize,
    /// Time within the calls of the function.
    pub spent: Duration,
    /// The same, and the time that was waited for calls.
    pub clock: Duration,
    /// Why there is nothing to measure.
    pub note: Option<String>,
}

impl Round {
    /// Millions of bytes per second of calls.
    pub fn speed(&self) -> f64 {
        self.bytes as f64 / self.spent.as_secs_f64().max(1e-9) / 1e6
    }

    /// Millions of bytes per second, waiting included.
    pub fn by_clock(&self) -> f64 {
        self.bytes as f64 / self.clock.as_secs_f64().max(1e-9) / 1e6
    }
}

/// What flows are made of.
#[derive(Debug)]
pub struct Bench {
    /// The function and the argument of its flows.
    function: (Arc<Function>, u32),
    /// The same of its inverse.
    inverse: Option<(Arc<Function>, u32)>,
    /// It is the one nearer to the client.
    inverse_first: bool,
    alarm: Arc<Alarm>,
    desk: Desk,
    /// How long flows have waited so far.
    waited: Duration,
}

impl Bench {
    /// With the inverse nearer to the client, if there is one.
    pub fn new(
        function: (Arc<Function>, u32),
        inverse: Option<(Arc<Function>, u32)>,
    ) -> Result<Self, Error> {
        Ok(Self {
            function,
            inverse,
            inverse_first: true,
            alarm: Alarm::new()?,
            desk: Desk::plain(),
            waited: Duration::ZERO,
        })
    }

    /// Puts the inverse where a stream comes through; whether there is such a place.
    pub fn arrange(&mut self) -> Result<bool, Error> {
        if self.inverse.is_none() {
            return Ok(true);
        }
        // In the wrong order the function may complain, which is no news.
        let level = log::max_level();
        log::set_max_level(log::LevelFilter::Off);
        let arranged = self.find_order();
        log::set_max_level(level);
        arranged
    }

    fn find_order(&mut self) -> Result<bool, Error> {
        for first in [true, false] {
            self.inverse_first = first;
            let (mut feed, _) = self.flow()?;
            let streams = BOTH.map(|direction| samples::small(None, direction));
            for (direction, bytes) in BOTH.into_iter().zip(&streams) {
                feed.arrive(direction, bytes);
                feed.end(direction);
            }
            let went = self.carry(&mut feed, true);
            let out = BOTH.map(|direction| feed.take(direction));
            if went.is_ok() && out == streams {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A flow, and which of its places is the function's.
    fn flow(&self) -> Result<(Feed, usize), Error> {
        let flow = watched::flow(self.function.1);
        let spawn = |(function, argument): &(Arc<Function>, u32)| {
            let argument = *argument;
            let spawned = spawn(function, FlowInfo { argument, ..flow }, &self.alarm);
            spawned.map(|spawned| (spawned, ROOM)).map_err(Error::Broke)
        };
        let ours = spawn(&self.function)?;
        Ok(match &self.inverse {
            None => (Feed::new([ours]), 0),
            Some(inverse) if self.inverse_first => (Feed::new([spawn(inverse)?, ours]), 1),
            Some(inverse) => (Feed::new([ours, spawn(inverse)?]), 0),
        })
    }

    /// The function.
    pub fn round(
        &mut self,
        direction: Direction,
        stream: &[u8],
        length: usize,
    ) -> Result<Round, Error> {
        let (feed, place) = self.flow()?;
        self.timed(feed, place, direction, stream, length)
    }

    /// A function that copies.
    pub fn copy(
        &mut self,
        direction: Direction,
        stream: &[u8],
        length: usize,
    ) -> Result<Round, Error> {
        let spawned: Spawned = (Box::new(Copy), 0);
        let feed = Feed::new([(spawned, ROOM)]);
        self.timed(feed, 0, direction, stream, length)
    }

    fn timed(
        &mut self,
        feed: Feed,
        place: usize,
        direction: Direction,
        stream: &[u8],
        length: usize,
    ) -> Result<Round, Error> {
        let mut feed = feed.timed();
        let waited = self.waited;
        let mut round = Round::default();
        let mut windows = stream.chunks(MAX_WINDOW).cycle();
        while round.bytes < length {
            let Some(window) = windows.next() else {
                break;
            };
            round.bytes += window.len();
            feed.arrive(direction, window);
            match self.carry(&mut feed, false) {
                Ok(()) => {}
                Err(Error::Over(over)) => {
                    let read = round.bytes;
                    round.note = Some(format!("ended the flow ({over}) within {read} bytes"));
                    return Ok(round);
                }
                Err(error) => return Err(error),
            }
            feed.drop_output();
            if feed.passes(place, direction) {
                let read = round.bytes;
                round.note = Some(format!(
                    "passes within {read} bytes: the kernel moves the rest"
                ));
                return Ok(round);
            }
            if feed.finished(direction) {
                let read = round.bytes;
                round.note = Some(format!("ended the stream within {read} bytes"));
                return Ok(round);
            }
        }
        feed.end(direction);
        self.carry(&mut feed, true)?;
        round.spent = feed.spent(place);
        round.clock = round.spent + (self.waited - waited);
        Ok(round)
    }

    /// Makes all calls, waiting where the functions want to, until more may come in or, at the end,
    /// until nothing waits.
    fn carry(&mut self, feed: &mut Feed, end: bool) -> Result<(), Error> {
        let mut late = Instant::now() + PATIENCE;
        loop {
            match feed.step(&mut self.desk) {
                Ok(true) => {
                    late = Instant::now() + PATIENCE;
                    continue;
                }
                Ok(false) => {}
                Err(Fault::Memory(error)) => return Err(Error::Ours(error)),
                Err(Fault::Broken(_, broken)) => return Err(Error::Broke(What::Answer(broken))),
            }
            match feed.over() {
                None | Some((_, Over::Closed)) => {}
                Some((_, over)) => return Err(Error::Over(over)),
            }
            let Some(due) = feed.due() else {
                return Ok(());
            };
            if !end && BOTH.iter().all(|&direction| feed.wants(direction)) {
                return Ok(());
            }
            if Instant::now() > late {
                return Err(Error::Broke(What::Waits(PATIENCE)));
            }
            let until = due.map_or(late, |due| due.min(late));
            let began = Instant::now();
            self.alarm.wait(Some(until), None)?;
            self.waited += began.elapsed();
            feed.wake(|id| self.alarm.rang(id));
            feed.tick(Instant::now());
        }
    }
}

/// The windows of the stream, copied one by one.
pub fn memcpy(stream: &[u8], length: usize) -> Round {
    let mut round = Round::default();
    let mut watch = Stopwatch::default();
    let mut to = vec![0; MAX_WINDOW];
    // As in a lane: what is copied has just been written by our own core.
    let mut from = vec![0; MAX_WINDOW];
    for window in stream.chunks(MAX_WINDOW).cycle() {
        from[..window.len()].copy_from_slice(window);
        let n = window.len();
        let copy = || black_box(&mut to)[..n].copy_from_slice(&black_box(&from)[..n]);
        watch.add(Lap::of(copy).1, n);
        round.bytes += n;
        if round.bytes >= length {
            break;
        }
    }
    round.spent = watch.total();
    round.clock = round.spent;
    round
}

/// What `func_process` costs that does the least it can do with bytes.
#[derive(Debug)]
struct Copy;

impl Transform for Copy {
    fn process(
        &mut self,
        _direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Broken> {
        let n = input.len().min(output.len());
        output[..n].copy_from_slice(&input[..n]);
        Ok(if end && n == input.len() {
            Progress::finished(n, n)
        } else {
            Progress::more(n, n)
        })
    }
}
