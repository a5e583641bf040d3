//! One direction of a flow: read → functions → write, back-pressure and half-close.
//!
//! ```text
//!  source ─fill─▶ slot 0 ─function─▶ slot 1 ─function─▶ … slot n ─drain─▶ sink
//!  source ─────────────── splice, once no function wants the bytes ─────▶ sink
//! ```
//!
//! A slot is filled only when the one behind it is empty, so a slow sink stops the reading of its
//! own source after at most one chunk per slot. The end of the stream moves along the slots like
//! the bytes before it, and leaves as a FIN after the last of them.

use std::io;

use srv6pipes_vnf::abi::MIN_ROOM;

use crate::proxy::chunk::{ChunkPool, Slot};
use crate::proxy::stage::Chain;
use crate::sys::end::{End, Moved};
use crate::sys::kernel_pipe::{KernelPipe, PipePool};
use crate::vnf::{Broken, Direction, Verdict};

/// Bytes one direction may read and write before the worker's other flows get their turn.
const TURN: u64 = 2 * 1024 * 1024;
/// Calls of functions in one turn: one that produces for ever must not keep its worker.
const CALLS: u32 = 1024;

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
    /// The FIN is out: this direction is done.
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
    /// A function wants the flow ended in order, both directions.
    Close,
}

#[derive(Debug, Default)]
struct Place {
    /// The function has said that it wants no more of this direction.
    passes: bool,
    /// Input length with which the function last asked for more.
    starved: Option<usize>,
    /// The last call left less room than a function may count on: it may have kept output back.
    cramped: bool,
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
    /// A function has closed the flow: what still comes from the source is dropped.
    discarding: bool,
    finished: bool,
    /// Bytes read from the source.
    pub read: u64,
    /// Bytes written to the sink.
    pub written: u64,
    /// Of these, how many by splice.
    pub spliced: u64,
}

impl Pipe {
    /// A pipe for a flow with so many functions.
    pub fn new(direction: Direction, functions: usize) -> Self {
        Self {
            direction,
            slots: (0..=functions).map(|_| Slot::default()).collect(),
            ended: vec![false; functions + 1],
            places: (0..functions).map(|_| Place::default()).collect(),
            kernel: None,
            can_splice: true,
            discarding: false,
            finished: false,
            read: 0,
            written: 0,
            spliced: 0,
        }
    }

    /// Whether the FIN is out.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// From now on the function at this place sees no more bytes of this direction.
    pub fn pass(&mut self, place: usize) {
        if let Some(place) = self.places.get_mut(place) {
            place.passes = true;
        }
    }

    /// The stream ends with what was read; what still comes is dropped.
    pub fn close(&mut self) {
        self.discarding = true;
        self.ended[0] = true;
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
    ) -> Result<Pumped, Failure> {
        let turn_ends = self.moved() + TURN;
        let mut calls = 0;
        loop {
            if self.discarding {
                self.discard(source, pools)?;
            }
            if self.finished {
                return Ok(Pumped::Finished);
            }
            if self.untouched() && self.can_splice && !self.discarding {
                return self.splice(source, sink, pools, turn_ends);
            }
            if !self.drain(sink, pools)? {
                return Ok(Pumped::Waiting);
            }
            if self.last_ended() {
                return self.finish(sink);
            }
            if self.moved() >= turn_ends || calls == CALLS {
                return Ok(Pumped::TurnOver);
            }
            if self.run(chain, pools)? {
                calls += 1;
                continue;
            }
            if self.ended[0] || !source.readable() {
                return Ok(Pumped::Waiting);
            }
            match self.fill(source, pools)? {
                Moved::Bytes(_) => {}
                Moved::End => self.ended[0] = true,
                Moved::Blocked => return Ok(Pumped::Waiting),
            }
        }
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

    fn moved(&self) -> u64 {
        self.read + self.written
    }

    fn last_ended(&self) -> bool {
        self.ended.last().copied().unwrap_or(true)
    }

    /// No function wants the bytes, and none waits for anything.
    fn untouched(&self) -> bool {
        self.places.iter().all(|p| p.passes) && self.slots.iter().all(Slot::is_empty)
    }

    fn finish(&mut self, sink: &End) -> Result<Pumped, Failure> {
        self.finished = true;
        match sink.finish() {
            // The peer is gone already; its reset comes as an event of its own.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(Pumped::Finished),
            Err(error) => Err(Failure::Sink(error)),
            Ok(()) => Ok(Pumped::Finished),
        }
    }

    fn discard(&mut self, source: &mut End, pools: &mut Pools) -> Result<(), Failure> {
        let mut slot = Slot::default();
        while source.readable() {
            let room = slot.open(&mut pools.chunks).room();
            match source.read(room).map_err(Failure::Source)? {
                Moved::Bytes(_) => {}
                Moved::End | Moved::Blocked => break,
            }
        }
        slot.clear(&mut pools.chunks);
        Ok(())
    }

    /// Writes what waits before the sink; whether nothing is left.
    fn drain(&mut self, sink: &mut End, pools: &mut Pools) -> Result<bool, Failure> {
        let Some(slot) = self.slots.last_mut() else {
            return Ok(true);
        };
        while !slot.is_empty() {
            if !sink.writable() {
                return Ok(false);
            }
            match sink.write(slot.bytes()).map_err(Failure::Sink)? {
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
        let chunk = slot.open(&mut pools.chunks);
        let moved = source.read(chunk.room()).map_err(Failure::Source)?;
        if let Moved::Bytes(n) = moved {
            self.read += n as u64;
            chunk.filled(n);
        }
        slot.settle(&mut pools.chunks);
        Ok(moved)
    }

    /// Gives each function that can go on one call, the one nearest the sink first; whether
    /// anything moved.
    fn run(&mut self, chain: &mut Chain, pools: &mut Pools) -> Result<bool, Failure> {
        for place in (0..self.places.len()).rev() {
            if self.slots[place + 1].is_empty() && self.step(place, chain, pools)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn step(
        &mut self,
        place: usize,
        chain: &mut Chain,
        pools: &mut Pools,
    ) -> Result<bool, Failure> {
        let (before, behind) = self.slots.split_at_mut(place + 1);
        let (Some(input), Some(output)) = (before.last_mut(), behind.first_mut()) else {
            return Ok(false);
        };
        let end = self.ended[place];
        if self.ended[place + 1] {
            // The function finished early: what still comes is dropped.
            let dropped = !input.is_empty();
            input.clear(&mut pools.chunks);
            return Ok(dropped);
        }
        if self.places[place].passes {
            if input.is_empty() {
                self.ended[place + 1] = end;
                return Ok(end);
            }
            std::mem::swap(input, output);
            return Ok(true);
        }
        let offered = input.bytes().len();
        let state = &mut self.places[place];
        if !end && !state.cramped && (offered == 0 || state.starved == Some(offered)) {
            return Ok(false);
        }
        let Some(stage) = chain.stage(self.direction, place) else {
            return Ok(false);
        };
        let chunk = output.open(&mut pools.chunks);
        let answer = stage.run(self.direction, input.bytes(), chunk.room(), end);
        if let Ok(progress) = &answer {
            chunk.filled(progress.produced);
            state.cramped = chunk.room().len() < MIN_ROOM;
        }
        output.settle(&mut pools.chunks);
        let progress = answer.map_err(|broken| Failure::Function(place, broken))?;
        input.consume(progress.consumed, &mut pools.chunks);
        match progress.verdict {
            Verdict::More => {
                // A call that moved nothing though it could is `Broken::Stalled` already.
                let moved = progress.consumed > 0 || progress.produced > 0;
                state.starved = (!moved).then_some(offered);
                Ok(moved)
            }
            Verdict::Finished => {
                self.ended[place + 1] = true;
                Ok(true)
            }
            Verdict::Pass => {
                state.passes = true;
                Ok(true)
            }
            Verdict::Close => {
                self.ended[place + 1] = true;
                Err(Failure::Close)
            }
            Verdict::Reset => Err(Failure::Reset),
        }
    }

    fn splice(
        &mut self,
        source: &mut End,
        sink: &mut End,
        pools: &mut Pools,
        turn_ends: u64,
    ) -> Result<Pumped, Failure> {
        let mut kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None if self.ended[0] => return self.finish(sink),
            None if !source.readable() => return Ok(Pumped::Waiting),
            None => match pools.pipes.take() {
                Ok(kernel) => kernel,
                // Out of descriptors: copying needs none.
                Err(_) => {
                    self.can_splice = false;
                    return Ok(Pumped::TurnOver);
                }
            },
        };
        loop {
            while kernel.held() > 0 {
                if !sink.writable() {
                    self.kernel = Some(kernel);
                    return Ok(Pumped::Waiting);
                }
                match kernel.drain(sink).map_err(Failure::Sink)? {
                    Moved::Bytes(n) => {
                        self.written += n as u64;
                        self.spliced += n as u64;
                    }
                    Moved::Blocked | Moved::End => {}
                }
            }
            let turn_over = self.moved() >= turn_ends;
            if self.ended[0] || !source.readable() || turn_over {
                pools.pipes.give(kernel);
                return match (self.ended[0], source.readable()) {
                    (true, _) => self.finish(sink),
                    (false, true) => Ok(Pumped::TurnOver),
                    (false, false) => Ok(Pumped::Waiting),
                };
            }
            match kernel.fill(source) {
                Ok(Moved::Bytes(n)) => {
                    self.read += n as u64;
                }
                Ok(Moved::End) => self.ended[0] = true,
                Ok(Moved::Blocked) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.can_splice = false;
                    pools.pipes.give(kernel);
                    return Ok(Pumped::TurnOver);
                }
                Err(error) => return Err(Failure::Source(error)),
            }
        }
    }
}
