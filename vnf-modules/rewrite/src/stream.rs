//! One direction of a flow, with its bytes replaced on the way.

use std::time::{Duration, Instant};

use srv6pipes_vnf::Progress;

use crate::Shared;
use crate::rules::Fit;

/// One direction.
#[derive(Debug, Default)]
pub struct Stream {
    /// Bytes consumed since its beginning: places in the stream are counted so.
    consumed: u64,
    /// What of a rule's `to` is still to be written: its number, and from where on.
    pending: Option<(usize, usize)>,
    hold: Option<Hold>,
    /// What begins before this place waits no longer.
    let_go: u64,
}

/// Bytes at the end of the input that may become a match.
#[derive(Debug, Clone, Copy)]
struct Hold {
    start: u64,
    end: u64,
    until: Instant,
}

/// What to do at some place.
enum Step {
    /// Bytes to pass on.
    Plain(usize),
    /// This rule fits.
    Replace(usize),
    /// What follows must decide.
    Hold,
}

impl Stream {
    /// `process` of the direction, at the time that `clock` says.
    pub fn process(
        &mut self,
        shared: &Shared,
        input: &[u8],
        output: &mut [u8],
        end: bool,
        clock: impl Fn() -> Instant,
    ) -> Progress {
        if let Some(hold) = self.hold
            && hold.until <= clock()
        {
            self.let_go = hold.end;
            self.hold = None;
            shared.expired.one();
        }
        let mut rest = input;
        let mut produced = 0;
        let mut holds = false;
        loop {
            produced += self.replace(shared, &mut output[produced..]);
            let room = &mut output[produced..];
            if room.is_empty() || rest.is_empty() {
                break;
            }
            let n = match self.step(shared, rest, room.len(), end) {
                Step::Plain(n) => {
                    room[..n].copy_from_slice(&rest[..n]);
                    produced += n;
                    n
                }
                Step::Replace(number) => {
                    shared.replaced[number].one();
                    self.pending = Some((number, 0));
                    shared.rules.rule(number).from.len()
                }
                Step::Hold => {
                    holds = true;
                    break;
                }
            };
            rest = &rest[n..];
            self.consumed += n as u64;
        }
        let consumed = input.len() - rest.len();
        if holds {
            let ms = self.hold(rest.len(), shared.hold, clock());
            return Progress::wait(consumed, produced, ms);
        }
        self.hold = None;
        if end && rest.is_empty() && self.pending.is_none() {
            Progress::finished(consumed, produced)
        } else {
            Progress::more(consumed, produced)
        }
    }

    /// Writes what is pending, as far as there is room; how much that was.
    fn replace(&mut self, shared: &Shared, room: &mut [u8]) -> usize {
        let Some((number, from)) = self.pending else {
            return 0;
        };
        let to = &shared.rules.rule(number).to[from..];
        let n = to.len().min(room.len());
        room[..n].copy_from_slice(&to[..n]);
        self.pending = (n < to.len()).then_some((number, from + n));
        n
    }

    /// What to do with the front of `rest`, which is not empty, and with so much room.
    fn step(&self, shared: &Shared, rest: &[u8], room: usize, end: bool) -> Step {
        let most = rest.len().min(room);
        let mut n = 0;
        while n < most {
            n += shared.rules.plain(&rest[n..most]);
            let waits = !end && self.consumed + n as u64 >= self.let_go;
            let step = match shared.rules.fit(&rest[n..]) {
                Fit::Open(_) if waits => Step::Hold,
                Fit::Rule(number) | Fit::Open(Some(number)) => Step::Replace(number),
                Fit::None | Fit::Open(None) => {
                    n += 1;
                    continue;
                }
            };
            return if n > 0 { Step::Plain(n) } else { step };
        }
        Step::Plain(n)
    }

    /// Holds the last `length` bytes; for how many milliseconds yet.
    fn hold(&mut self, length: usize, time: Duration, now: Instant) -> u32 {
        let start = self.consumed;
        let until = match self.hold {
            Some(hold) if hold.start == start => hold.until,
            _ => now + time,
        };
        self.hold = Some(Hold {
            start,
            end: start + length as u64,
            until,
        });
        let left = until.saturating_duration_since(now);
        // Rounded up: at the call that comes then, the time is over.
        u32::try_from(left.as_micros().div_ceil(1000)).map_or(u32::MAX, |ms| ms.max(1))
    }
}
