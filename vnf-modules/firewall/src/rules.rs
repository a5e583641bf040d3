//! What the operator's rules come to: by name, by pattern, and for flows that have no name.

use srv6pipes_vnf::{Counter, Counters, Log};

use crate::host::Names;
use crate::name_list::NameList;
use crate::names::Nameless;
use crate::pattern::{Cursor, Patterns};

/// All of them, as one `config function` section has them.
#[derive(Debug)]
pub struct Rules {
    /// By the name that TLS and HTTP tell.
    pub names: NameRules,
    /// By what the client sends.
    pub upstream: Option<PatternRules>,
    /// By what the server sends.
    pub downstream: Option<PatternRules>,
    /// Of each direction so many bytes are looked at.
    pub inspect_bytes: usize,
    /// How a blocked flow ends.
    pub action: Action,
    /// Flows that may pass.
    pub passed: Counter,
    /// For debugging.
    pub log: Log,
}

/// How a blocked flow ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// By a reset to both ends.
    Reset,
    /// By an orderly end to both.
    Close,
}

/// One reason to block, and how often it was one.
#[derive(Debug)]
pub struct Rule {
    /// `name:ads.example`
    label: String,
    blocked: Counter,
}

impl Rule {
    /// A rule that counts as `blocked_flows` with `rule=LABEL`.
    pub fn new(counters: Counters, label: String) -> Self {
        let blocked = counters.open("blocked_flows", &format!("rule={label}"));
        Self { label, blocked }
    }

    /// A flow is blocked by it.
    pub fn blocks(&self, log: &Log) {
        self.blocked.one();
        log.debug(format_args!("blocked by {}", self.label));
    }
}

/// Rules about names.
#[derive(Debug)]
pub struct NameRules {
    /// What passes whatever the others say.
    pub allowed: Names<()>,
    /// Out of the configuration.
    pub blocked: Names<Rule>,
    /// `*`: every name.
    pub every: Option<Rule>,
    /// Out of files.
    pub lists: Vec<(NameList, Rule)>,
    /// Flows without a name, if they are blocked.
    pub nameless: Option<Rule>,
    /// Flows that begin like TLS or HTTP and do not come to their name.
    pub oversized: Rule,
    /// Flows without a name: TLS, HTTP, others.
    pub unknown: [Counter; 3],
}

impl NameRules {
    /// Whether they can block anything.
    pub fn any(&self) -> bool {
        let named = !self.blocked.is_empty() || !self.lists.is_empty();
        named || self.every.is_some() || self.nameless.is_some()
    }

    /// What blocks `name`.
    pub fn judge(&self, name: &[u8]) -> Option<&Rule> {
        if name.is_empty() || self.allowed.find(name).is_some() {
            return None;
        }
        let list = || self.lists.iter().find(|(list, _)| list.fits(name));
        let blocked = self.blocked.find(name);
        let blocked = blocked.or_else(|| list().map(|(_, rule)| rule));
        blocked.or(self.every.as_ref())
    }

    /// A flow has no name: what blocks it.
    pub fn judge_nameless(&self, kind: Nameless) -> Option<&Rule> {
        let [tls, http, other] = &self.unknown;
        match kind {
            Nameless::Tls => tls.one(),
            Nameless::Http => http.one(),
            Nameless::Other => other.one(),
        }
        self.nameless.as_ref()
    }
}

/// Rules about the bytes of one direction.
#[derive(Debug)]
pub struct PatternRules {
    patterns: Patterns,
    /// Of each pattern, which of the rules it belongs to.
    rule_of: Vec<usize>,
    rules: Vec<Rule>,
}

impl PatternRules {
    /// `rule_of[i]` says which of `rules` the pattern of place i belongs to.
    pub fn new(patterns: Patterns, rule_of: Vec<usize>, rules: Vec<Rule>) -> Self {
        Self {
            patterns,
            rule_of,
            rules,
        }
    }

    /// At the beginning of a stream.
    pub fn begin(&self) -> Cursor {
        self.patterns.begin()
    }

    /// Goes on over `bytes`; what blocks them.
    pub fn judge(&self, cursor: &mut Cursor, bytes: &[u8]) -> Option<&Rule> {
        let pattern = self.patterns.search(cursor, bytes)?;
        self.rules.get(*self.rule_of.get(pattern)?)
    }

    /// How many of the last bytes may yet become a match.
    pub fn pending(&self, cursor: Cursor) -> usize {
        self.patterns.pending(cursor)
    }
}
