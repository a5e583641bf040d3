//! One direction of a flow: which of its bytes go on now, and which wait for a verdict.
//!
//! ```text
//!  input ─▶ seen by the rules ─▶ waiting ─▶ output         then PASS: the kernel moves the rest
//!                                 └ a head whose name is not known, a prefix of a pattern
//! ```
//!
//! What waits is kept here and not left in the host's buffer, which is one of 68 KiB however few
//! bytes are in it: thousands of clients that begin a request and do not go on would fill a
//! router's memory with nearly nothing. Mostly nothing waits: a head that comes in one piece is
//! judged where it lies, and goes on from there.

use srv6pipes_vnf::Progress;

use crate::names::{Last, Look, Seen};
use crate::pattern::Cursor;
use crate::rules::{NameRules, PatternRules, Rule};

/// The rules that concern one direction of a flow.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'r> {
    /// By the name.
    pub names: Option<&'r NameRules>,
    /// By byte strings.
    pub patterns: Option<&'r PatternRules>,
    /// So many bytes are looked at.
    pub inspect_bytes: usize,
}

/// What became of one call.
#[derive(Debug)]
pub enum Step<'r> {
    /// For the host.
    Done(Progress),
    /// The flow is to end.
    Blocked(&'r Rule),
}

/// The state of one direction.
#[derive(Debug)]
pub struct Stream {
    inspection: Inspection,
    /// How many bytes were looked at.
    seen: usize,
    /// What was looked at and did not go on yet.
    waiting: Vec<u8>,
    /// So many of these wait for room only.
    free: usize,
    passed: bool,
}

impl Stream {
    /// Before its first byte.
    pub fn new(scope: Scope<'_>) -> Self {
        Self {
            inspection: Inspection {
                look: scope.names.map(|_| Look::default()),
                cursor: scope.patterns.map(PatternRules::begin),
            },
            seen: 0,
            waiting: Vec::new(),
            free: 0,
            passed: scope.names.is_none() && scope.patterns.is_none(),
        }
    }

    /// Whether nothing more will be looked at.
    pub fn passed(&self) -> bool {
        self.passed
    }

    /// Takes what it may of `input`, and lets go what it can.
    pub fn step<'r>(
        &mut self,
        scope: Scope<'r>,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Step<'r> {
        if self.passed {
            return Step::Done(self.release(0, output));
        }
        let wanted = scope.inspect_bytes - self.seen;
        let fresh = &input[..wanted.min(input.len())];
        let last = match (fresh.len() == wanted, end) {
            (true, _) => Last::Full,
            (false, true) => Last::End,
            (false, false) => Last::No,
        };
        self.seen += fresh.len();
        let old = self.waiting.len();
        let bytes = if old == 0 {
            fresh
        } else {
            self.waiting.extend_from_slice(fresh);
            &self.waiting
        };
        match self.inspection.judge(scope, bytes, old, last) {
            Verdict::Blocked(rule) => return Step::Blocked(rule),
            Verdict::Passed if old == 0 => {
                self.passed = true;
                return Step::Done(Progress::pass(0, 0));
            }
            Verdict::Passed => {
                self.passed = true;
                self.free = self.waiting.len();
            }
            Verdict::Open(free) if old == 0 => {
                let produced = free.min(output.len());
                output[..produced].copy_from_slice(&fresh[..produced]);
                self.waiting.extend_from_slice(&fresh[produced..]);
                self.free = free - produced;
                return Step::Done(Progress::more(fresh.len(), produced));
            }
            Verdict::Open(free) => self.free = free,
        }
        Step::Done(self.release(fresh.len(), output))
    }

    /// Lets go of what waits as much as may go and has room.
    fn release(&mut self, consumed: usize, output: &mut [u8]) -> Progress {
        let produced = self.free.min(output.len());
        output[..produced].copy_from_slice(&self.waiting[..produced]);
        self.waiting.drain(..produced);
        self.free -= produced;
        if self.passed && self.waiting.is_empty() {
            self.waiting = Vec::new();
            return Progress::pass(consumed, produced);
        }
        Progress::more(consumed, produced)
    }
}

/// What the bytes so far come to.
#[derive(Debug)]
enum Verdict<'r> {
    /// More are needed; so many of those at hand may go on.
    Open(usize),
    /// The flow is to end.
    Blocked(&'r Rule),
    /// Nothing more has to be looked at.
    Passed,
}

/// How far the rules have looked.
#[derive(Debug)]
struct Inspection {
    /// Until it is known what the name is.
    look: Option<Look>,
    /// Where the search for patterns is, if there are any.
    cursor: Option<Cursor>,
}

impl Inspection {
    /// Judges `bytes`: all that did not go on yet, of which the first `old` were there before.
    fn judge<'r>(&mut self, scope: Scope<'r>, bytes: &[u8], old: usize, last: Last) -> Verdict<'r> {
        let mut free = bytes.len();
        if let (Some(cursor), Some(patterns)) = (&mut self.cursor, scope.patterns) {
            if let Some(rule) = patterns.judge(cursor, &bytes[old..]) {
                return Verdict::Blocked(rule);
            }
            free = free.saturating_sub(patterns.pending(*cursor));
        }
        if let (Some(look), Some(names)) = (&mut self.look, scope.names) {
            let blocked = match look.at(bytes, last, |name| names.judge(name)) {
                Seen::More(harmless) => return Verdict::Open(free.min(harmless)),
                Seen::Blocked(rule) => Some(rule),
                Seen::Oversized => Some(&names.oversized),
                Seen::Nameless(kind) => names.judge_nameless(kind),
                Seen::Named => None,
            };
            if let Some(rule) = blocked {
                return Verdict::Blocked(rule);
            }
            self.look = None;
        }
        if self.cursor.is_none() || last != Last::No {
            return Verdict::Passed;
        }
        Verdict::Open(free)
    }
}
