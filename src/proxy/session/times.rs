//! What a flow tells the functions that want reports: its numbers, and how long things took.

use std::time::{Duration, Instant};

use crate::proxy::session::Session;
use crate::sys::option;
use crate::vnf::Report;

/// Kept only for those flows whose functions want to know.
#[derive(Debug)]
pub(super) struct Times {
    client_rtt: Option<Duration>,
    connect: Option<Duration>,
    first_byte: Option<Duration>,
}

impl Session {
    /// Whether any of its functions wants reports.
    pub fn reports(&self) -> bool {
        self.times.is_some()
    }

    /// Tells its functions what it has moved so far; `last` says that it is over.
    pub fn report(&mut self, now: Instant, last: bool) {
        let Some(times) = &self.times else {
            return;
        };
        let [upstream_in, upstream_out, downstream_in, downstream_out] = self.moved();
        self.chain.report(&Report {
            last,
            upstream_in,
            upstream_out,
            downstream_in,
            downstream_out,
            age: now.saturating_duration_since(self.began),
            client_rtt: times.client_rtt,
            connect: times.connect,
            first_byte: times.first_byte,
        });
    }

    /// Its functions are there: begins to take the times, if they want to know them.
    pub(super) fn take_times(&mut self) {
        // Nothing was sent to the client yet, so what the kernel has measured is the handshake.
        self.times = self.chain.reports().then(|| {
            Box::new(Times {
                client_rtt: option::round_trip(&self.inbound),
                connect: self.answered_after,
                first_byte: None,
            })
        });
    }

    /// The next segment has answered.
    pub(super) fn note_answer(&mut self, now: Instant) {
        self.answered_after = Some(now.saturating_duration_since(self.asked));
        if let Some(times) = &mut self.times {
            times.connect = self.answered_after;
        }
    }

    /// Bytes have moved.
    pub(super) fn note_bytes(&mut self, now: Instant) {
        if let Some(times) = &mut self.times
            && times.first_byte.is_none()
            && self.downstream.read > 0
        {
            times.first_byte = Some(now.saturating_duration_since(self.began));
        }
    }
}
