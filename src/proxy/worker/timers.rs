//! A worker's flows in time: deadlines, and the calls that functions wait for.

use std::time::Instant;

use nix::sys::epoll::EpollTimeout;

use crate::proxy::worker::Worker;
use crate::proxy::worker::token::Token;

impl Worker {
    /// How long to wait for an event.
    pub(super) fn patience(&self) -> EpollTimeout {
        if !self.again.is_empty() {
            return EpollTimeout::ZERO;
        }
        let now = Instant::now();
        let pause = self
            .paused
            .map(|until| until.saturating_duration_since(now));
        self.deadlines.timeout(now, pause)
    }

    /// Has the flow come up when it is due. Not later, but perhaps sooner: what has become due later
    /// costs nothing until then.
    pub(super) fn schedule(&mut self, token: Token) {
        let Some(place) = self.flows.get_mut(token.index) else {
            return;
        };
        let due = place.session.due(Instant::now);
        match place.scheduled {
            Some(scheduled) if scheduled <= due => return,
            Some(scheduled) => self.deadlines.cancel(scheduled, token),
            None => {}
        }
        place.scheduled = Some(due);
        self.deadlines.push(due, token);
    }

    /// Looks at those who have come up.
    pub(super) fn expire(&mut self) {
        if self.paused.is_some_and(|until| until <= self.now) {
            self.watch_listener(None);
        }
        while let Some((_, token)) = self.deadlines.pop(self.now) {
            let Some(place) = self.flows.get_mut(token.index) else {
                continue;
            };
            place.scheduled = None;
            match place.session.late(self.now) {
                Some(outcome) => self.over(token, outcome),
                None if place.session.due(Instant::now) <= self.now => self.step(token),
                None => self.schedule(token),
            }
        }
    }
}
