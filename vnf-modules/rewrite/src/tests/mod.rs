//! Flows without a host, and a clock that the test moves.

mod holding;
mod options;
mod replacing;

use std::time::{Duration, Instant};

use srv6pipes_vnf::abi::MIN_ROOM;
use srv6pipes_vnf::{FlowInfo, Function, Setup, Verdict};

use crate::stream::Stream;
use crate::{Rewrite, RewriteFlow};

/// A flow with these rules.
pub fn flow(rules: &[&str]) -> RewriteFlow {
    let options: Vec<_> = rules.iter().map(|rule| ("replace", *rule)).collect();
    let function = Setup::detached(&options).make::<Rewrite>().unwrap();
    function.spawn(&FlowInfo::detached(0)).unwrap()
}

/// One direction, as a host carries it.
pub struct Carried {
    flow: RewriteFlow,
    stream: Stream,
    /// Room of each call.
    room: usize,
    /// The time is this.
    pub now: Instant,
    waiting: Vec<u8>,
    /// What has come out.
    pub out: Vec<u8>,
    /// How long the function waits, if it does.
    pub waits: Option<u32>,
}

impl Carried {
    /// A direction at its beginning.
    pub fn new(rules: &[&str], room: usize) -> Self {
        Self {
            flow: flow(rules),
            stream: Stream::default(),
            room,
            now: Instant::now(),
            waiting: Vec::new(),
            out: Vec::new(),
            waits: None,
        }
    }

    /// `bytes` arrive, or a time is over; all that can be done then is done.
    pub fn feed(&mut self, bytes: &[u8], end: bool) {
        self.waiting.extend(bytes);
        loop {
            let mut output = vec![0xee; self.room];
            let now = self.now;
            let done =
                self.stream
                    .process(&self.flow.shared, &self.waiting, &mut output, end, || now);
            assert!(done.consumed <= self.waiting.len() && done.produced <= self.room);
            self.waiting.drain(..done.consumed);
            self.out.extend(&output[..done.produced]);
            self.waits = None;
            match done.verdict {
                Verdict::Finished => {
                    assert!(end && self.waiting.is_empty());
                    return;
                }
                Verdict::Wait(ms) => {
                    assert!(!end && !self.waiting.is_empty());
                    self.waits = Some(ms);
                    return;
                }
                Verdict::More => {}
                other => panic!("{other:?}"),
            }
            if done.consumed == 0 && done.produced == 0 {
                assert!(!end && self.waiting.is_empty());
                return;
            }
            let cramped = self.room - done.produced < MIN_ROOM;
            if self.waiting.is_empty() && !cramped && !end {
                return;
            }
        }
    }

    /// How many bytes it has read and not consumed.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// So much time passes.
    pub fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }
}

/// Marsaglia's xorshift32.
pub struct Noise(pub u32);

impl Noise {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % limit
    }

    /// Letters from the first `kinds` of the alphabet.
    pub fn letters(&mut self, length: usize, kinds: usize) -> String {
        let letters = (0..length).map(|_| char::from(b"abcdefgh"[self.below(kinds)]));
        letters.collect()
    }
}
