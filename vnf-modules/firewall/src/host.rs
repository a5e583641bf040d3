//! Names of hosts: as rules write them, as requests write them, and how they are compared.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;

/// The longest name, bytes (RFC 1035, section 2.3.4, as text).
const MAX_NAME: usize = 253;
/// The longest label, bytes.
const MAX_LABEL: usize = 63;

/// A name as a rule has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Lower case, without a dot at its end.
    pub name: String,
    /// `=name`: its subdomains are not meant.
    pub exact: bool,
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Nothing is left.
    Empty,
    /// More than 253 bytes, or a label of more than 63.
    TooLong,
    /// Two dots in a row, or one in front.
    EmptyLabel,
    /// Letters of other scripts travel as `xn--…`.
    NotAscii,
    /// This is in no name.
    Character(char),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no name"),
            Self::TooLong => f.write_str("no name is so long: 253 bytes, 63 between two dots"),
            Self::EmptyLabel => f.write_str("there is nothing between two dots"),
            Self::NotAscii => f.write_str("other letters than a to z travel as xn--…: write that"),
            Self::Character(c) => write!(f, "a name has no {c:?}"),
        }
    }
}

impl Rule {
    /// Reads `ads.example` (that name and all below it; also written `.ads.example` or
    /// `*.ads.example`), `=ads.example` (only that name), or an IPv6 address.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let (exact, text) = match text.strip_prefix('=') {
            Some(text) => (true, text),
            None => (false, text),
        };
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            let name = address.to_string();
            return Ok(Self { name, exact });
        }
        let text = match text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
            Some(text) if !exact => text,
            _ => text,
        };
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        match name.chars().find(|c| !known(*c)) {
            Some(c) if !c.is_ascii() => return Err(Mistake::NotAscii),
            Some(c) => return Err(Mistake::Character(c)),
            None if name.is_empty() => return Err(Mistake::Empty),
            None if name.split('.').any(str::is_empty) => return Err(Mistake::EmptyLabel),
            None => {}
        }
        if name.len() > MAX_NAME || name.split('.').any(|label| label.len() > MAX_LABEL) {
            return Err(Mistake::TooLong);
        }
        Ok(Self { name, exact })
    }
}

/// The name in an authority, as rules have it: without user and port, dots at its end and the
/// brackets of an address, in lower case. Any bytes may come out, if any bytes came in.
pub fn name_of(authority: &[u8]) -> Vec<u8> {
    let host = authority
        .rsplit(|byte| *byte == b'@')
        .next()
        .unwrap_or_default();
    if let Some(address) = host.strip_prefix(b"[") {
        let address = address.split(|byte| *byte == b']').next();
        let address = address.unwrap_or_default();
        let parsed = str::from_utf8(address).ok().map(str::parse::<Ipv6Addr>);
        return match parsed {
            Some(Ok(address)) => address.to_string().into_bytes(),
            _ => address.to_ascii_lowercase(),
        };
    }
    let mut name = host
        .split(|byte| *byte == b':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    while name.last() == Some(&b'.') {
        name.pop();
    }
    name
}

/// The name itself, and what is behind each of its dots, as far as a rule can be so long: from a
/// hostile name there are no more than from an honest one.
pub fn domains(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = name.len().saturating_sub(MAX_NAME);
    (first..name.len())
        .filter(|at| at.checked_sub(1).is_none_or(|before| name[before] == b'.'))
        .map(|at| &name[at..])
}

/// A few names, and what each of them stands for.
#[derive(Debug)]
pub struct Names<T> {
    exact: HashMap<Box<[u8]>, T>,
    domains: HashMap<Box<[u8]>, T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            domains: HashMap::new(),
        }
    }
}

impl<T> Names<T> {
    /// Adds a rule; one of the same name gives way.
    pub fn add(&mut self, rule: Rule, meaning: T) {
        let names = if rule.exact {
            &mut self.exact
        } else {
            &mut self.domains
        };
        names.insert(rule.name.into_bytes().into(), meaning);
    }

    /// What the rule that fits `name` best stands for.
    pub fn find(&self, name: &[u8]) -> Option<&T> {
        let exact = self.exact.get(name);
        exact.or_else(|| domains(name).find_map(|domain| self.domains.get(domain)))
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.domains.is_empty()
    }
}
