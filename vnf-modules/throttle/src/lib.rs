//! The stock function `throttle`: rate per flow, by the argument, and per client over all its
//! flows, by option; each direction on its own.
//!
//! No byte is held back here: what a rate does not allow yet is not consumed, and so the sender is
//! slowed down by TCP itself. Options, limits and an example: README.md.
#![deny(unsafe_code)]

mod bucket;
mod clients;
mod share;
#[cfg(test)]
mod tests;

use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use srv6pipes_vnf::{
    Counter, Counters, Direction, Flow, FlowInfo, Function, Progress, Reason, Setup,
};

use crate::bucket::{Bucket, Rate};
use crate::clients::{Clients, Membership};

/// The function.
#[derive(Debug)]
pub struct Throttle {
    burst: Duration,
    /// `None` where there is no rate per client.
    clients: Option<Arc<Clients>>,
    /// Upstream and downstream; `None` for one that passes.
    counted: [Option<Arc<Counted>>; 2],
}

/// What is counted in one direction.
#[derive(Debug)]
struct Counted {
    delayed_bytes: Counter,
    delayed_flows: Counter,
}

/// One flow.
#[derive(Debug)]
pub struct ThrottleFlow {
    client: Option<Membership>,
    /// Upstream and downstream; `None` for one that passes.
    lanes: [Option<Lane>; 2],
}

/// One direction of a flow.
#[derive(Debug)]
struct Lane {
    /// `None` where there is no rate per flow.
    own: Option<Bucket>,
    counted: Arc<Counted>,
    /// How much of the input has been counted as delayed.
    delayed: usize,
    /// The flow has been counted as delayed.
    slowed: bool,
}

impl Function for Throttle {
    const NAME: &CStr = c"throttle";
    const SUMMARY: &CStr = c"limits the rate of a flow (argument: kbit/s) and of a client";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    type Flow = ThrottleFlow;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        let directions = setup.choice(
            "direction",
            &[
                ("both", [true, true]),
                ("upstream", [true, false]),
                ("downstream", [false, true]),
            ],
        );
        let directions = directions.unwrap_or([true, true]);
        // Below 10 ms a late wake-up would cost rate.
        let burst = setup.number("burst_ms", 10..=1000).unwrap_or(50);
        let burst = Duration::from_millis(burst);
        let rate = setup.number("client_rate", 0..=u64::from(u32::MAX));
        let rate = rate.and_then(|rate| u32::try_from(rate).ok());
        let prefix = setup.number("prefix", 1..=128);
        let prefix = prefix.and_then(|prefix| u8::try_from(prefix).ok());

        let counters = setup.counters();
        let rate = rate.and_then(|rate| Rate::new(rate, burst));
        let clients = rate.map(|rate| {
            let counter = counters.open("new_clients", "");
            Arc::new(Clients::new(rate, prefix.unwrap_or(128), counter))
        });
        let names = ["direction=upstream", "direction=downstream"];
        let counted = [0, 1].map(|i| directions[i].then(|| Counted::open(counters, names[i])));
        Ok(Self {
            burst,
            clients,
            counted,
        })
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<ThrottleFlow, Reason> {
        Ok(self.spawn_at(flow, Instant::now()))
    }
}

impl Throttle {
    fn spawn_at(&self, flow: &FlowInfo, now: Instant) -> ThrottleFlow {
        let rate = Rate::new(flow.argument, self.burst);
        let limited = rate.is_some() || self.clients.is_some();
        let lanes = [0, 1].map(|direction: usize| {
            let counted = self.counted[direction].as_ref().filter(|_| limited)?;
            Some(Lane {
                own: rate.map(|rate| Bucket::new(rate, now)),
                counted: Arc::clone(counted),
                delayed: 0,
                slowed: false,
            })
        });
        let clients = self.clients.as_ref();
        let client = clients.map(|clients| clients.join(*flow.client.ip(), now));
        ThrottleFlow { client, lanes }
    }
}

impl Flow for ThrottleFlow {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        Ok(self.process_at(direction, input, output, end, Instant::now()))
    }
}

impl ThrottleFlow {
    fn process_at(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
        now: Instant,
    ) -> Progress {
        let Some(lane) = &mut self.lanes[direction as usize] else {
            return Progress::pass(0, 0);
        };
        let wanted = input.len().min(output.len());
        let (n, pause) = lane.take(self.client.as_ref(), direction, wanted, now);
        output[..n].copy_from_slice(&input[..n]);
        lane.delayed = lane.delayed.saturating_sub(n);
        if n == wanted {
            return if end && n == input.len() {
                Progress::finished(n, n)
            } else {
                Progress::more(n, n)
            };
        }
        lane.count(input.len() - n);
        let pause = pause.as_micros().div_ceil(1000).max(1);
        Progress::wait(n, n, u32::try_from(pause).unwrap_or(u32::MAX))
    }
}

impl Lane {
    /// How many of `wanted` bytes may go; if not all, how long to wait for more.
    fn take(
        &mut self,
        client: Option<&Membership>,
        direction: Direction,
        wanted: usize,
        now: Instant,
    ) -> (usize, Duration) {
        let own = self.own.as_mut().map(|own| own.allows(wanted, now));
        let (allowed, mut pause) = own.unwrap_or((wanted, Duration::ZERO));
        let mut taken = allowed;
        // Asked also for nothing: who waits for its own rate must not earn of its client's.
        if let Some(client) = client {
            let (share, share_pause) = client.take(direction, allowed, now);
            taken = share;
            pause = pause.max(share_pause);
        }
        if let Some(own) = &mut self.own {
            own.spend(taken);
        }
        (taken, pause)
    }

    /// So many bytes have to wait.
    fn count(&mut self, waiting: usize) {
        let newly = waiting.saturating_sub(self.delayed);
        self.delayed = self.delayed.max(waiting);
        self.counted.delayed_bytes.add(newly as u64);
        if !self.slowed {
            self.slowed = true;
            self.counted.delayed_flows.one();
        }
    }
}

impl Counted {
    fn open(counters: Counters, label: &str) -> Arc<Self> {
        Arc::new(Self {
            delayed_bytes: counters.open("delayed_bytes", label),
            delayed_flows: counters.open("delayed_flows", label),
        })
    }
}

srv6pipes_vnf::export_functions!(Throttle);
