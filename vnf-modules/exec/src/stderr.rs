//! What children write to their standard error: for the log, a few lines a second, and the last
//! line for whoever wants to know why one failed.

use std::time::{Duration, Instant};

/// Bytes of a line; the rest of it is dropped.
const LONGEST: usize = 400;

/// Lines a second for all children of a function.
const MOST: u32 = 10;

/// The standard error of one child.
#[derive(Debug, Default)]
pub struct Lines {
    open: Vec<u8>,
    last: String,
}

/// How much of all of it goes to the log.
#[derive(Debug)]
pub struct Limit {
    began: Instant,
    lines: u32,
}

impl Lines {
    /// Takes what came; `line` gets each line that is whole now.
    pub fn take(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for byte in bytes {
            // Progress is often written over itself.
            if matches!(byte, b'\n' | b'\r') {
                self.end(&mut line);
            } else if self.open.len() < LONGEST {
                self.open.push(*byte);
            }
        }
    }

    /// There will be no more; the last line, empty if there was none.
    pub fn last(&mut self, mut line: impl FnMut(&str)) -> &str {
        self.end(&mut line);
        &self.last
    }

    fn end(&mut self, line: &mut impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.open);
        let text = text.trim();
        if !text.is_empty() {
            line(text);
            self.last.clear();
            self.last.push_str(text);
        }
        self.open.clear();
    }
}

impl Limit {
    pub const fn new(now: Instant) -> Self {
        Self {
            began: now,
            lines: 0,
        }
    }

    /// Whether another line may be logged, and how many were not since the last second that had
    /// some.
    pub fn allows(&mut self, now: Instant) -> (bool, u32) {
        let mut dropped = 0;
        if now.saturating_duration_since(self.began) >= Duration::from_secs(1) {
            dropped = self.lines.saturating_sub(MOST);
            *self = Self::new(now);
        }
        self.lines = self.lines.saturating_add(1);
        (self.lines <= MOST, dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come_and_the_last_one_stays() {
        let text = b"one\r\n\n  two\rthree";
        for piece in 1..=text.len() {
            let mut lines = Lines::default();
            let mut heard = Vec::new();
            for bytes in text.chunks(piece) {
                lines.take(bytes, |line| heard.push(line.to_owned()));
            }
            assert_eq!(heard, ["one", "two"]);
            assert_eq!(lines.last(|_| ()), "three");
        }
        assert_eq!(Lines::default().last(|_| ()), "");
    }

    #[test]
    fn a_line_without_end_and_one_that_is_no_text_cost_nothing() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.take(&[0xff; 1000], |_| panic!("no line has ended"));
        }
        assert!(lines.open.capacity() <= 2 * LONGEST);
        assert_eq!(lines.last(|_| ()).chars().count(), LONGEST);
    }

    #[test]
    fn ten_lines_a_second_are_logged_and_the_others_counted() {
        let now = Instant::now();
        let mut limit = Limit::new(now);
        let allowed = (0..25).filter(|_| limit.allows(now).0).count();
        assert_eq!(allowed, 10);
        assert_eq!(limit.allows(now + Duration::from_secs(1)), (true, 15));
        assert_eq!(limit.allows(now + Duration::from_secs(3)), (true, 0));
    }
}
