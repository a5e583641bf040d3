//! All rules of a section, and which of them fits where: at the first place where one does, and
//! there the one with the longest `from`.
//!
//! They are sorted. Where the stream would stand among them, the rules that begin as it does are
//! neighbours: one binary search finds them, however many begin alike. The crate `aho-corasick`
//! cannot say what may still become a match (its streams know no leftmost matches), and would make
//! the module a third larger.

use std::ops::Range;

use crate::rule::Rule;

/// Most rules of a section.
pub const MAX_RULES: usize = 64;

/// At least one rule, no two with the same `from`.
#[derive(Debug)]
pub struct Rules {
    /// By `from`.
    sorted: Vec<Rule>,
    /// `inside[i]`: the rule with the longest `from` that rule i begins with, itself apart.
    inside: Vec<Option<usize>>,
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
        Self {
            inside: inside(&rules),
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

    /// What the bytes at the front of `bytes`, of which there is at least one, are.
    pub fn fit(&self, bytes: &[u8]) -> Fit {
        let Some(first) = bytes.first() else {
            return Fit::None;
        };
        let alike = self.firsts[usize::from(*first)].clone();
        let rules = &self.sorted[alike.clone()];
        // No rule that `bytes` begin with stands behind them, none that begins with `bytes` before.
        let behind = rules.partition_point(|rule| rule.from.as_slice() <= bytes);
        let before = behind.checked_sub(1).map(|place| alike.start + place);
        let found = before.and_then(|number| self.longest(number, bytes));
        match rules.get(behind) {
            Some(rule) if rule.from.starts_with(bytes) => Fit::Open(found),
            _ => found.map_or(Fit::None, Fit::Rule),
        }
    }

    /// The rule with the longest `from` that `bytes` begin with; `number` is the last that does not
    /// stand behind them. It is that rule or lies between it and `bytes`, and so begins with it.
    fn longest(&self, number: usize, bytes: &[u8]) -> Option<usize> {
        let mut fits = Some(number);
        while let Some(number) = fits
            && !bytes.starts_with(&self.sorted[number].from)
        {
            fits = self.inside[number];
        }
        fits
    }
}

/// See [`Rules::inside`].
fn inside(sorted: &[Rule]) -> Vec<Option<usize>> {
    let mut inside: Vec<Option<usize>> = Vec::new();
    for (number, rule) in sorted.iter().enumerate() {
        let mut outer = number.checked_sub(1);
        while let Some(other) = outer
            && !rule.from.starts_with(&sorted[other].from)
        {
            outer = inside[other];
        }
        inside.push(outer);
    }
    inside
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

    /// What a definition would look like: every rule at every length.
    fn slowly(rules: &Rules, bytes: &[u8]) -> Fit {
        let longest = |number: &usize| rules.rule(*number).from.len();
        let numbers = 0..rules.sorted.len();
        let fitting = numbers.filter(|number| bytes.starts_with(&rules.rule(*number).from));
        let found = fitting.max_by_key(longest);
        let more = |rule: &Rule| rule.from.len() > bytes.len() && rule.from.starts_with(bytes);
        match rules.sorted.iter().any(more) {
            true => Fit::Open(found),
            false => found.map_or(Fit::None, Fit::Rule),
        }
    }

    #[test]
    fn rules_inside_rules_fit_as_defined() {
        for texts in [
            &["a=>", "aa=>", "aab=>", "ab=>", "aabaab=>", "b=>"][..],
            &["aaa=>", "aab=>", "aaab=>", "abab=>", "baa=>", "babbb=>"],
            &["abba=>", "ab=>", "abbb=>", "bb=>", "bbb=>", "abbaa=>"],
        ] {
            let rules = rules(texts);
            for length in 1..=8 {
                for bits in 0..1_u32 << length {
                    let letter = |i: u32| if bits >> i & 1 == 0 { b'a' } else { b'b' };
                    let bytes: Vec<u8> = (0..length).map(letter).collect();
                    assert_eq!(rules.fit(&bytes), slowly(&rules, &bytes), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn many_rules_that_begin_alike_cost_little_more_than_one() {
        let alike = |k| format!("{}b=>", "a".repeat(3 * k));
        let texts: Vec<String> = (1..MAX_RULES).map(alike).collect();
        let many: Vec<&str> = texts.iter().map(String::as_str).collect();
        let bytes = vec![b'a'; 8192];
        // The quickest of several, whatever else the machine has to do.
        let time = |rules: &Rules| {
            let once = || {
                let began = std::time::Instant::now();
                for at in 0..bytes.len() {
                    std::hint::black_box(rules.fit(&bytes[at..]));
                }
                began.elapsed()
            };
            (0..9).map(|_| once()).min().unwrap()
        };
        let (one, all) = (time(&rules(&many[62..])), time(&rules(&many)));
        assert!(all < one * 30, "{one:?} for one, {all:?} for all");
    }
}
