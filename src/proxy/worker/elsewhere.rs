//! A flow's end, unless its functions send it elsewhere.

use nix::sys::epoll::EpollEvent;

use super::{Token, Worker};
use crate::proxy::outcome::Outcome;
use crate::proxy::session::Side;
use crate::sys::end::End;

impl Worker {
    /// The flow is over, unless it can go elsewhere.
    pub(super) fn over(&mut self, token: Token, outcome: Outcome) {
        if let Err(outcome) = self.send_elsewhere(token, outcome) {
            self.close(token, &outcome);
        }
    }

    fn send_elsewhere(&mut self, token: Token, outcome: Outcome) -> Result<(), Outcome> {
        let Some(place) = self.flows.get_mut(token.index) else {
            return Err(outcome);
        };
        let session = &mut place.session;
        self.door.send_elsewhere(session, outcome, self.now)?;
        let event = EpollEvent::new(End::INTEREST, token.data(Side::Outbound));
        let added = self.epoll.add(session.socket(Side::Outbound), event);
        added.map_err(|errno| Outcome::NoResources(errno.into()))?;
        self.schedule(token);
        Ok(())
    }
}
