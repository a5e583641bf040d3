//! When to look at which flow again: instants in order.
//!
//! Traffic moves a flow's deadline back without touching the order; an entry that comes up too
//! early is pushed again. So a busy flow costs one push per timeout, not one per packet; one whose
//! function waits for a time, one per call. There is one entry for each flow, and a flow that ends
//! takes it along: left in a heap until its hour has come, the entries of a thousand flows a second
//! and two hours of idle timeout would be hundreds of megabytes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollTimeout;

/// Deadlines of values of type `T`.
#[derive(Debug)]
pub struct Deadlines<T: Ord> {
    entries: BTreeSet<(Instant, T)>,
}

impl<T: Ord> Default for Deadlines<T> {
    fn default() -> Self {
        Self {
            entries: BTreeSet::new(),
        }
    }
}

impl<T: Ord> Deadlines<T> {
    /// Asks for `value` to come up at `when`.
    pub fn push(&mut self, when: Instant, value: T) {
        self.entries.insert((when, value));
    }

    /// Takes that back: both as they were pushed.
    pub fn cancel(&mut self, when: Instant, value: T) {
        self.entries.remove(&(when, value));
    }

    /// The next value whose time has come, and that time.
    pub fn pop(&mut self, now: Instant) -> Option<(Instant, T)> {
        let (when, _) = self.entries.first()?;
        if *when > now {
            return None;
        }
        self.entries.pop_first()
    }

    /// How long epoll may wait: until the next value comes up, or for `other` if that is less.
    pub fn timeout(&self, now: Instant, other: Option<Duration>) -> EpollTimeout {
        match self.wait(now).into_iter().chain(other).min() {
            None => EpollTimeout::NONE,
            // A millisecond more, since the timeout is rounded down.
            Some(wait) => EpollTimeout::try_from(wait.as_millis().saturating_add(1))
                .unwrap_or(EpollTimeout::MAX),
        }
    }

    /// How long until the next value comes up.
    fn wait(&self, now: Instant) -> Option<Duration> {
        self.entries
            .first()
            .map(|(when, _)| when.saturating_duration_since(now))
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

    #[test]
    fn what_is_cancelled_leaves_nothing_behind() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        for value in 0..3 {
            deadlines.push(now, value);
        }
        deadlines.cancel(now, 1);
        deadlines.cancel(now + Duration::from_secs(1), 2);
        assert_eq!(deadlines.pop(now), Some((now, 0)));
        assert_eq!(deadlines.pop(now), Some((now, 2)));
        assert!(deadlines.entries.is_empty());
    }
}
