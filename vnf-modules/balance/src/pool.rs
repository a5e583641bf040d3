//! The targets together: who is chosen, and what became of it. One short lock, once per flow and
//! event.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use crate::health::Health;
use crate::policy::{Policy, Turns};
use crate::target::Target;

/// All targets.
#[derive(Debug)]
pub struct Pool {
    turns: Turns,
    health: Vec<Health>,
    policy: Policy,
    retry: Duration,
}

/// What one flow was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Which of the targets.
    pub index: usize,
    /// Whether it is tried, having failed before.
    pub trial: bool,
    /// What was taken off its share, bytes.
    pub charge: i64,
}

/// Largest charge that a choice's number holds.
const MOST_CHARGE: i64 = (1 << 55) - 1;

impl Choice {
    /// As the host keeps it for us. No choice is 0: that is what the host has when it asked nobody.
    pub fn number(self) -> u64 {
        let index = u64::try_from(self.index).unwrap_or(0) & 0x7f;
        let charge = u64::try_from(self.charge.clamp(0, MOST_CHARGE)).unwrap_or(0);
        charge << 8 | (index + 1) << 1 | u64::from(self.trial)
    }

    /// Of what the host has kept.
    pub fn of(number: u64) -> Option<Self> {
        let index = usize::try_from(number >> 1 & 0x7f).ok()?.checked_sub(1)?;
        Some(Self {
            index,
            trial: number & 1 == 1,
            charge: i64::try_from(number >> 8).ok()?,
        })
    }
}

impl Pool {
    pub fn new(targets: &[Target], policy: Policy, retry: Duration) -> Self {
        let shares = targets.iter().map(|t| (t.weight, t.place.address()));
        Self {
            turns: Turns::new(shares),
            health: vec![Health::default(); targets.len()],
            policy,
            retry,
        }
    }

    /// One of the `wanted` targets for a flow of `client` that has failed at `attempt` of them;
    /// `None` if that were all.
    pub fn choose(
        &mut self,
        wanted: u32,
        client: Ipv6Addr,
        attempt: u32,
        now: Instant,
    ) -> Option<Choice> {
        let members = || (0..self.health.len()).filter(|index| wanted >> index & 1 == 1);
        if members().count() <= usize::try_from(attempt).unwrap_or(usize::MAX) {
            return None;
        }
        let due = members().filter(|index| self.health[*index].is_due(now));
        let due = due.fold(0, |set, index| set | 1 << index);
        let index = match due {
            // Better one that has just failed than none.
            0 => members().min_by_key(|index| self.health[*index].due())?,
            due => self.turns.next(self.policy, due, client),
        };
        self.turns.shares[index].live += 1;
        Some(Choice {
            index,
            trial: self.health[index].send(now, self.retry),
            charge: self.turns.charge(index),
        })
    }

    /// It has answered; whether it had not before.
    pub fn serves(&mut self, choice: Choice) -> bool {
        let health = self.health.get_mut(choice.index);
        health.is_some_and(Health::serves)
    }

    /// It has not answered; for how long it is left alone if it had before.
    pub fn fails(&mut self, choice: Choice, now: Instant) -> Option<Duration> {
        self.drops(choice);
        self.turns.leave(choice.index);
        let health = self.health.get_mut(choice.index)?;
        health.fails(choice.trial, now, self.retry)
    }

    /// The flow did not get there.
    pub fn drops(&mut self, choice: Choice) {
        self.turns.charge_rest(choice.index, -choice.charge);
        self.ends(choice);
    }

    /// The flow is over.
    pub fn ends(&mut self, choice: Choice) {
        if let Some(share) = self.turns.shares.get_mut(choice.index) {
            share.live = share.live.saturating_sub(1);
        }
    }

    /// A flow has moved so many bytes more than was charged for it, or fewer.
    pub fn moved(&mut self, index: usize, beyond: i64) {
        self.turns.charge_rest(index, beyond);
    }

    /// A flow has moved so many bytes in all.
    pub fn learn(&mut self, bytes: i64) {
        self.turns.learn(bytes);
    }
}
