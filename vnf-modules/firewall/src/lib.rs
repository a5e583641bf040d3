//! The stock function `firewall`: looks at how a flow begins, ends it or lets it pass for good.
//!
//! By the name a client asks for (TLS server_name, HTTP Host) and by byte strings. What has passed
//! costs nothing any more: the kernel moves it. README.md says how it is set up and what it cannot
//! see.
//!
//! | file | is |
//! |---|---|
//! | `options` | the UCI section → `rules` |
//! | `stream` | one direction of a flow: what goes on, what waits |
//! | `names` | stream → name, by `client_hello` and `request` |
//! | `host`, `name_list`, `pattern` | what rules are made of |
#![deny(unsafe_code)]

mod client_hello;
mod host;
mod name_list;
mod names;
mod options;
mod pattern;
mod request;
mod rules;
mod stream;
#[cfg(test)]
mod tests;

use std::ffi::CStr;
use std::sync::Arc;

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, Setup, Verdict};

use crate::rules::{Action, Rules};
use crate::stream::{Scope, Step, Stream};

/// Argument bit: the rules by name count for this flow.
const NAMES: u32 = 1;
/// Argument bit: the patterns of what the client sends count.
const UPSTREAM_PATTERNS: u32 = 2;
/// Argument bit: the patterns of what the server sends count.
const DOWNSTREAM_PATTERNS: u32 = 4;
/// What the argument 0 means.
const ALL: u32 = NAMES | UPSTREAM_PATTERNS | DOWNSTREAM_PATTERNS;

/// The function.
#[derive(Debug)]
pub struct Firewall {
    rules: Arc<Rules>,
}

/// One flow.
#[derive(Debug)]
pub struct FirewallFlow {
    rules: Arc<Rules>,
    upstream: Stream,
    downstream: Stream,
    /// It has been counted as passed.
    passed: bool,
    argument: u32,
}

impl Function for Firewall {
    const NAME: &CStr = c"firewall";
    const SUMMARY: &CStr =
        c"blocks flows by TLS or HTTP name and by byte patterns; the rest passes";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    const READS_FILES: bool = true;
    type Flow = FirewallFlow;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        let rules = Arc::new(options::read(setup)?);
        Ok(Self { rules })
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<FirewallFlow, Reason> {
        let argument = match flow.argument {
            0 => ALL,
            1..=ALL => flow.argument,
            more => return Err(format!("argument {more:#x}: only the bits of {ALL:#x}").into()),
        };
        let scope = |direction| scope(&self.rules, argument, direction);
        Ok(FirewallFlow {
            upstream: Stream::new(scope(Direction::Upstream)),
            downstream: Stream::new(scope(Direction::Downstream)),
            rules: Arc::clone(&self.rules),
            passed: false,
            argument,
        })
    }
}

/// Which rules concern a direction of a flow with this argument.
fn scope(rules: &Rules, argument: u32, direction: Direction) -> Scope<'_> {
    let counts = |bit| argument & bit != 0;
    let patterns = |bit, patterns| if counts(bit) { patterns } else { None };
    let (names, patterns) = match direction {
        Direction::Upstream => {
            let names = (counts(NAMES) && rules.names.any()).then_some(&rules.names);
            (names, patterns(UPSTREAM_PATTERNS, rules.upstream.as_ref()))
        }
        Direction::Downstream => {
            let of_server = rules.downstream.as_ref();
            (None, patterns(DOWNSTREAM_PATTERNS, of_server))
        }
    };
    Scope {
        names,
        patterns,
        inspect_bytes: rules.inspect_bytes,
    }
}

impl Flow for FirewallFlow {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        let scope = scope(&self.rules, self.argument, direction);
        let stream = match direction {
            Direction::Upstream => &mut self.upstream,
            Direction::Downstream => &mut self.downstream,
        };
        match stream.step(scope, input, output, end) {
            Step::Blocked(rule) => {
                rule.blocks(&self.rules.log);
                let verdict = match self.rules.action {
                    Action::Reset => Verdict::Reset,
                    Action::Close => Verdict::Close,
                };
                Ok(Progress {
                    consumed: 0,
                    produced: 0,
                    verdict,
                })
            }
            Step::Done(progress) => {
                if !self.passed && self.upstream.passed() && self.downstream.passed() {
                    self.passed = true;
                    self.rules.passed.one();
                }
                Ok(progress)
            }
        }
    }
}

srv6pipes_vnf::export_functions!(Firewall);
