//! One direction of a flow: read → functions → write, back-pressure and half-close.
//!
//! ```text
//!  source ─fill─▶ slot 0 ─function─▶ slot 1 ─function─▶ … slot n ─drain─▶ sink
//!  source ─────────────── splice, once no function wants the bytes ─────▶ sink
//! ```
//!
//! A slot is filled only when it is empty, or when the function behind it has seen all of it and
//! asks for more or waits. So a slow sink, or a function that takes its time, stops the reading of
//! its own source after at most one chunk per slot. The end of the stream moves along the slots
//! like the bytes before it, and leaves as a FIN after the last of them.
//!
//! A function that waits holds up nobody but who stands before it. Whoever pumps asks the pipe when
//! it is [`due`](Pipe::due) and pumps it then, or after [`wake`](Pipe::wake); the clock and its
//! time come in as arguments.

mod place;
mod splice;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Instant;

use crate::proxy::chunk::{ChunkPool, Slot, WINDOW};
use crate::proxy::pipe::place::Place;
use crate::proxy::stage::Chain;
use crate::sys::end::{End, Moved};
use crate::sys::kernel_pipe::{KernelPipe, PipePool};
use crate::vnf::{Broken, Direction};

/// Bytes one direction may read and its functions may produce before the worker's other flows get
/// their turn.
const TURN: usize = 1024 * 1024;

/// What a worker lends its pipes.
#[derive(Debug, Default)]
pub struct Pools {
    /// For the copy path.
    pub chunks: ChunkPool,
    /// For splice.
    pub pipes: PipePool,
}

/// Why a call of [`Pipe::pump`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pumped {
    /// An edge on one of the ends is needed.
    Waiting,
    /// The turn is over, but there is more to do.
    TurnOver,
    /// This direction is done: the FIN is out, or closing the sink will send it.
    Finished,
}

/// What ends the whole flow.
#[derive(Debug)]
pub enum Failure {
    /// Reading failed.
    Source(io::Error),
    /// Writing failed.
    Sink(io::Error),
    /// The function at this place of this direction broke its promise.
    Function(usize, Broken),
    /// A function wants the flow reset.
    Reset,
    /// The function at this place of this direction wants the flow ended in order, both
    /// directions.
    Close(usize),
}

/// One direction of a flow.
#[derive(Debug)]
pub struct Pipe {
    direction: Direction,
    /// One before each function, and one before the sink.
    slots: Vec<Slot>,
    /// `ended[i]`: nothing more will come into slot i.
    ended: Vec<bool>,
    places: Vec<Place>,
    kernel: Option<KernelPipe>,
    can_splice: bool,
    /// A function wants no more of this direction: what still comes from the source is dropped.
    discarding: bool,
    /// The source's connection broke: what it sent before is carried on, but it has no end.
    orphaned: bool,
    finished: bool,
    /// The other direction has finished.
    last: bool,
    /// What is left of [`TURN`].
    turn: usize,
    /// Bytes read from the source.
    pub read: u64,
    /// Bytes written to the sink.
    pub written: u64,
    /// Of these, how many by splice.
    pub spliced: u64,
}

impl Pipe {
    /// A pipe for a flow with these functions.
    pub fn new(direction: Direction, chain: &mut Chain) -> Self {
        let functions = chain.len();
        let at_once = |place| {
            let stage = chain.stage(direction, place);
            stage.is_some_and(|stage| stage.transform.speaks_first())
        };
        let places = (0..functions).map(at_once).map(Place::new).collect();
        Self {
            direction,
            slots: (0..=functions).map(|_| Slot::default()).collect(),
            ended: vec![false; functions + 1],
            places,
            kernel: None,
            can_splice: true,
            discarding: false,
            orphaned: false,
            finished: false,
            last: false,
            turn: TURN,
            read: 0,
            written: 0,
            spliced: 0,
        }
    }

    /// Whether this direction is done.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// From now on the function at this place sees no more bytes of this direction.
    pub fn pass(&mut self, place: usize) {
        if let Some(place) = self.places.get_mut(place) {
            place.let_pass();
        }
    }

    /// The function at this place has closed the flow, in this direction or the other.
    pub fn close(&mut self, place: usize, pools: &mut Pools) {
        if self.places.get(place).is_some_and(|place| place.passes) {
            // What it let pass is not its own to hold back.
            self.ended[0] = true;
            self.discarding = true;
        } else {
            self.cut(place, pools);
        }
    }

    /// The source's connection broke. Once its error is taken, reading it ends as if in order
    /// (`tcp_recvmsg_locked`): that is no end of the stream, and no FIN must say so.
    pub fn orphan(&mut self) {
        self.orphaned = true;
    }

    /// The other direction has finished, and the flow goes on in order. If both ends have sent
    /// theirs when this one finishes too, there is nothing to do but to close them: that sends the
    /// FIN, and costs no call of its own.
    pub fn is_last(&mut self, last: bool) {
        self.last = last;
    }

    /// The functions that wait are to be called; whether there is any that was not already.
    pub fn wake(&mut self) -> bool {
        let mut any = false;
        for place in &mut self.places {
            any |= place.wake();
        }
        any
    }

    /// When to pump it again though nothing happened, because a function said so. `clock` is read
    /// if one has said so just now.
    pub fn due(&mut self, clock: impl Fn() -> Instant) -> Option<Instant> {
        self.places
            .iter_mut()
            .filter_map(|place| place.due(&clock))
            .min()
    }

    /// Moves what can be moved.
    ///
    /// # Errors
    /// What ends the flow; the pipe must not be pumped again after any but `Close` and `Function`.
    pub fn pump(
        &mut self,
        source: &mut End,
        sink: &mut End,
        chain: &mut Chain,
        pools: &mut Pools,
        now: Instant,
    ) -> Result<Pumped, Failure> {
        self.turn = TURN;
        for place in &mut self.places {
            place.tick(now);
        }
        let pumped = self.carry(source, sink, chain, pools)?;
        if self.discarding && !self.discard(source, pools)? {
            return Ok(Pumped::TurnOver);
        }
        Ok(pumped)
    }

    /// Gives everything borrowed back, when the flow is over.
    pub fn release(&mut self, pools: &mut Pools) {
        for slot in &mut self.slots {
            slot.clear(&mut pools.chunks);
        }
        if let Some(pipe) = self.kernel.take() {
            pools.pipes.give(pipe);
        }
    }

    fn carry(
        &mut self,
        source: &mut End,
        sink: &mut End,
        chain: &mut Chain,
        pools: &mut Pools,
    ) -> Result<Pumped, Failure> {
        loop {
            if self.finished {
                return Ok(Pumped::Finished);
            }
            // What waits here leaves first: a slow sink would never see a splice otherwise.
            if !self.drain(sink, pools)? {
                return Ok(Pumped::Waiting);
            }
            if self.splices()
                && let Some(pumped) = self.splice(source, sink, pools)?
            {
                return Ok(pumped);
            }
            if self.last_ended() {
                return self.finish(source, sink);
            }
            if self.turn == 0 {
                return Ok(Pumped::TurnOver);
            }
            if self.run(chain, pools)? {
                continue;
            }
            if self.ended[0] || !source.readable() || self.slots[0].bytes().len() >= WINDOW {
                return Ok(Pumped::Waiting);
            }
            match self.fill(source, pools)? {
                Moved::Bytes(n) => self.turn = self.turn.saturating_sub(n),
                Moved::End if self.orphaned => return Ok(Pumped::Waiting),
                Moved::End => {}
                Moved::Blocked => return Ok(Pumped::Waiting),
            }
            self.ended[0] = source.ended() && !self.orphaned;
        }
    }

    fn last_ended(&self) -> bool {
        self.ended.last().copied().unwrap_or(true)
    }

    /// Nothing more comes out of the function at this place, and so nothing more has to go in.
    fn cut(&mut self, place: usize, pools: &mut Pools) {
        self.ended[..=place + 1].fill(true);
        for slot in &mut self.slots[..=place] {
            slot.clear(&mut pools.chunks);
        }
        for place in &mut self.places[..=place] {
            place.retire();
        }
        self.discarding = true;
    }

    fn finish(&mut self, source: &End, sink: &End) -> Result<Pumped, Failure> {
        self.finished = true;
        if self.last && source.ended() && sink.ended() {
            return Ok(Pumped::Finished);
        }
        match sink.finish() {
            // The peer is gone already; its reset comes as an event of its own.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(Pumped::Finished),
            Err(error) => Err(Failure::Sink(error)),
            Ok(()) => Ok(Pumped::Finished),
        }
    }

    /// Drops what comes; whether that is all for now.
    fn discard(&mut self, source: &mut End, pools: &mut Pools) -> Result<bool, Failure> {
        if source.ended() || !source.readable() {
            return Ok(true);
        }
        let mut chunk = pools.chunks.take();
        let mut done = Ok(false);
        while self.turn > 0 {
            match source.read(chunk.room()) {
                Ok(Moved::Bytes(n)) => self.turn = self.turn.saturating_sub(n),
                Ok(Moved::End | Moved::Blocked) => {
                    done = Ok(true);
                    break;
                }
                Err(error) => {
                    done = Err(Failure::Source(error));
                    break;
                }
            }
        }
        pools.chunks.give(chunk);
        done
    }

    /// Writes what waits before the sink; whether nothing is left.
    fn drain(&mut self, sink: &mut End, pools: &mut Pools) -> Result<bool, Failure> {
        let last = self.last_ended();
        let Some(slot) = self.slots.last_mut() else {
            return Ok(true);
        };
        while !slot.is_empty() {
            if !sink.writable() {
                return Ok(false);
            }
            match sink.write(slot.bytes(), last).map_err(Failure::Sink)? {
                Moved::Bytes(n) => {
                    self.written += n as u64;
                    slot.consume(n, &mut pools.chunks);
                }
                Moved::Blocked | Moved::End => return Ok(false),
            }
        }
        Ok(true)
    }

    fn fill(&mut self, source: &mut End, pools: &mut Pools) -> Result<Moved, Failure> {
        let slot = &mut self.slots[0];
        let wanted = WINDOW.saturating_sub(slot.bytes().len());
        let chunk = slot.open(&mut pools.chunks);
        let moved = source.read(&mut chunk.room()[..wanted]);
        if let Ok(Moved::Bytes(n)) = moved {
            self.read += n as u64;
            chunk.filled(n);
        }
        slot.settle(&mut pools.chunks);
        moved.map_err(Failure::Source)
    }
}
