//! The pipe, in the order a flow meets it.
//!
//! 1. [`capture`] (only `nfqueue`): holds the SYN, asks the next segment, lets the SYN go on.
//! 2. [`door`]: accepts the connection and learns its SRH, from the capture or its saved SYN.
//! 3. [`itinerary`]: our place in the segment list: functions to run here, segments that remain.
//! 4. [`course`]: another server or next segment, if functions choose one.
//! 5. [`connect`]: from the client's address to the next segment; if it does not answer, back to 4.
//! 6. [`session`]: the flow's life; two [`pipe`]s move its bytes through [`stage`]s.
//! 7. [`worker`]: the event loop that does all this for its own flows.
//!
//! [`Proxy`] starts the threads and passes the control thread's wishes on.

#[cfg(test)]
mod bench;
pub mod capture;
pub mod chunk;
pub mod connect;
pub mod cookie;
pub mod course;
pub mod deadlines;
pub mod door;
pub mod itinerary;
pub mod outcome;
pub mod pipe;
pub mod runtime;
pub mod session;
pub mod snapshot;
pub mod spawn;
pub mod stage;
pub mod threads;
pub mod worker;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::flow::FlowTable;
use crate::proxy::course::Course;
use crate::stats::{Counter, Counters};

pub use threads::{Error, Options, Proxy};

/// A flow whose next segment has answered, on its way from the capture to a worker.
#[derive(Debug)]
pub struct Answered {
    /// Connected to the next segment.
    pub outbound: OwnedFd,
    /// Where the flow goes.
    pub course: Course,
    /// When the next segment was asked.
    pub asked: Instant,
    /// How long it took to answer.
    pub after: Duration,
}

/// All that threads share.
#[derive(Debug, Default)]
pub struct Shared {
    /// What all workers have seen.
    pub counters: Counters,
    /// Only with `nfqueue` capture.
    pub answered: Option<Arc<FlowTable<Answered>>>,
    /// Live flows whose functions want reports.
    pub reporting: Counter,
    failed: AtomicBool,
}

impl Shared {
    /// Shared state for workers with this table of answered flows.
    pub fn new(answered: Option<Arc<FlowTable<Answered>>>) -> Self {
        Self {
            answered,
            ..Self::default()
        }
    }

    /// A thread cannot go on: the process shall end as by SIGTERM, and say that it failed. Whoever
    /// started it starts it again, which mends more than three workers out of four would serve.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
        if let Err(errno) = kill(Pid::this(), Signal::SIGTERM) {
            log::error!("stop after a failure: {errno}");
        }
    }

    /// Whether [`Self::fail`] was called.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
