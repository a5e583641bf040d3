//! What a broken connection, or what ends one direction, means for the flow.

use std::io;

use nix::sys::epoll::EpollFlags;

use crate::proxy::outcome::Outcome;
use crate::proxy::pipe::{Failure, Pools};
use crate::proxy::session::{Session, Side, State};
use crate::vnf::Direction;

impl Session {
    /// The connection of `side` broke. The flow ends at once only if the other one has, too.
    pub(super) fn lose(&mut self, side: Side, error: io::Error) -> Result<(), Outcome> {
        if let Some((_, outcome)) = self.lost.take() {
            return Err(outcome);
        }
        let outcome = match side {
            Side::Inbound => {
                self.upstream.orphan();
                self.inbound.note(EpollFlags::EPOLLERR);
                Outcome::ClientGone(error)
            }
            Side::Outbound => {
                self.downstream.orphan();
                self.outbound.note(EpollFlags::EPOLLERR);
                Outcome::ServerGone(error)
            }
        };
        self.lost = Some((side, outcome));
        Ok(())
    }

    /// Whether `direction` ends in a lost connection.
    pub(super) fn leads_nowhere(&self, direction: Direction) -> bool {
        matches!(
            (&self.lost, direction),
            (Some((Side::Inbound, _)), Direction::Downstream)
                | (Some((Side::Outbound, _)), Direction::Upstream)
        )
    }

    /// What a failure of one direction means for the flow: its end, or that it goes on in
    /// another way.
    pub(super) fn absorb(
        &mut self,
        direction: Direction,
        failure: Failure,
        pools: &mut Pools,
    ) -> Result<(), Outcome> {
        let (place, closes) = match (failure, direction) {
            // Reading fails only when nothing is left to read.
            (Failure::Source(error), Direction::Upstream) => {
                return Err(Outcome::ClientGone(error));
            }
            (Failure::Source(error), Direction::Downstream) => {
                return Err(Outcome::ServerGone(error));
            }
            (Failure::Sink(error), Direction::Upstream) => {
                return self.lose(Side::Outbound, error);
            }
            (Failure::Sink(error), Direction::Downstream) => {
                return self.lose(Side::Inbound, error);
            }
            (Failure::Reset, _) => return Err(Outcome::ByFunction),
            (Failure::Close(place), _) => {
                self.closed = true;
                self.enter(State::Closing);
                (place, true)
            }
            (Failure::Function(place, broken), _) => {
                if let Some(stage) = self.chain.stage(direction, place) {
                    stage.blame(broken)?;
                }
                (place, false)
            }
        };
        // The same function stands at the mirrored place of the other direction.
        let mirrored = self.chain.len().saturating_sub(place + 1);
        let (up, down) = match direction {
            Direction::Upstream => (place, mirrored),
            Direction::Downstream => (mirrored, place),
        };
        if closes {
            self.upstream.close(up, pools);
            self.downstream.close(down, pools);
        } else {
            self.upstream.pass(up);
            self.downstream.pass(down);
        }
        Ok(())
    }
}
