//! The stock function `balance`: sends each flow to one of several servers, or by one of several
//! proxies, and to another one if that does not answer. The thesis's section 3.2.3, both variants.
//!
//! The argument is a set: bit n allows the nth line of the list; 0 allows all. UCI options: `list
//! server` or `list proxy`, `policy`, `retry`; see README.md.
#![deny(unsafe_code)]

mod health;
mod policy;
mod pool;
mod target;
#[cfg(test)]
mod tests;

use std::ffi::CStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use srv6pipes_vnf::{
    Counter, Direction, Flow, FlowInfo, Function, Log, Progress, Reason, Report, Route, Routed,
    Setup,
};

use crate::policy::Policy;
use crate::pool::{Choice, Pool};
use crate::target::{MOST, Target};

/// How long who has failed is left alone, by default.
const DEFAULT_RETRY: Duration = Duration::from_secs(10);
/// What `option retry` may be, seconds.
const RETRIES: std::ops::RangeInclusive<u64> = 1..=3600;

/// The function: what its flows share.
#[derive(Debug)]
pub struct Balance(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    targets: Vec<Counted>,
    pool: Mutex<Pool>,
    log: Log,
}

/// A target with what the operator is told of it.
#[derive(Debug)]
struct Counted {
    target: Target,
    /// Flows that it has answered.
    served: Counter,
    /// Flows that it has not.
    failed: Counter,
    /// Flows that it has answered and that are over.
    ended: Counter,
    /// Both directions, as far as is known.
    moved: Counter,
}

/// One flow.
#[derive(Debug)]
pub struct BalanceFlow {
    function: Arc<Shared>,
    index: usize,
    /// What was taken off its target's share for it, bytes.
    charged: u64,
    /// What is counted of it, bytes.
    counted: u64,
}

impl Function for Balance {
    const NAME: &CStr = c"balance";
    const SUMMARY: &CStr = c"chooses one of several servers, or of several proxies";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    const ROUTES: bool = true;
    type Flow = BalanceFlow;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        let targets = Target::listed(setup);
        let words = [
            ("weighted", Policy::Weighted),
            ("drr", Policy::Drr),
            ("least_flows", Policy::LeastFlows),
            ("client", Policy::Client),
        ];
        let policy = setup.choice("policy", &words).unwrap_or(Policy::Weighted);
        let retry = setup.number("retry", RETRIES);
        let retry = retry.map_or(DEFAULT_RETRY, Duration::from_secs);
        let nothing_said = setup.list("server").is_empty() && setup.list("proxy").is_empty();
        if nothing_said {
            return Err("there is nothing to choose: add list server or list proxy".into());
        }
        let pool = Mutex::new(Pool::new(&targets, policy, retry));
        let counted = |target: Target| {
            let label = target.place.label();
            let open = |name| setup.counters().open(name, &label);
            Counted {
                target,
                served: open("served_flows"),
                failed: open("failed_flows"),
                ended: open("ended_flows"),
                moved: open("moved_bytes"),
            }
        };
        Ok(Self(Arc::new(Shared {
            targets: targets.into_iter().map(counted).collect(),
            pool,
            log: setup.log(),
        })))
    }

    fn route(&self, flow: &FlowInfo, route: &mut Route) -> Result<(), Reason> {
        let shared = &self.0;
        let wanted = wanted(flow.argument, shared.targets.len())?;
        let now = Instant::now();
        let client = *flow.client.ip();
        let choice = shared.pool().choose(wanted, client, route.attempt, now);
        let choice = choice.ok_or("none of them answers")?;
        let counted = &shared.targets[choice.index];
        if let Err(reason) = counted.target.place.send(route) {
            shared.pool().drops(choice);
            return Err(reason.into());
        }
        route.choice = choice.number();
        Ok(())
    }

    fn routed(&self, choice: u64, event: Routed) {
        let Some(choice) = Choice::of(choice) else {
            return;
        };
        let Some(counted) = self.0.targets.get(choice.index) else {
            return;
        };
        let place = &counted.target.place;
        let log = self.0.log;
        // The lock is gone before anything is written.
        match event {
            Routed::Connected => {
                counted.served.one();
                let news = self.0.pool().serves(choice);
                if news {
                    log.info(format_args!("{place} answers again"));
                }
            }
            Routed::Failed => {
                counted.failed.one();
                let news = self.0.pool().fails(choice, Instant::now());
                if let Some(pause) = news {
                    let pause = pause.as_secs();
                    log.warn(format_args!(
                        "{place} does not answer: left alone for {pause} s"
                    ));
                }
            }
            Routed::Dropped => self.0.pool().drops(choice),
            Routed::Ended => {
                counted.ended.one();
                self.0.pool().ends(choice);
            }
        }
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<BalanceFlow, Reason> {
        let choice = Choice::of(flow.choice).ok_or("the host has not asked where it goes")?;
        Ok(BalanceFlow {
            function: Arc::clone(&self.0),
            index: choice.index,
            charged: u64::try_from(choice.charge).unwrap_or(0),
            counted: 0,
        })
    }
}

/// The set of targets that an argument allows.
fn wanted(argument: u32, count: usize) -> Result<u32, Reason> {
    let all = u32::MAX >> (MOST - count.clamp(1, MOST));
    match argument {
        0 => Ok(all),
        set if set & !all == 0 => Ok(set),
        set => Err(format!("argument {set:#x}: only {count} lines are there to choose").into()),
    }
}

impl Shared {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Nothing in there panics half-way; if it did, the shares would be a little wrong.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow for BalanceFlow {
    const REPORTS: bool = true;

    fn process(
        &mut self,
        _direction: Direction,
        _input: &[u8],
        _output: &mut [u8],
        _end: bool,
    ) -> Result<Progress, Reason> {
        Ok(Progress::pass(0, 0))
    }

    /// The flow's bytes are known late: at the operator's questions, and at its end.
    fn report(&mut self, report: &Report) {
        let moved = report.upstream_out.saturating_add(report.downstream_out);
        self.function.targets[self.index]
            .moved
            .add(moved.saturating_sub(self.counted));
        self.counted = moved;
        // What was charged is not given back before it is certain that the flow moves less.
        if moved <= self.charged && !report.last {
            return;
        }
        let beyond = signed(moved).saturating_sub(signed(self.charged));
        self.charged = moved;
        let mut pool = self.function.pool();
        pool.moved(self.index, beyond);
        if report.last {
            pool.learn(signed(moved));
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

srv6pipes_vnf::export_functions!(Balance);
