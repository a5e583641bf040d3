//! A flow whose functions choose its way, until something at the end of it has answered.
//!
//! They are spawned only then: what `func_spawn` is told of the flow must be true.

use std::io;
use std::time::Instant;

use super::{Session, State};
use crate::proxy::connect::{self, Dead};
use crate::proxy::itinerary::Refusal;
use crate::proxy::outcome::Outcome;
use crate::proxy::pipe::Pipe;
use crate::proxy::spawn;
use crate::stats::Counters;
use crate::sys::end::End;
use crate::sys::own_address::OwnAddress;
use crate::vnf::Direction;

impl Session {
    /// `outcome` would end the flow. Begins to connect to another next segment instead, if that is
    /// to blame and functions choose another: its socket is to be watched.
    ///
    /// # Errors
    /// When the flow is over, and how.
    pub fn go_elsewhere(
        &mut self,
        outcome: Outcome,
        now: Instant,
        own: &OwnAddress,
        counters: &Counters,
    ) -> Result<(), Outcome> {
        let (State::Connecting, Some(course)) = (self.state, &mut self.undecided) else {
            return Err(outcome);
        };
        let error = match outcome {
            Outcome::NotConnected(error) => error,
            Outcome::ConnectTimeout => io::Error::from_raw_os_error(libc::ETIMEDOUT),
            other => return Err(other),
        };
        // The next one may be for the same server, by another segment, and is to have this port.
        self.outbound.give_up();
        match connect::begin_again(course, false, error, own, counters) {
            Ok(outbound) => {
                self.outbound = End::new(outbound);
                self.server = course.itinerary.server;
                self.asked = now;
                self.deadline = now + course.patience();
                Ok(())
            }
            Err(Dead::NotConnected(error)) => Err(Outcome::NotConnected(error)),
            Err(Dead::Refused(refusal)) => Err(Outcome::Refused(refusal)),
        }
    }

    /// The next segment has answered: this is the way.
    pub(super) fn decide(&mut self) -> Result<(), Refusal> {
        let Some(mut course) = self.undecided.take() else {
            return Ok(());
        };
        course.choices.connect();
        self.chain = spawn::chain(&course, self.id)?;
        self.upstream = Pipe::new(Direction::Upstream, &mut self.chain);
        self.downstream = Pipe::new(Direction::Downstream, &mut self.chain);
        self.choices = course.choices;
        self.take_times();
        Ok(())
    }
}
