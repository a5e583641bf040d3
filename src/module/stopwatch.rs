//! What calls take, without the time that the kernel gave to somebody else in the middle of one.

use std::time::{Duration, Instant};

use crate::module::usage;

/// The time of many calls, each of which moved some bytes.
#[derive(Debug, Default)]
pub struct Stopwatch {
    /// Of the calls that nobody interrupted: their time and bytes.
    time: Duration,
    bytes: usize,
    /// Bytes of all calls.
    all_bytes: usize,
    /// Time of all calls.
    all_time: Duration,
}

/// The time of one call.
#[derive(Debug, Clone, Copy)]
pub struct Lap {
    time: Duration,
    whole: bool,
}

impl Lap {
    /// Makes a call.
    pub fn of<T>(call: impl FnOnce() -> T) -> (T, Self) {
        let before = usage::interruptions();
        let began = Instant::now();
        let done = call();
        let time = began.elapsed();
        let whole = usage::interruptions() == before;
        (done, Self { time, whole })
    }
}

impl Stopwatch {
    /// A call that moved so many bytes.
    pub fn add(&mut self, lap: Lap, bytes: usize) {
        self.all_time += lap.time;
        self.all_bytes += bytes;
        if lap.whole {
            self.time += lap.time;
            self.bytes += bytes;
        }
    }

    /// What all calls would have taken had nobody interrupted any: those that somebody did count
    /// as the others, by their bytes.
    pub fn total(&self) -> Duration {
        if self.bytes == 0 {
            return self.all_time;
        }
        self.time.mul_f64(self.all_bytes as f64 / self.bytes as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_call_counts_as_the_others() {
        let lap = |ms, whole| Lap {
            time: Duration::from_millis(ms),
            whole,
        };
        let mut watch = Stopwatch::default();
        assert_eq!(watch.total(), Duration::ZERO);
        watch.add(lap(900, false), 100);
        assert_eq!(
            watch.total(),
            Duration::from_millis(900),
            "there is no other"
        );
        watch.add(lap(2, true), 100);
        watch.add(lap(6, true), 300);
        assert_eq!(watch.total(), Duration::from_millis(10));
        let (four, lap) = Lap::of(|| 2 + 2);
        watch.add(lap, 0);
        assert_eq!(four, 4);
    }
}
