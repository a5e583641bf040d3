//! A flow's functions in the order of its segment list: upstream runs them forwards, downstream
//! backwards, as a chain of proxies would.

use std::sync::Arc;

use crate::config::model::FunctionFailure;
use crate::proxy::outcome::Outcome;
use crate::stats::FunctionCounters;
use crate::vnf::{Broken, Direction, Progress, Report, Transform};

/// One function of one flow.
#[derive(Debug)]
pub struct Stage {
    /// Which function, for `flows`.
    pub id: u16,
    /// The flow's own state in the module.
    pub transform: Box<dyn Transform>,
    /// What becomes of the flow when the function breaks its promise.
    pub on_failure: FunctionFailure,
    /// What the function has seen.
    pub counters: Arc<FunctionCounters>,
    /// It has been told that the flow is over.
    told_last: bool,
}

/// All functions of one flow.
#[derive(Debug, Default)]
pub struct Chain {
    stages: Vec<Stage>,
}

impl Chain {
    /// A chain in the order of travel from the client.
    pub fn new(stages: Vec<Stage>) -> Self {
        Self { stages }
    }

    /// How many functions there are.
    pub fn len(&self) -> usize {
        self.stages.len()
    }

    /// Whether there is none: the kernel may move the bytes.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// The functions' numbers, in the order of travel from the client.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.stages.iter().map(|stage| stage.id)
    }

    /// Whether any function wants reports.
    pub fn reports(&self) -> bool {
        self.stages.iter().any(|stage| stage.transform.reports())
    }

    /// Tells those that want it.
    pub fn report(&mut self, report: &Report) {
        for stage in &mut self.stages {
            stage.report(report);
        }
    }

    /// The stage that bytes going in `direction` meet as their `place`th.
    pub fn stage(&mut self, direction: Direction, place: usize) -> Option<&mut Stage> {
        let index = match direction {
            Direction::Upstream => place,
            Direction::Downstream => self.stages.len().checked_sub(place + 1)?,
        };
        self.stages.get_mut(index)
    }
}

impl Stage {
    /// The function of this number, with its state for this flow.
    pub fn new(
        id: u16,
        transform: Box<dyn Transform>,
        on_failure: FunctionFailure,
        counters: Arc<FunctionCounters>,
    ) -> Self {
        Self {
            id,
            transform,
            on_failure,
            counters,
            told_last: false,
        }
    }

    fn report(&mut self, report: &Report) {
        if self.transform.reports() && !self.told_last {
            self.told_last = report.last;
            self.transform.report(report);
        }
    }

    /// Runs the function once and counts what it did.
    pub fn run(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Broken> {
        let progress = self.transform.process(direction, input, output, end)?;
        self.counters.in_bytes.bytes(progress.consumed);
        self.counters.out_bytes.bytes(progress.produced);
        Ok(progress)
    }

    /// The function broke its promise: counted and logged, see [`count_broken`].
    ///
    /// # Errors
    /// The flow's end, unless the function's failures let flows pass.
    pub fn blame(&self, broken: Broken) -> Result<(), Outcome> {
        let level = count_broken(&self.counters);
        let id = self.id;
        match self.on_failure {
            FunctionFailure::Reset => {
                log::log!(level, "function {id:#06x} {broken}; its flow is reset");
                Err(Outcome::Broken(id, broken))
            }
            FunctionFailure::Pass => {
                log::log!(
                    level,
                    "function {id:#06x} {broken}; its flow goes on untouched"
                );
                Ok(())
            }
        }
    }
}

/// Whoever wants reports is told of the end, also of a flow that another function would not take, or
/// that found no next segment: nothing has moved then.
impl Drop for Stage {
    fn drop(&mut self) {
        self.report(&Report {
            last: true,
            ..Report::default()
        });
    }
}

/// Counts a flow that a function broke; how loud to say so: a warning the first time only, so that
/// a bad module cannot fill the log.
pub fn count_broken(counters: &FunctionCounters) -> log::Level {
    if counters.broken_flows.first() {
        log::Level::Warn
    } else {
        log::Level::Debug
    }
}
