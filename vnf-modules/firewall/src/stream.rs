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
//!
//! Who waits for an answer in the middle of what might become a head or a pattern gets it late, not
//! never: after a while all goes on at once, and only what completes something blocked does not.

use std::time::{Duration, Instant};

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
    /// For so long bytes wait for a verdict; `None`: for ever.
    pub patience: Option<Duration>,
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
    /// What was looked at and did not go on yet; behind what `sent` says.
    waiting: Vec<u8>,
    /// So many of these have gone on, and are still part of a head.
    sent: usize,
    /// So many of them wait for room only, or are sent.
    free: usize,
    /// Since when some of them wait for a verdict.
    since: Option<Instant>,
    /// Some have waited for too long: nothing waits any more.
    late: bool,
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
            sent: 0,
            free: 0,
            since: None,
            late: false,
            passed: scope.names.is_none() && scope.patterns.is_none(),
        }
    }

    /// Whether nothing more will be looked at.
    pub fn passed(&self) -> bool {
        self.passed
    }

    /// Whether bytes have gone on without a verdict.
    pub fn is_late(&self) -> bool {
        self.late
    }

    /// Takes what it may of `input`, and lets go what it can. `now` is asked only if something waits.
    pub fn step<'r>(
        &mut self,
        scope: Scope<'r>,
        input: &[u8],
        output: &mut [u8],
        end: bool,
        now: impl FnOnce() -> Instant,
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
            Verdict::Open(free) if old == 0 && free == fresh.len() && !self.late => {
                let produced = free.min(output.len());
                output[..produced].copy_from_slice(&fresh[..produced]);
                self.waiting.extend_from_slice(&fresh[produced..]);
                self.free = free - produced;
                return Step::Done(Progress::more(fresh.len(), produced));
            }
            Verdict::Open(free) => {
                if old == 0 {
                    self.waiting.extend_from_slice(fresh);
                }
                let left = self.patience(scope, free, now);
                let progress = self.release(fresh.len(), output);
                return Step::Done(match left {
                    Some(ms) => Progress::wait(progress.consumed, progress.produced, ms),
                    None => progress,
                });
            }
        }
        Step::Done(self.release(fresh.len(), output))
    }

    /// `free` bytes may go on. For how long the others are to wait, milliseconds, if not for ever;
    /// once that is over, all may go.
    fn patience(
        &mut self,
        scope: Scope<'_>,
        free: usize,
        now: impl FnOnce() -> Instant,
    ) -> Option<u32> {
        self.free = free.max(self.sent);
        let patience = scope.patience.filter(|_| self.free < self.waiting.len());
        let Some(patience) = patience.filter(|_| !self.late) else {
            self.since = None;
            if self.late {
                self.free = self.waiting.len();
            }
            return None;
        };
        let now = now();
        let waited = now.saturating_duration_since(*self.since.get_or_insert(now));
        let left = patience.saturating_sub(waited).as_micros().div_ceil(1000);
        if left == 0 {
            self.late = true;
            self.free = self.waiting.len();
            return None;
        }
        Some(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// Lets go of what waits as much as may go and has room.
    fn release(&mut self, consumed: usize, output: &mut [u8]) -> Progress {
        let ready = &self.waiting[self.sent..self.free];
        let produced = ready.len().min(output.len());
        output[..produced].copy_from_slice(&ready[..produced]);
        self.sent += produced;
        // Of a head that goes on before its name is known the name will be made.
        if !self.late || self.passed || self.inspection.look.is_none() {
            self.waiting.drain(..self.sent);
            self.free -= self.sent;
            self.sent = 0;
        }
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
