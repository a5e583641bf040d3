//! The section's options, and what all its flows share.

use std::sync::atomic::{AtomicBool, Ordering};

use srv6pipes_vnf::{Counter, Direction, Log, Setup};

use crate::codec::{Algorithm, WORDS};
use crate::format::{Mistake, Terms};

/// `window_kb`, and its log2 of bytes.
const WINDOWS: &[(&str, u8)] = &[("16", 14), ("32", 15), ("64", 16)];
const DEFAULT_WINDOW_LOG: u8 = 15;
/// zstd's levels that a router's CPU can bear; 1 is the fastest.
const LEVELS: std::ops::RangeInclusive<u64> = 1..=9;
const DEFAULT_LEVEL: i32 = 1;

/// What `compress` and `decompress` are set to.
#[derive(Debug)]
pub struct Options {
    /// What both ends must agree on.
    pub terms: Terms,
    /// zstd's level.
    pub level: i32,
    upstream: Counted,
    downstream: Counted,
    log: Log,
    /// The operator was told of a wrong other end.
    told: AtomicBool,
}

/// Counters of one direction.
#[derive(Debug)]
pub struct Counted {
    /// Bytes outside of the compressed stretch.
    pub clear: Counter,
    /// Bytes inside of it.
    pub packed: Counter,
}

impl Options {
    /// Complains of what is wrong, and goes on with the default then.
    pub fn read(setup: &Setup) -> Self {
        let algorithm = setup.choice("algorithm", WORDS);
        let is_lz4 = algorithm == Some(Algorithm::Lz4) || setup.given("algorithm").is_none();
        let window_log = setup.choice("window_kb", WINDOWS);
        let level = setup.number("level", LEVELS);
        if let Some(given) = setup.given("level")
            && is_lz4
        {
            setup.complain(&given, "is for algorithm 'zstd' only: lz4 has one level");
        }
        Self {
            terms: Terms {
                algorithm: algorithm.unwrap_or(Algorithm::Lz4),
                window_log: window_log.unwrap_or(DEFAULT_WINDOW_LOG),
            },
            level: level
                .and_then(|level| i32::try_from(level).ok())
                .unwrap_or(DEFAULT_LEVEL),
            upstream: Counted::open(setup, "direction=upstream"),
            downstream: Counted::open(setup, "direction=downstream"),
            log: setup.log(),
            told: AtomicBool::new(false),
        }
    }

    /// The counters of a direction.
    pub const fn counters(&self, direction: Direction) -> &Counted {
        match direction {
            Direction::Upstream => &self.upstream,
            Direction::Downstream => &self.downstream,
        }
    }

    /// Tells the operator, the first time, that the other end is set up wrongly. (The host logs
    /// the reason of each flow's end only at level debug.)
    pub fn tell(&self, mistake: Mistake) {
        if mistake.is_the_operators() && !self.told.swap(true, Ordering::Relaxed) {
            self.log.warn(mistake);
        }
    }
}

impl Counted {
    fn open(setup: &Setup, direction: &str) -> Self {
        let counters = setup.counters();
        Self {
            clear: counters.open("clear_bytes", direction),
            packed: counters.open("packed_bytes", direction),
        }
    }
}
