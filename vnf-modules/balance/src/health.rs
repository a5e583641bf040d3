//! Whether a target serves, as the flows that were sent there have found out.
//!
//! ```text
//!  serves ──fails──▶ left alone for `retry`, 2 × `retry`, … ──due──▶ one flow tries ──▶ serves
//!                        ▲                                                │
//!                        └──────────────────── fails ─────────────────────┘
//! ```

use std::time::{Duration, Instant};

/// Longest time that one is left alone, unless `option retry` is longer.
const LONGEST: Duration = Duration::from_secs(300);

/// What is known of one target.
#[derive(Debug, Clone, Copy, Default)]
pub struct Health {
    /// Failures in a row.
    failures: u32,
    /// Until then it is left alone; there if there are failures.
    until: Option<Instant>,
}

impl Health {
    /// Whether a flow may be sent there.
    pub fn is_due(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// When it may be tried again; the least is the one to try where none is due.
    pub fn due(&self) -> Option<Instant> {
        self.until
    }

    /// A flow is sent there; whether that is a trial, whose outcome the others wait for.
    pub fn send(&mut self, now: Instant, retry: Duration) -> bool {
        let trial = self.failures > 0 && self.is_due(now);
        if trial {
            self.until = Some(now + pause(self.failures, retry));
        }
        trial
    }

    /// It has answered; whether that is news.
    pub fn serves(&mut self) -> bool {
        let news = self.failures > 0;
        *self = Self::default();
        news
    }

    /// It has not; for how long it is left alone if that is news.
    pub fn fails(&mut self, trial: bool, now: Instant, retry: Duration) -> Option<Duration> {
        let news = self.failures == 0;
        // Flows that were sent there before the first of them failed say nothing new.
        if news || trial {
            self.failures = self.failures.saturating_add(1);
        }
        let pause = pause(self.failures, retry);
        self.until = Some(now + pause);
        news.then_some(pause)
    }
}

/// Twice as long with each failure in a row.
fn pause(failures: u32, retry: Duration) -> Duration {
    let times = 1_u32.checked_shl(failures.saturating_sub(1));
    let pause = retry.saturating_mul(times.unwrap_or(u32::MAX));
    pause.min(LONGEST.max(retry))
}
