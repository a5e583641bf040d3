//! One rate, shared by those who want it: each flow that waits earns the same (generalised
//! processor sharing, Parekh and Gallager 1993), and what one leaves the others have.
//!
//! ```text
//!  earned ──▶ level, for each that waits the same ──▶ its credit = level − from
//!        └──▶ pool, while nobody waits (a full bucket at most) ──▶ whoever comes next
//! ```

use std::time::{Duration, Instant};

use crate::bucket::{Rate, cost, split};

/// A member that is so late with asking has other reasons to wait, a slow receiver for one: it
/// earns no more, and the others do in its place.
const LATE: Duration = Duration::from_millis(250);

/// A rate in one direction.
#[derive(Debug)]
pub struct Share {
    rate: Rate,
    /// Credit that nobody has; at most [`Rate::burst`].
    pool: u64,
    /// Credit that one who waited since ever would have; begins at a burst, so that a member's
    /// `from` is never below 0.
    level: u128,
    updated: Instant,
    swept: Instant,
    /// How many members wait.
    waiting: u64,
    /// By the number that [`Share::take`] is told.
    members: Vec<Member>,
}

/// What a flow has.
#[derive(Debug, Clone, Copy)]
enum Member {
    /// It wants nothing, or got all that it wanted.
    Content,
    /// It earns.
    Waits {
        /// Its credit is the level above this.
        from: u128,
        /// When it will ask again.
        due: Instant,
    },
}

impl Share {
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            pool: rate.burst(),
            level: u128::from(rate.burst()),
            updated: now,
            swept: now,
            waiting: 0,
            members: Vec::new(),
        }
    }

    /// Makes place for a member of this number.
    pub fn admit(&mut self, member: usize) {
        if self.members.len() <= member {
            self.members.resize(member + 1, Member::Content);
        }
    }

    /// How many of `wanted` bytes this member gets now; if not all: how long it should wait before
    /// it asks again.
    pub fn take(&mut self, member: usize, wanted: usize, now: Instant) -> (usize, Duration) {
        self.refill(now);
        let waits = self.leave(member);
        // Whoever waited has its own credit, now the pool's top; a newcomer gets what nobody has.
        let credit = waits.unwrap_or(self.pool);
        let shares = self.waiting + 1;
        let (taken, missing) = split(credit, wanted, self.rate.quantum(shares));
        let credit = credit - cost(taken);
        self.pool -= cost(taken);
        if taken == wanted {
            return (taken, Duration::ZERO);
        }
        let pause = self.rate.time(missing, shares);
        self.pool -= credit;
        self.waiting = shares;
        self.members[member] = Member::Waits {
            from: self.level - u128::from(credit),
            due: now + pause,
        };
        (taken, pause)
    }

    /// It no longer waits: its credit goes to the pool. How much that was, if it waited.
    pub fn leave(&mut self, member: usize) -> Option<u64> {
        let Member::Waits { from, .. } = self.members[member] else {
            return None;
        };
        let most = self.rate.burst_of(self.waiting);
        let credit = u64::try_from(self.level - from).unwrap_or(u64::MAX);
        let pool = self.pool.saturating_add(credit).min(self.rate.burst());
        self.pool = pool;
        self.waiting -= 1;
        self.members[member] = Member::Content;
        Some(credit.min(most).min(pool))
    }

    fn refill(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) > LATE {
            self.swept = now;
            self.sweep(now);
        }
        let elapsed = now.saturating_duration_since(self.updated);
        self.updated = now;
        let earned = self.pool.saturating_add(self.rate.earned(elapsed));
        match earned.checked_div(self.waiting) {
            None => self.pool = earned.min(self.rate.burst()),
            Some(each) => {
                self.level += u128::from(each);
                self.pool = earned % self.waiting;
            }
        }
    }

    fn sweep(&mut self, now: Instant) {
        for member in 0..self.members.len() {
            if let Member::Waits { due, .. } = self.members[member]
                && now.saturating_duration_since(due) > LATE
            {
                self.leave(member);
            }
        }
    }
}
