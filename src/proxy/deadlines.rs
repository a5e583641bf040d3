//! When to look at which flow again: a heap of instants.
//!
//! Traffic moves a flow's deadline back without touching the heap; an entry that comes up too
//! early is pushed again. So a busy flow costs one push per timeout, not one per packet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Deadlines of values of type `T`.
#[derive(Debug)]
pub struct Deadlines<T: Ord> {
    heap: BinaryHeap<Reverse<(Instant, T)>>,
}

impl<T: Ord> Default for Deadlines<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
        }
    }
}

impl<T: Ord> Deadlines<T> {
    /// Asks for `value` to come up at `when`.
    pub fn push(&mut self, when: Instant, value: T) {
        self.heap.push(Reverse((when, value)));
    }

    /// The next value whose time has come, and that time.
    pub fn pop(&mut self, now: Instant) -> Option<(Instant, T)> {
        let Reverse((when, _)) = self.heap.peek()?;
        if *when > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// How long until the next value comes up.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.heap
            .peek()
            .map(|Reverse((when, _))| when.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_none_early() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.push(now + Duration::from_secs(2), 'b');
        deadlines.push(now + Duration::from_secs(1), 'a');
        assert_eq!(deadlines.wait(now), Some(Duration::from_secs(1)));
        assert_eq!(deadlines.pop(now), None);
        let later = now + Duration::from_secs(3);
        assert_eq!(
            deadlines.pop(later),
            Some((now + Duration::from_secs(1), 'a'))
        );
        assert_eq!(
            deadlines.pop(later),
            Some((now + Duration::from_secs(2), 'b'))
        );
        assert_eq!(deadlines.wait(now), None);
    }
}
