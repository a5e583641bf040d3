//! A long list of names out of a file, in eight bytes for each.
//!
//! A list of 200 000 names as strings takes 10 MB or more, as a sorted array of their 64-bit
//! hashes 1.6 MB. That two names share a hash happens to one look-up in 10^14, and as the hashes'
//! key is new with every start nobody can find such a pair.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, Read};
use std::net::IpAddr;

use crate::host::{Mistake, Rule, domains};

/// The names.
#[derive(Debug)]
pub struct NameList {
    key: RandomState,
    /// Sorted.
    hashes: Box<[u64]>,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub enum LineMistake {
    /// The name is none.
    Name(String, Mistake),
    /// Several words, and the first of them is no address, as in a hosts file.
    Words,
    /// Not UTF-8.
    Text,
}

impl std::fmt::Display for LineMistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name, mistake) => write!(f, "'{}': {mistake}", name.escape_debug()),
            Self::Words => f.write_str(
                "one name in a line, or, as in a hosts file, an address and names behind it",
            ),
            Self::Text => f.write_str("this is no text in UTF-8"),
        }
    }
}

/// The longest line that is read, bytes.
const MAX_LINE: u64 = 4096;

impl NameList {
    /// Reads `text`, and tells every mistake with its line, counted from 1, to `complain`.
    ///
    /// A line has one name, as [`Rule::parse`] reads it, or is a line of a hosts file: an address
    /// and names behind it. Of the latter those without a dot (`localhost`) do not count: they are
    /// the machine's own. What follows a `#` is a comment.
    ///
    /// # Errors
    /// When reading fails.
    pub fn read(
        mut text: impl BufRead,
        mut complain: impl FnMut(usize, LineMistake),
    ) -> io::Result<Self> {
        let key = RandomState::new();
        let mut hashes = Vec::new();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            // A longer line goes on as the next one: the number is wrong then, the complaint right.
            let mut limited = Read::take(&mut text, MAX_LINE);
            if limited.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let Ok(line) = str::from_utf8(&line) else {
                complain(number, LineMistake::Text);
                continue;
            };
            let read = rules(line, |rule| {
                hashes.push(key.hash_one((rule.exact, rule.name.as_bytes())));
            });
            if let Err(mistake) = read {
                complain(number, mistake);
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        let hashes = hashes.into_boxed_slice();
        Ok(Self { key, hashes })
    }

    /// Whether a line fits `name`.
    pub fn fits(&self, name: &[u8]) -> bool {
        let has = |exact: bool, name: &[u8]| {
            let hash = self.key.hash_one((exact, name));
            self.hashes.binary_search(&hash).is_ok()
        };
        has(true, name) || domains(name).any(|domain| has(false, domain))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }
}

/// Gives the rules of one line to `take`.
fn rules(line: &str, mut take: impl FnMut(Rule)) -> Result<(), LineMistake> {
    let text = line.split('#').next().unwrap_or_default();
    let mut words = text.split_whitespace();
    let mut rule = |word: &str| {
        let rule = Rule::parse(word);
        rule.map(&mut take)
            .map_err(|mistake| LineMistake::Name(word.to_owned(), mistake))
    };
    let Some(first) = words.next() else {
        return Ok(());
    };
    let mut others = words.peekable();
    if others.peek().is_none() {
        return rule(first);
    }
    if !is_address(first) {
        return Err(LineMistake::Words);
    }
    others.filter(|name| name.contains('.')).try_for_each(rule)
}

/// `::1`, also `fe80::1%lo0`.
fn is_address(word: &str) -> bool {
    let address = word.split('%').next().unwrap_or_default();
    address.parse::<IpAddr>().is_ok()
}
