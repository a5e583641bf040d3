//! Byte strings, searched in a stream of which only the present piece is at hand.
//!
//! The automaton of Aho and Corasick (1975) is in one state between two bytes, and that state *is*
//! the longest prefix of a pattern that the stream ends with just now. So one number remembers all
//! that came before, and says how many bytes may yet become a match.

use std::fmt;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError, MatchKind};

/// The longest pattern, bytes.
pub const MAX_PATTERN: usize = 1024;

/// What is wrong with a pattern.
#[derive(Debug, PartialEq, Eq)]
pub enum Mistake {
    /// It would be found everywhere.
    Empty,
    /// More than [`MAX_PATTERN`] bytes.
    TooLong,
    /// Behind a backslash stands something else than the escapes have.
    Escape,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no byte"),
            Self::TooLong => write!(f, "a pattern has at most {MAX_PATTERN} bytes"),
            Self::Escape => f.write_str("the escapes are \\xNN, \\r, \\n, \\t and \\\\"),
        }
    }
}

/// The bytes that `text` stands for.
///
/// # Errors
/// What is wrong with it.
pub fn unescape(text: &[u8]) -> Result<Vec<u8>, Mistake> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let (byte, behind) = match (first, behind) {
            (b'\\', [b'x', high, low, behind @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                    return Err(Mistake::Escape);
                };
                let byte = u8::try_from(high << 4 | low).map_err(|_| Mistake::Escape)?;
                (byte, behind)
            }
            (b'\\', [b'r', behind @ ..]) => (b'\r', behind),
            (b'\\', [b'n', behind @ ..]) => (b'\n', behind),
            (b'\\', [b't', behind @ ..]) => (b'\t', behind),
            (b'\\', [b'\\', behind @ ..]) => (b'\\', behind),
            (b'\\', _) => return Err(Mistake::Escape),
            (byte, behind) => (*byte, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    match bytes.len() {
        0 => Err(Mistake::Empty),
        1..=MAX_PATTERN => Ok(bytes),
        _ => Err(Mistake::TooLong),
    }
}

/// All patterns of one direction.
#[derive(Debug)]
pub struct Patterns {
    automaton: NFA,
    begin: StateID,
    /// Of each state how long the prefix is that it stands for; sorted by state.
    prefixes: Box<[(StateID, u16)]>,
}

/// Where the search is in one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(StateID);

impl Patterns {
    /// Takes them in; a match is told by its place in `patterns`.
    ///
    /// # Errors
    /// When there are too many, in the words of the crate.
    pub fn new(patterns: &[Vec<u8>]) -> Result<Self, BuildError> {
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(patterns)?;
        // Cannot fail: an NFA has both kinds of beginning.
        let begin = automaton.start_state(Anchored::No).unwrap_or_default();
        let mut prefixes: Vec<(StateID, u16)> = Vec::new();
        for pattern in patterns {
            let mut state = begin;
            for (length, byte) in (1..).zip(pattern) {
                state = automaton.next_state(Anchored::No, state, *byte);
                prefixes.push((state, length));
            }
        }
        prefixes.sort_unstable();
        prefixes.dedup();
        Ok(Self {
            automaton,
            begin,
            prefixes: prefixes.into(),
        })
    }

    /// At the beginning of a stream.
    pub fn begin(&self) -> Cursor {
        Cursor(self.begin)
    }

    /// Goes on over `bytes`, as far as the end of the first match: that pattern's place.
    pub fn search(&self, cursor: &mut Cursor, bytes: &[u8]) -> Option<usize> {
        for byte in bytes {
            cursor.0 = self.automaton.next_state(Anchored::No, cursor.0, *byte);
            if self.automaton.is_match(cursor.0) {
                return Some(self.automaton.match_pattern(cursor.0, 0).as_usize());
            }
        }
        None
    }

    /// How many of the last bytes may yet become a match.
    pub fn pending(&self, cursor: Cursor) -> usize {
        let found = self
            .prefixes
            .binary_search_by_key(&cursor.0, |(state, _)| *state);
        found.map_or(0, |at| usize::from(self.prefixes[at].1))
    }
}
