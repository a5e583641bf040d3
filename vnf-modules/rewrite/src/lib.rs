//! The stock function `rewrite`: replaces byte strings by others, of any length, in one direction
//! or both, wherever the stream was cut on its way.
#![deny(unsafe_code)]

mod rule;
mod rules;
mod stream;
#[cfg(test)]
mod tests;

use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use srv6pipes_vnf::{Counter, Direction, Flow, FlowInfo, Function, Progress, Reason, Setup};

use crate::rule::Rule;
use crate::rules::{MAX_RULES, Rules};
use crate::stream::Stream;

/// Longer than a segment that was lost takes to come again on most paths.
const DEFAULT_HOLD_MS: u64 = 200;

/// The function.
#[derive(Debug)]
pub struct Rewrite(Arc<Shared>);

/// What all flows of a section share.
#[derive(Debug)]
pub struct Shared {
    rules: Rules,
    /// Counters, by the number of the rule.
    replaced: Vec<Counter>,
    /// The only direction, if there is only one.
    only: Option<Direction>,
    /// For how long bytes that may become a match are held.
    hold: Duration,
    /// How often that was too long.
    expired: Counter,
}

/// One flow.
#[derive(Debug)]
pub struct RewriteFlow {
    shared: Arc<Shared>,
    upstream: Stream,
    downstream: Stream,
}

/// The words of `option direction`.
const DIRECTIONS: &[(&str, Option<Direction>)] = &[
    ("upstream", Some(Direction::Upstream)),
    ("downstream", Some(Direction::Downstream)),
    ("both", None),
];

impl Function for Rewrite {
    const NAME: &CStr = c"rewrite";
    const SUMMARY: &CStr = c"replaces byte strings, wherever the stream is cut";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    type Flow = RewriteFlow;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        let only = setup.choice("direction", DIRECTIONS).flatten();
        let hold = setup.number("hold_ms", 1..=60_000);
        let rules = rules(setup);
        if setup.list("replace").is_empty() {
            return Err("needs a rule: list replace 'from=>to'".into());
        }
        let counters = setup.counters();
        let number = |rule: &Rule| rules.iter().position(|given| given == rule);
        let sorted = Rules::new(rules.clone());
        let replaced = (0..rules.len())
            .map(|place| number(sorted.rule(place)).unwrap_or(place) + 1)
            .map(|number| counters.open("replaced_strings", &format!("rule={number}")))
            .collect();
        Ok(Self(Arc::new(Shared {
            replaced,
            rules: sorted,
            only,
            hold: Duration::from_millis(hold.unwrap_or(DEFAULT_HOLD_MS)),
            expired: counters.open("expired_holds", ""),
        })))
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<RewriteFlow, Reason> {
        if flow.argument != 0 {
            return Err(format!("argument {:#x}: must be 0", flow.argument).into());
        }
        Ok(RewriteFlow {
            shared: Arc::clone(&self.0),
            upstream: Stream::default(),
            downstream: Stream::default(),
        })
    }
}

/// The rules in the order of the file; whatever is wrong with them is complained of.
fn rules(setup: &Setup) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for (number, given) in (1..).zip(setup.list("replace")) {
        match Rule::read(given.value) {
            Err(mistake) => setup.complain(&given, mistake),
            Ok(rule) if rules.iter().any(|other| other.from == rule.from) => {
                setup.complain(&given, "replaces what another one replaces already");
            }
            Ok(rule) => rules.push(rule),
        }
        if number == MAX_RULES + 1 {
            setup.complain(&given, format!("is one too many: at most {MAX_RULES}"));
        }
    }
    rules
}

impl Flow for RewriteFlow {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        let shared = &*self.shared;
        if shared.only.is_some_and(|only| only != direction) {
            return Ok(Progress::pass(0, 0));
        }
        let stream = match direction {
            Direction::Upstream => &mut self.upstream,
            Direction::Downstream => &mut self.downstream,
        };
        Ok(stream.process(shared, input, output, end, Instant::now))
    }
}

srv6pipes_vnf::export_functions!(Rewrite);
