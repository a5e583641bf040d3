//! Whose turn it is among those that may be chosen.
//!
//! `eligible` is a set of targets, never empty, with bit n for the nth. Nothing here knows why
//! the others are out.

use std::cmp::Reverse;
use std::net::Ipv6Addr;

/// How flows are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Flows in turn, by weight.
    Weighted,
    /// Bytes in turn, by weight: deficit round robin (Shreedhar and Varghese, 1995).
    Drr,
    /// To whom has the fewest flows for its weight.
    LeastFlows,
    /// The same client to the same target, by weight: rendezvous hashing.
    Client,
}

/// What the policies remember of one target.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    pub weight: u32,
    /// Flows that are there, or on their way.
    pub live: u64,
    /// Smooth weighted round robin: the largest has the next turn.
    credit: i64,
    /// Deficit round robin: bytes it may still have in this round.
    deficit: i64,
    /// Mixed from its address.
    hash: u64,
}

/// All of them, and whose turn it is.
#[derive(Debug)]
pub struct Turns {
    pub shares: Vec<Share>,
    here: usize,
    /// What a flow moves, on average: nobody knows beforehand. Bytes.
    typical: i64,
}

/// What is expected of the first flows, bytes.
const FIRST_TYPICAL: i64 = 64 << 10;

impl Turns {
    pub fn new(targets: impl Iterator<Item = (u32, Ipv6Addr)>) -> Self {
        let share = |(weight, address)| Share {
            weight,
            live: 0,
            credit: 0,
            deficit: 0,
            hash: hash(address),
        };
        Self {
            shares: targets.map(share).collect(),
            here: 0,
            typical: FIRST_TYPICAL,
        }
    }

    /// Whose turn it is. Nothing is taken off anybody's share yet but the turn.
    pub fn next(&mut self, policy: Policy, eligible: u32, client: Ipv6Addr) -> usize {
        match policy {
            Policy::Weighted => self.weighted(eligible),
            Policy::Drr => self.drr(eligible),
            Policy::LeastFlows => self.least_flows(eligible),
            Policy::Client => self.of_client(eligible, hash(client)),
        }
    }

    /// What a new flow is expected to move, which is taken off its target's share at once: else
    /// all flows that begin together would go to the same.
    pub fn charge(&mut self, index: usize) -> i64 {
        self.move_deficit(index, -self.typical);
        self.typical
    }

    /// So many bytes were moved beyond what was charged; fewer, if negative.
    pub fn charge_rest(&mut self, index: usize, bytes: i64) {
        self.move_deficit(index, bytes.saturating_neg());
    }

    /// It is away for a while, and owed nothing for that.
    pub fn leave(&mut self, index: usize) {
        if let Some(share) = self.shares.get_mut(index) {
            share.deficit = share.deficit.min(0);
        }
    }

    /// A flow has moved so many bytes in all.
    pub fn learn(&mut self, bytes: i64) {
        // An eighth of the news, as TCP learns its round trip time (RFC 6298).
        self.typical = (self.typical - self.typical / 8 + bytes / 8).max(1);
    }

    fn weighted(&mut self, eligible: u32) -> usize {
        let mut total = 0;
        let mut best: Option<(i64, usize)> = None;
        for (index, share) in self.shares.iter_mut().enumerate() {
            if !has(eligible, index) {
                continue;
            }
            share.credit += i64::from(share.weight);
            total += i64::from(share.weight);
            if best.is_none_or(|(credit, _)| share.credit > credit) {
                best = Some((share.credit, index));
            }
        }
        let index = best.map_or(0, |(_, index)| index);
        self.shares[index].credit -= total;
        index
    }

    fn least_flows(&mut self, eligible: u32) -> usize {
        let load = |share: &Share| (share.live * LOADS) / u64::from(share.weight);
        let of = |index: &usize| load(&self.shares[*index]);
        let members = || (0..self.shares.len()).filter(|index| has(eligible, *index));
        let least = members().map(|index| of(&index)).min().unwrap_or(0);
        let equal = members().filter(|index| of(index) == least);
        let equal = equal.fold(0, |set, index| set | 1 << index);
        self.weighted(equal)
    }

    fn drr(&mut self, eligible: u32) -> usize {
        let count = self.shares.len();
        let typical = self.typical;
        let quantum = |share: &Share| i64::from(share.weight).saturating_mul(typical);
        let members = self.shares.iter_mut().enumerate();
        let mut members: Vec<_> = members.filter(|(index, _)| has(eligible, *index)).collect();
        // As many rounds at once as would pass without anybody's turn; or, when flows have moved
        // less than was charged, as many back as all are ahead.
        let waits = |share: &Share| share.deficit.saturating_neg() / quantum(share);
        let ahead = |share: &Share| share.deficit.saturating_sub(1) / quantum(share);
        let owing = members.iter().all(|(_, share)| share.deficit <= 0);
        let rounds = members.iter().map(|(_, share)| match owing {
            true => waits(share),
            false => ahead(share).max(0),
        });
        let rounds = rounds.min().unwrap_or(0) * if owing { 1 } else { -1 };
        for (_, share) in &mut members {
            share.deficit = share
                .deficit
                .saturating_add(rounds.saturating_mul(quantum(share)));
        }
        // Somebody's deficit is now positive, or will be after one quantum.
        for _ in 0..=count {
            let here = self.here;
            if has(eligible, here) && self.shares[here].deficit > 0 {
                return here;
            }
            self.here = (here + 1) % count;
            if has(eligible, self.here) {
                let share = &mut self.shares[self.here];
                share.deficit = share.deficit.saturating_add(quantum(share));
            }
        }
        self.here
    }

    fn of_client(&self, eligible: u32, client: u64) -> usize {
        let score = |index: &usize| {
            let share = &self.shares[*index];
            score(mix(client ^ share.hash), share.weight)
        };
        let members = (0..self.shares.len()).filter(|index| has(eligible, *index));
        let best = members.max_by(|one, other| {
            let order = score(one).total_cmp(&score(other));
            order.then(Reverse(one).cmp(&Reverse(other)))
        });
        best.unwrap_or(0)
    }

    fn move_deficit(&mut self, index: usize, bytes: i64) {
        if let Some(share) = self.shares.get_mut(index) {
            share.deficit = share.deficit.saturating_add(bytes);
        }
    }
}

/// Parts of a flow that loads are compared in: more than the largest weight.
const LOADS: u64 = 1 << 20;

fn has(set: u32, index: usize) -> bool {
    index < 32 && set >> index & 1 == 1
}

/// Weighted rendezvous hashing: of all targets the largest wins, with a probability as its weight,
/// and nobody else moves when one is taken away.
fn score(hash: u64, weight: u32) -> f64 {
    // 53 bits are what a double holds: a number between 0 and 1, and neither.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let unit = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / unit.ln()
}

fn hash(address: Ipv6Addr) -> u64 {
    let bits = address.to_bits();
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    mix(mix(half(bits >> 64)) ^ half(bits))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every bit changes half of the others.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
