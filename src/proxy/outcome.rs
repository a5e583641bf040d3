//! How a flow ended, and which counter hears of it.

use std::{fmt, io};

use crate::proxy::connect::Cause;
use crate::proxy::itinerary::Refusal;
use crate::stats::Counters;
use crate::vnf::Broken;

/// How a flow ended.
#[derive(Debug)]
pub enum Outcome {
    /// Both directions to their end.
    Finished,
    /// The client's connection broke.
    ClientGone(io::Error),
    /// The next segment's connection broke.
    ServerGone(io::Error),
    /// The next segment could not be connected.
    NotConnected(io::Error),
    /// Its functions would not take it, or sent it where it cannot go.
    Refused(Refusal),
    /// The next segment did not answer in time.
    ConnectTimeout,
    /// Nothing moved for `idle_timeout`.
    Idle,
    /// A function wanted it reset or closed.
    ByFunction,
    /// A function broke its promise: which, and how.
    Broken(u16, Broken),
    /// A reload removed the locator that the client's packets go to: none will come any more.
    LocatorGone,
    /// It could not be watched.
    NoResources(io::Error),
    /// srv6pipes stops.
    Stopped,
}

impl Outcome {
    /// Counts it.
    pub fn count(&self, counters: &Counters) {
        match self {
            Self::Finished => counters.finished_flows.one(),
            Self::ClientGone(_) => counters.reset_by_client_flows.one(),
            Self::ServerGone(_) => counters.reset_by_server_flows.one(),
            Self::NotConnected(error) => Cause::of(error).count(counters),
            Self::Refused(refusal) => refusal.count(counters),
            Self::ConnectTimeout => Cause::Timeout.count(counters),
            Self::Idle => counters.idle_timeout_flows.one(),
            Self::ByFunction => counters.ended_by_function_flows.one(),
            Self::Broken(..) => counters.broken_function_flows.one(),
            Self::LocatorGone => counters.locator_gone_flows.one(),
            Self::NoResources(_) => Cause::NoResources.count(counters),
            Self::Stopped => counters.stopped_flows.one(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => write!(f, "finished"),
            Self::ClientGone(error) => write!(f, "reset, the client is gone: {error}"),
            Self::ServerGone(error) => write!(f, "reset, the next segment is gone: {error}"),
            Self::NotConnected(error) => write!(f, "reset, no next segment: {error}"),
            Self::Refused(refusal) => write!(f, "reset, {refusal}"),
            Self::ConnectTimeout => write!(f, "reset, the next segment does not answer"),
            Self::Idle => write!(f, "reset, idle for too long"),
            Self::ByFunction => write!(f, "ended by a function"),
            Self::Broken(id, broken) => write!(f, "reset, function {id:#06x} {broken}"),
            Self::LocatorGone => write!(f, "reset, its locator was removed"),
            Self::NoResources(error) => write!(f, "reset, it cannot be watched: {error}"),
            Self::Stopped => write!(f, "reset, srv6pipes stops"),
        }
    }
}
