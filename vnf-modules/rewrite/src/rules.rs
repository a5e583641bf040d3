//! All rules of a section, and which of them fits where: at the first place where one does, and
//! there the one with the longest `from`.
//!
//! They are sorted, so that those which begin as the stream does at some place are neighbours, and
//! become fewer with each byte at which they differ. The crate `aho-corasick` cannot say what may still become a match
//! (its streams know no leftmost matches), and would make the module a third larger.

use std::ops::Range;

use crate::rule::Rule;

/// Most rules of a section.
pub const MAX_RULES: usize = 64;

/// At least one rule, no two with the same `from`.
#[derive(Debug)]
pub struct Rules {
    /// By `from`.
    sorted: Vec<Rule>,
    /// `common[i]`: how many bytes at the front rule i and the next one have in common.
    common: Vec<usize>,
    /// `firsts[b]`: those whose `from` begins with b.
    firsts: [Range<usize>; 256],
    /// Whether there is one that begins with two bytes: a bit for each pair, the first byte of it
    /// the higher.
    pairs: Box<[u64; PAIRS]>,
}

/// Words of 64 bits for 65536 pairs.
const PAIRS: usize = 65_536 / 64;

/// What the bytes at some place are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// No rule fits, whatever follows.
    None,
    /// This rule fits, whatever follows.
    Rule(usize),
    /// A rule fits if the right bytes follow; until then perhaps a shorter one.
    Open(Option<usize>),
}

impl Rules {
    /// The rules in any order.
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by(|one, other| one.from.cmp(&other.from));
        let first = |rule: &Rule| usize::from(rule.from.first().copied().unwrap_or_default());
        let firsts = std::array::from_fn(|byte| {
            let start = rules.partition_point(|rule| first(rule) < byte);
            start..rules.partition_point(|rule| first(rule) <= byte)
        });
        let mut pairs = Box::new([0; PAIRS]);
        for rule in &rules {
            let seconds = match rule.from.get(1) {
                Some(second) => *second..=*second,
                None => 0..=255,
            };
            for second in seconds {
                let (word, bit) = place(first(rule), second);
                pairs[word] |= bit;
            }
        }
        let neighbours = rules.windows(2);
        Self {
            common: neighbours
                .map(|pair| common(&pair[0].from, &pair[1].from))
                .collect(),
            sorted: rules,
            firsts,
            pairs,
        }
    }

    /// A rule by the number that [`Fit`] gave.
    pub fn rule(&self, number: usize) -> &Rule {
        &self.sorted[number]
    }

    /// How many bytes at the front of `bytes` begin no rule, or at least do not seem to; the last
    /// one is not looked at.
    pub fn plain(&self, bytes: &[u8]) -> usize {
        let mut pairs = bytes.windows(2);
        let begins = pairs.position(|pair| {
            let (word, bit) = place(usize::from(pair[0]), pair[1]);
            self.pairs[word] & bit != 0
        });
        begins.unwrap_or(bytes.len().saturating_sub(1))
    }

    /// How many bytes the `from` of neighbours, at least one, have in common at their fronts.
    fn alike(&self, rules: &Range<usize>) -> usize {
        let own = self.sorted[rules.start].from.len();
        let between = &self.common[rules.start..rules.end - 1];
        between.iter().copied().min().unwrap_or(own)
    }

    /// What the bytes at the front of `bytes`, of which there is at least one, are.
    pub fn fit(&self, bytes: &[u8]) -> Fit {
        let mut found = None;
        let mut left = match bytes.first() {
            Some(byte) => self.firsts[usize::from(*byte)].clone(),
            None => 0..0,
        };
        // All that are left begin as `bytes` does, up to here.
        let mut depth = 1;
        while !left.is_empty() {
            let first = &self.sorted[left.start].from;
            let alike = self.alike(&left);
            let seen = bytes.len().min(alike);
            if bytes[depth..seen] != first[depth..seen] {
                break;
            }
            if seen < alike {
                return Fit::Open(found);
            }
            depth = alike;
            if first.len() == depth {
                found = Some(left.start);
                left.start += 1;
            }
            let rules = &self.sorted[left.clone()];
            if rules.is_empty() {
                break;
            }
            let Some(next) = bytes.get(depth) else {
                return Fit::Open(found);
            };
            let before = rules.partition_point(|rule| rule.from[depth] < *next);
            let behind = rules.partition_point(|rule| rule.from[depth] <= *next);
            left = left.start + before..left.start + behind;
            depth += 1;
        }
        found.map_or(Fit::None, Fit::Rule)
    }
}

fn common(one: &[u8], other: &[u8]) -> usize {
    let pairs = one.iter().zip(other);
    pairs.take_while(|(a, b)| a == b).count()
}

/// Where the bit of a pair is: which word, and the bit in it.
#[inline]
fn place(first: usize, second: u8) -> (usize, u64) {
    let pair = first << 8 | usize::from(second);
    (pair / 64, 1 << (pair % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Rules {
        Rules::new(texts.iter().map(|text| Rule::read(text).unwrap()).collect())
    }

    #[test]
    fn the_longest_that_fits_is_taken_and_what_may_come_is_open() {
        let rules = rules(&["abcd=>4", "ab=>2", "b=>1", "abx=>3"]);
        let to = |fit| match fit {
            Fit::None => "none".to_owned(),
            Fit::Rule(number) | Fit::Open(Some(number)) => {
                let to = String::from_utf8(rules.rule(number).to.clone()).unwrap();
                if matches!(fit, Fit::Open(_)) {
                    to + "?"
                } else {
                    to
                }
            }
            Fit::Open(None) => "?".to_owned(),
        };
        for (bytes, expected) in [
            ("a", "?"),
            ("ab", "2?"),
            ("abc", "2?"),
            ("abcd", "4"),
            ("abcx", "2"),
            ("abx", "3"),
            ("ac", "none"),
            ("b", "1"),
            ("x", "none"),
        ] {
            assert_eq!(to(rules.fit(bytes.as_bytes())), expected, "{bytes}");
        }
        assert_eq!(rules.plain(b"xyz ab"), 4);
        assert_eq!(rules.plain(b"xyz ac"), 5);
        assert_eq!(rules.plain(b"xyb "), 2);
        assert_eq!(rules.plain(b"a"), 0);
    }
}
