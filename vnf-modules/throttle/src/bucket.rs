//! Token bucket: what a rate allows now. Exact integers, so that no rate drifts; the time comes as
//! an argument.

use std::time::{Duration, Instant};

/// Credit of one byte. In this unit a rate of 1 kbit/s earns 1 in a nanosecond.
pub const BYTE: u64 = 8_000_000;

/// What is sent at once if it comes to it, bytes: about a full segment. Less would fill the link
/// with headers.
const PACKET: u64 = 1500;

/// How much a throttled direction waits for, if that is more than [`PACKET`]: every wake-up costs.
const PAUSE: Duration = Duration::from_millis(4);

/// Credit that every bucket can hold: it earns one packet while a wake-up for the other is late.
const LEAST: u64 = 2 * PACKET * BYTE;

/// So many bits in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// kbit/s, 1 or more.
    kbit: u64,
    /// Credit that a full bucket has.
    burst: u64,
}

/// What remains of a rate.
#[derive(Debug)]
pub struct Bucket {
    rate: Rate,
    credit: u64,
    updated: Instant,
}

impl Rate {
    /// `kbit` per second, of which what `burst` earns may come at once; never less than two
    /// packets. `None` for a rate of 0.
    pub fn new(kbit: u32, burst: Duration) -> Option<Self> {
        let kbit = u64::from(kbit);
        let earned = kbit.saturating_mul(nanoseconds(burst));
        let burst = earned.max(LEAST);
        (kbit > 0).then_some(Self { kbit, burst })
    }

    /// Credit of a full bucket.
    pub const fn burst(self) -> u64 {
        self.burst
    }

    /// How long an empty bucket takes to be full.
    pub fn fill(self) -> Duration {
        self.time(self.burst, 1)
    }

    /// Credit of a full bucket of one of `shares`.
    pub fn burst_of(self, shares: u64) -> u64 {
        (self.burst / shares).max(LEAST)
    }

    /// Credit earned in `elapsed`, whether a bucket holds it or not.
    pub fn earned(self, elapsed: Duration) -> u64 {
        self.kbit.saturating_mul(nanoseconds(elapsed))
    }

    /// Credit that is worth waiting for, to one of `shares`. Never more than half of
    /// [`burst_of`](Self::burst_of), so that a late wake-up loses nothing.
    pub fn quantum(self, shares: u64) -> u64 {
        let pause = self.kbit.saturating_mul(nanoseconds(PAUSE)) / shares;
        pause.max(PACKET * BYTE).min(self.burst_of(shares) / 2)
    }

    /// How long one of `shares` takes to earn `credit`.
    pub fn time(self, credit: u64, shares: u64) -> Duration {
        let time = u128::from(credit) * u128::from(shares);
        let time = time.div_ceil(u128::from(self.kbit));
        Duration::from_nanos(u64::try_from(time).unwrap_or(u64::MAX))
    }
}

impl Bucket {
    /// A full one.
    pub const fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            credit: rate.burst(),
            updated: now,
        }
    }

    /// How many of `wanted` bytes may go now: all, or what is worth it, or none. If not all: how
    /// long to wait for more.
    pub fn allows(&mut self, wanted: usize, now: Instant) -> (usize, Duration) {
        let elapsed = now.saturating_duration_since(self.updated);
        let credit = self.credit.saturating_add(self.rate.earned(elapsed));
        self.credit = credit.min(self.rate.burst);
        self.updated = now;
        let (allowed, missing) = split(self.credit, wanted, self.rate.quantum(1));
        (allowed, self.rate.time(missing, 1))
    }

    /// So many bytes of those allowed have gone.
    pub fn spend(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub(cost(bytes));
    }
}

/// What `credit` pays of `wanted` bytes, when less than `quantum` is not worth it, and how much
/// credit then is missing for the next time.
pub fn split(credit: u64, wanted: usize, quantum: u64) -> (usize, u64) {
    let price = cost(wanted);
    if credit >= price {
        return (wanted, 0);
    }
    if credit < quantum {
        return (0, quantum.min(price) - credit);
    }
    let paid = usize::try_from(credit / BYTE).unwrap_or(usize::MAX);
    let left = credit % BYTE;
    (paid, quantum.min(price - cost(paid)).saturating_sub(left))
}

/// Credit that so many bytes cost.
pub fn cost(bytes: usize) -> u64 {
    u64::try_from(bytes)
        .unwrap_or(u64::MAX)
        .saturating_mul(BYTE)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
