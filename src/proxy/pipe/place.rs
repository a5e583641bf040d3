//! A function's place in a direction: when it is called, and what its answer means.

use srv6pipes_vnf::abi::MIN_ROOM;

use crate::proxy::chunk::WINDOW;
use crate::proxy::pipe::{Failure, Pipe, Pools};
use crate::proxy::stage::Chain;
use crate::vnf::{Broken, Verdict};

/// What a function's call counts at least, in bytes of [`TURN`].
const CALL: usize = 1024;

/// What is known of one function.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The function has said that it wants no more of this direction.
    pub passes: bool,
    /// Input length with which the function last asked for more.
    starved: Option<usize>,
    /// The last call left less room than a function may count on: it may have kept output back.
    cramped: bool,
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

    /// The function at this place has seen all that waits before it, and wants more.
    fn hungry(&self, place: usize) -> bool {
        let waiting = self.slots[place].bytes().len().min(WINDOW);
        self.places
            .get(place)
            .is_some_and(|place| place.starved == Some(waiting))
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
        if !end && !state.cramped && (offered == 0 || state.starved == Some(offered)) {
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
        match progress.verdict {
            Verdict::More => {
                let moved = progress.consumed > 0 || progress.produced > 0;
                if !moved && ample && (end || offered == WINDOW) {
                    return Err(Failure::Function(place, Broken::Stalled));
                }
                state.starved = (!moved).then_some(offered);
                Ok(moved)
            }
            Verdict::Wait(_) => {
                state.starved = Some(offered - progress.consumed);
                Ok(progress.consumed > 0 || progress.produced > 0)
            }
            Verdict::Finished => {
                self.cut(place, pools);
                Ok(true)
            }
            Verdict::Pass => {
                state.passes = true;
                Ok(true)
            }
            Verdict::Close => Err(Failure::Close(place)),
            Verdict::Reset => Err(Failure::Reset),
        }
    }
}
