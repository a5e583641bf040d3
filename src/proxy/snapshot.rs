//! What others see of a flow: a line of `flows`, and its share of the counters.

use std::net::SocketAddrV6;
use std::time::{Duration, Instant};

use crate::proxy::session::Session;
use crate::stats::Counters;

/// A live flow as `flows` shows it.
#[derive(Debug, Clone)]
pub struct FlowSnapshot {
    /// The client.
    pub client: SocketAddrV6,
    /// The final destination.
    pub server: SocketAddrV6,
    /// `connecting`, `piping`, `half-closed` or `closing`.
    pub state: &'static str,
    /// The functions' numbers, in the order of travel from the client.
    pub functions: Vec<u16>,
    /// Since it was accepted.
    pub age: Duration,
    /// Bytes so far.
    pub moved: Tally,
}

/// Bytes one flow has moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Read from the client.
    pub upstream_in: u64,
    /// Written towards the server.
    pub upstream_out: u64,
    /// Read from the server.
    pub downstream_in: u64,
    /// Written towards the client.
    pub downstream_out: u64,
    /// Of those written, moved by splice.
    pub spliced: u64,
}

/// What a flow has moved so far.
pub fn tally(session: &Session) -> Tally {
    let (up, down) = session.pipes();
    Tally {
        upstream_in: up.read,
        upstream_out: up.written,
        downstream_in: down.read,
        downstream_out: down.written,
        spliced: up.spliced + down.spliced,
    }
}

impl Tally {
    /// What came after `before`, an earlier tally of the same flow.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            upstream_in: self.upstream_in.saturating_sub(before.upstream_in),
            upstream_out: self.upstream_out.saturating_sub(before.upstream_out),
            downstream_in: self.downstream_in.saturating_sub(before.downstream_in),
            downstream_out: self.downstream_out.saturating_sub(before.downstream_out),
            spliced: self.spliced.saturating_sub(before.spliced),
        }
    }

    /// Adds it to the counters of all flows.
    pub fn count(&self, counters: &Counters) {
        for (counter, bytes) in [
            (&counters.upstream_in_bytes, self.upstream_in),
            (&counters.upstream_out_bytes, self.upstream_out),
            (&counters.downstream_in_bytes, self.downstream_in),
            (&counters.downstream_out_bytes, self.downstream_out),
            (&counters.spliced_bytes, self.spliced),
        ] {
            if bytes > 0 {
                counter.add(bytes);
            }
        }
    }
}

impl FlowSnapshot {
    /// A flow as it is now.
    pub fn of(session: &Session, now: Instant) -> Self {
        Self {
            client: session.client,
            server: session.server,
            state: session.state_name(),
            functions: session.chain().ids().collect(),
            age: now.saturating_duration_since(session.began),
            moved: tally(session),
        }
    }
}
