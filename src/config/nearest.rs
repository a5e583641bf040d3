//! Which known word a misspelt one was meant to be, for the errors of the configuration.

use std::fmt;

/// The known word with the fewest changed, missing, surplus or swapped letters; at most one in
/// three letters, as the suggestion would otherwise be noise.
pub fn nearest(word: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(changes, candidate)| changes <= candidate.len().div_ceil(3))
        .min_by_key(|&(changes, _)| changes)
        .map(|(_, candidate)| candidate)
}

/// The end of a sentence that complains about a word.
#[derive(Debug, Clone, Copy)]
pub struct DidYouMean(pub Option<&'static str>);

impl fmt::Display for DidYouMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(word) => write!(f, "; did you mean '{word}'?"),
            None => Ok(()),
        }
    }
}

/// Damerau's distance, in which neighbours swap once ("optimal string alignment"). A `word` much
/// longer than any name is cut short: its distance is too large already.
fn distance(word: &str, known: &str) -> usize {
    let word: Vec<char> = word.chars().take(2 * known.len()).collect();
    let known: Vec<char> = known.chars().collect();
    let mut rows = vec![(0..=known.len()).collect::<Vec<usize>>()];
    for (i, &a) in word.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in known.iter().enumerate() {
            let mut least = (rows[i][j] + usize::from(a != b))
                .min(rows[i][j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && a == known[j - 1] && word[i - 1] == b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[word.len()][known.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["device", "dest", "port", "segment"];

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        for (word, meant) in [
            ("divice", Some("device")),
            ("devcie", Some("device")),
            ("devices", Some("device")),
            ("prot", Some("port")),
            ("segmnt", Some("segment")),
            ("gateway", None),
            ("", None),
            ("devicedevicedevicedevice", None),
        ] {
            assert_eq!(nearest(word, KNOWN), meant, "{word}");
        }
    }
}
