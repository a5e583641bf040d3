//! One flow through one function or two, driven as the daemon's pipe drives it, without sockets:
//! windows, room, the end, input that is offered again, waiting.
//!
//! ```text
//!  arrive ─▶ lane ─function─▶ lane ─function─▶ output     upstream; downstream the other way round
//! ```
//!
//! Read the header at `func_process` first; `proxy/pipe.rs` is the real one.

mod lane;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use srv6pipes_vnf::abi::{MAX_WINDOW, MIN_ROOM};

use crate::module::desk::{Desk, ROOM};
use crate::module::feed::lane::{Lane, State};
use crate::module::stopwatch::{Lap, Stopwatch};
use crate::module::watched::Spawned;
use crate::vnf::{Broken, Direction, Transform, Verdict};

/// Both of them, in the order of their numbers in the ABI.
pub const BOTH: [Direction; 2] = [Direction::Upstream, Direction::Downstream];

/// A direction as a word.
pub fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Upstream => "upstream",
        Direction::Downstream => "downstream",
    }
}

/// The place of a direction in an array of two.
pub fn index(direction: Direction) -> usize {
    match direction {
        Direction::Upstream => 0,
        Direction::Downstream => 1,
    }
}

/// How a function ended its flow, as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// `CLOSE`
    Closed,
    /// `RESET`
    Reset,
    /// `ERROR`
    Failed,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "CLOSE",
            Self::Reset => "RESET",
            Self::Failed => "ERROR",
        })
    }
}

/// What a flow cannot go on after.
#[derive(Debug)]
pub enum Fault {
    /// The function at this place, counted from the client, broke a promise that the host checks.
    Broken(usize, Broken),
    /// The buffers could not be had.
    Memory(io::Error),
}

/// A function of the flow.
#[derive(Debug)]
struct Place {
    transform: Box<dyn Transform>,
    /// By which it is woken.
    id: u64,
    /// Bytes of room each call has; after a call that did nothing, the next has [`MIN_ROOM`].
    room: usize,
    /// What its calls took.
    spent: Stopwatch,
}

/// The flow. Dropping it is `func_despawn`.
#[derive(Debug)]
pub struct Feed {
    /// From the client to the server.
    places: Vec<Place>,
    /// By direction, and then in the order of travel.
    lanes: [Vec<Lane>; 2],
    output: [Vec<u8>; 2],
    ended: [bool; 2],
    over: Option<(usize, Over)>,
    /// Whether calls are timed, which takes longer than a call for a byte.
    timed: bool,
    /// Bytes that came in at both beginnings, that went out at both ends, and that functions have
    /// consumed and produced.
    arrived: usize,
    given: usize,
    moved: usize,
    /// What a call produced, on its way; kept for its memory only.
    produced: Vec<u8>,
}

impl Feed {
    /// A flow through functions in the order from the client, each with so much room per call.
    pub fn new(functions: impl IntoIterator<Item = (Spawned, usize)>) -> Self {
        let places: Vec<Place> = functions
            .into_iter()
            .map(|((transform, id), room)| Place {
                transform,
                id,
                room: room.clamp(1, ROOM),
                spent: Stopwatch::default(),
            })
            .collect();
        let lane = |place: &Place| Lane::new(place.transform.speaks_first());
        Self {
            lanes: [
                places.iter().map(lane).collect(),
                places.iter().rev().map(lane).collect(),
            ],
            places,
            output: Default::default(),
            ended: [false; 2],
            over: None,
            timed: false,
            arrived: 0,
            given: 0,
            moved: 0,
            produced: Vec::new(),
        }
    }

    /// The same flow, with an eye on the clock.
    pub fn timed(mut self) -> Self {
        self.timed = true;
        self
    }

    /// Bytes come in at the beginning of a direction.
    pub fn arrive(&mut self, direction: Direction, bytes: &[u8]) {
        self.arrived += bytes.len();
        self.lanes[index(direction)][0].put(bytes);
    }

    /// Nothing more will.
    pub fn end(&mut self, direction: Direction) {
        self.lanes[index(direction)][0].end();
    }

    /// Whether more may come in without piling up.
    pub fn wants(&self, direction: Direction) -> bool {
        let lane = &self.lanes[index(direction)][0];
        !lane.ended() && lane.waiting() < MAX_WINDOW
    }

    /// What came out at the end of a direction since this was last asked.
    pub fn take(&mut self, direction: Direction) -> Vec<u8> {
        std::mem::take(&mut self.output[index(direction)])
    }

    /// The same, for who does not want to see it.
    pub fn drop_output(&mut self) {
        self.output.iter_mut().for_each(Vec::clear);
    }

    /// Bytes that have come in, both directions.
    pub fn arrived(&self) -> usize {
        self.arrived
    }

    /// Bytes that have gone out, both directions.
    pub fn given(&self) -> usize {
        self.given
    }

    /// Bytes that the functions have consumed and produced, both directions.
    pub fn moved(&self) -> usize {
        self.moved
    }

    /// Bytes that the first function of a direction has given to the second.
    pub fn between(&self, direction: Direction) -> usize {
        let lanes = &self.lanes[index(direction)];
        lanes.get(1).map_or(0, |lane| lane.received)
    }

    /// Whether nothing more will come out of a direction.
    pub fn finished(&self, direction: Direction) -> bool {
        self.ended[index(direction)]
    }

    /// Whether the function at a place, counted from the client, has said that it passes.
    pub fn passes(&self, place: usize, direction: Direction) -> bool {
        let lane = &self.lanes[index(direction)][self.nth(direction, place)];
        lane.state == State::Passes
    }

    /// Who ended the flow, and how.
    pub fn over(&self) -> Option<(usize, Over)> {
        self.over
    }

    /// What the calls of the function at a place took, if the flow is timed.
    pub fn spent(&self, place: usize) -> Duration {
        self.places[place].spent.total()
    }

    /// Makes one call that can be made; whether there was one.
    ///
    /// # Errors
    /// When the flow cannot go on.
    pub fn step(&mut self, desk: &mut Desk) -> Result<bool, Fault> {
        for direction in BOTH {
            // Nearest to the end first, as the pipe does: what is on its way leaves before more
            // comes.
            for nth in (0..self.places.len()).rev() {
                if self.has_way(direction, nth) && self.call(direction, nth, desk)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// When a call can be made though nothing arrives: `None` if none waits for that, and
    /// `Some(None)` if only a wake-up helps.
    pub fn due(&self) -> Option<Option<Instant>> {
        let lanes = self.lanes.iter().flatten();
        let waits: Vec<Option<Instant>> = lanes.filter_map(Lane::waits).collect();
        let first = waits.iter().flatten().min().copied();
        (!waits.is_empty()).then_some(first)
    }

    /// Those that wait and whose time has come can be called.
    pub fn tick(&mut self, now: Instant) {
        for lane in self.lanes.iter_mut().flatten() {
            lane.tick(now);
        }
    }

    /// Functions that wait and were woken can be called.
    pub fn wake(&mut self, mut rang: impl FnMut(u64) -> bool) {
        for at in 0..self.places.len() {
            if rang(self.places[at].id) {
                for direction in BOTH {
                    let nth = self.nth(direction, at);
                    self.lanes[index(direction)][nth].wake();
                }
            }
        }
    }

    /// The place, from the client, of the nth function of a direction; and the other way round.
    fn nth(&self, direction: Direction, n: usize) -> usize {
        match direction {
            Direction::Upstream => n,
            Direction::Downstream => self.places.len() - 1 - n,
        }
    }

    /// Whether what the nth function produces does not pile up.
    fn has_way(&self, direction: Direction, nth: usize) -> bool {
        let next = self.lanes[index(direction)].get(nth + 1);
        next.is_none_or(|next| {
            next.waiting() == 0 || (next.hungry() && next.waiting() < MAX_WINDOW)
        })
    }

    fn call(&mut self, direction: Direction, nth: usize, desk: &mut Desk) -> Result<bool, Fault> {
        let at = self.nth(direction, nth);
        let place = &mut self.places[at];
        let lane = &mut self.lanes[index(direction)][nth];
        match lane.state {
            State::Passes => {
                let bytes = lane.take();
                let ended = lane.ended();
                let moved = !bytes.is_empty() || ended;
                if ended {
                    lane.state = State::Finished;
                }
                self.pass_on(direction, nth, &bytes, ended);
                return Ok(moved);
            }
            State::Open if lane.ready => {}
            State::Open | State::Finished => return Ok(false),
        }
        let room = if lane.idle {
            place.room.max(MIN_ROOM)
        } else {
            place.room
        };
        let end = lane.ended() && lane.waiting() <= MAX_WINDOW;
        let (input, output) = desk.lay(lane.offer(), room).map_err(Fault::Memory)?;
        let mut process = || place.transform.process(direction, input, output, end);
        let (answer, lap) = if self.timed {
            let (answer, lap) = Lap::of(&mut process);
            (answer, Some(lap))
        } else {
            (process(), None)
        };
        let progress = match answer {
            Ok(progress) => progress,
            Err(Broken::Failed) => {
                self.stop(at, Over::Failed);
                return Ok(true);
            }
            Err(broken) => return Err(Fault::Broken(at, broken)),
        };
        let mut produced = std::mem::take(&mut self.produced);
        produced.clear();
        produced.extend_from_slice(&output[..progress.produced]);
        lane.consume(progress.consumed);
        let bytes = progress.consumed + progress.produced;
        if let Some(lap) = lap {
            place.spent.add(lap, bytes);
        }
        self.moved += bytes;
        let moved = bytes > 0;
        let cramped = room - progress.produced < MIN_ROOM;
        lane.idle = !moved;
        match progress.verdict {
            Verdict::More => lane.more(moved, cramped),
            Verdict::Wait(ms) => lane.wait(cramped, Instant::now(), ms),
            Verdict::Pass => lane.state = State::Passes,
            Verdict::Finished => self.cut(direction, nth),
            Verdict::Close => {}
            Verdict::Reset => {
                self.stop(at, Over::Reset);
                return Ok(true);
            }
        }
        let finished = progress.verdict == Verdict::Finished;
        self.pass_on(direction, nth, &produced, finished);
        self.produced = produced;
        if progress.verdict == Verdict::Close {
            self.over.get_or_insert((at, Over::Closed));
            self.close(at);
        }
        Ok(true)
    }

    /// What the nth function of a direction gives goes to the next one, or out.
    fn pass_on(&mut self, direction: Direction, nth: usize, bytes: &[u8], ended: bool) {
        let direction = index(direction);
        if let Some(next) = self.lanes[direction].get_mut(nth + 1) {
            next.put(bytes);
            if ended {
                next.end();
            }
        } else {
            self.given += bytes.len();
            self.output[direction].extend_from_slice(bytes);
            self.ended[direction] |= ended;
        }
    }

    /// Nothing more comes out of the nth function of a direction, so nothing more has to go in.
    fn cut(&mut self, direction: Direction, nth: usize) {
        for lane in &mut self.lanes[index(direction)][..=nth] {
            lane.cut();
        }
    }

    /// The function at a place ends both directions in order; what it lets pass still does.
    fn close(&mut self, at: usize) {
        for direction in BOTH {
            let nth = self.nth(direction, at);
            let lane = &mut self.lanes[index(direction)][nth];
            match lane.state {
                State::Passes => self.lanes[index(direction)][0].end(),
                State::Finished => {}
                State::Open => {
                    self.cut(direction, nth);
                    self.pass_on(direction, nth, &[], true);
                }
            }
        }
    }

    /// The flow is over at once; what is still on its way is dropped.
    fn stop(&mut self, at: usize, how: Over) {
        self.over.get_or_insert((at, how));
        for direction in BOTH {
            self.cut(direction, self.places.len() - 1);
            self.ended[index(direction)] = true;
        }
    }
}
