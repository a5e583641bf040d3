//! A function's place in a direction: when it is called, and what its answer means.
//!
//! Read first: the promises at func_process in `srv6pipes_vnf.h`.

use std::time::{Duration, Instant};

use srv6pipes_vnf::abi::MIN_ROOM;

use crate::proxy::chunk::WINDOW;
use crate::proxy::pipe::{Failure, Pipe, Pools};
use crate::proxy::stage::Chain;
use crate::vnf::{Broken, Verdict};

/// What a function's call counts at least, in bytes of a turn.
const CALL: usize = 1024;

/// What is known of one function.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The function has said that it wants no more of this direction.
    pub passes: bool,
    /// Input length with which the function last asked for more, or began to wait.
    starved: Option<usize>,
    /// The last call left less room than a function may count on: it may have kept output back.
    cramped: bool,
    waits: Waits,
    /// The last call said that nothing follows its input.
    knows_end: bool,
}

/// What a function waits for, besides input and room.
#[derive(Debug, Clone, Copy, Default)]
enum Waits {
    /// Nothing.
    #[default]
    No,
    /// The wake-up.
    WakeUp,
    /// The wake-up, or that so much time has passed since the call that is just over.
    For(Duration),
    /// The wake-up, or this time.
    Until(Instant),
    /// That was it: it is to be called as soon as there is room.
    Over,
}

impl Place {
    /// A function that is called when there is something for it, or at once.
    pub fn new(at_once: bool) -> Self {
        Self {
            waits: if at_once { Waits::Over } else { Waits::No },
            ..Self::default()
        }
    }

    /// A function that waits is to be called; whether there was one.
    pub fn wake(&mut self) -> bool {
        let waits = matches!(self.waits, Waits::WakeUp | Waits::For(_) | Waits::Until(_));
        if waits {
            self.waits = Waits::Over;
        }
        waits
    }

    /// As [`Self::wake`], if its time has come.
    pub fn tick(&mut self, now: Instant) {
        if matches!(self.waits, Waits::Until(when) if when <= now) {
            self.waits = Waits::Over;
        }
    }

    /// When its time comes. A time that began with the last call is counted from `clock`.
    pub fn due(&mut self, clock: impl FnOnce() -> Instant) -> Option<Instant> {
        if let Waits::For(time) = self.waits {
            self.waits = Waits::Until(clock() + time);
        }
        match self.waits {
            Waits::Until(when) => Some(when),
            _ => None,
        }
    }

    /// It is not called any more, and what comes goes by.
    pub fn let_pass(&mut self) {
        self.passes = true;
        self.retire();
    }

    /// It is not called any more.
    pub fn retire(&mut self) {
        self.waits = Waits::No;
    }

    /// Whether a call with so much input could do what the last one could not.
    fn wants(&self, offered: usize, end: bool) -> bool {
        let seen = self.starved == Some(offered);
        match self.waits {
            _ if self.cramped => true,
            Waits::No => end || (offered > 0 && !seen),
            Waits::Over => true,
            _ => !seen || end != self.knows_end,
        }
    }
}

impl Pipe {
    /// Gives each function that can go on one call, the one nearest the sink first; whether
    /// anything moved.
    pub(super) fn run(&mut self, chain: &mut Chain, pools: &mut Pools) -> Result<bool, Failure> {
        for place in (0..self.places.len()).rev() {
            let room = self.slots[place + 1].is_empty() || self.hungry(place + 1);
            if room && self.step(place, chain, pools)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The function at this place has seen all that waits before it, and can be shown more.
    fn hungry(&self, place: usize) -> bool {
        let waiting = self.slots[place].bytes().len();
        let seen = |place: &Place| place.starved == Some(waiting);
        waiting < WINDOW && self.places.get(place).is_some_and(seen)
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
        if self.ended[place + 1] {
            return Ok(false);
        }
        if self.places[place].passes {
            if input.is_empty() {
                self.ended[place + 1] = self.ended[place];
                return Ok(self.ended[place]);
            }
            output.append(input, &mut pools.chunks);
            return Ok(true);
        }
        let offered = input.bytes().len().min(WINDOW);
        let end = self.ended[place] && offered == input.bytes().len();
        let state = &mut self.places[place];
        if !state.wants(offered, end) {
            return Ok(false);
        }
        let Some(stage) = chain.stage(self.direction, place) else {
            return Ok(false);
        };
        let chunk = output.open(&mut pools.chunks);
        let ample = chunk.room().len() >= MIN_ROOM;
        let answer = stage.run(self.direction, &input.bytes()[..offered], chunk.room(), end);
        if let Ok(progress) = &answer {
            chunk.filled(progress.produced);
            state.cramped = chunk.room().len() < MIN_ROOM;
        }
        output.settle(&mut pools.chunks);
        let progress = answer.map_err(|broken| Failure::Function(place, broken))?;
        input.consume(progress.consumed, &mut pools.chunks);
        self.turn = self.turn.saturating_sub(progress.produced.max(CALL));
        let moved = progress.consumed > 0 || progress.produced > 0;
        state.knows_end = end;
        state.waits = Waits::No;
        match progress.verdict {
            Verdict::More => {
                if !moved && ample && (end || offered == WINDOW) {
                    return Err(Failure::Function(place, Broken::Stalled));
                }
                state.starved = (!moved).then_some(offered);
                Ok(moved)
            }
            Verdict::Wait(ms) => {
                state.starved = Some(offered - progress.consumed);
                state.waits = match ms {
                    0 => Waits::WakeUp,
                    ms => Waits::For(Duration::from_millis(ms.into())),
                };
                Ok(moved)
            }
            Verdict::Finished => {
                self.cut(place, pools);
                Ok(true)
            }
            Verdict::Pass => {
                state.let_pass();
                Ok(true)
            }
            Verdict::Close => Err(Failure::Close(place)),
            Verdict::Reset => Err(Failure::Reset),
        }
    }
}
