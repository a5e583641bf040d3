//! What waits before one function in one direction, and what the function said last.

use std::time::{Duration, Instant};

use srv6pipes_vnf::abi::MAX_WINDOW;

/// How a function and a direction stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It is to be called.
    #[default]
    Open,
    /// It wants no more of this direction, and bytes go on without it.
    Passes,
    /// The direction has ended here.
    Finished,
}

/// The input of one function in one direction.
#[derive(Debug, Default)]
pub struct Lane {
    bytes: Vec<u8>,
    /// How many bytes at the front of `bytes` are done with.
    start: usize,
    ended: bool,
    /// How many bytes ever came.
    pub received: usize,
    /// How it stands.
    pub state: State,
    /// There is something to call the function for.
    pub ready: bool,
    /// The last call did nothing.
    pub idle: bool,
    /// The last call asked for more input, having seen all there is; or waits.
    hungry: bool,
    /// The last verdict was WAIT, until then or without limit.
    waits: Option<Option<Instant>>,
}

impl Lane {
    /// Before a function that is called when there is something for it, or at once.
    pub fn new(at_once: bool) -> Self {
        Self {
            ready: at_once,
            ..Self::default()
        }
    }

    /// Takes bytes in behind those that wait.
    pub fn put(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.ended || self.state == State::Finished {
            return;
        }
        self.received += bytes.len();
        // Only now, or each call of a function that takes a byte at a time would move them all.
        if self.start > MAX_WINDOW || self.waiting() == 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
        self.arrived();
    }

    /// Nothing more will come.
    pub fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.arrived();
        }
    }

    fn arrived(&mut self) {
        self.ready = true;
        self.hungry = false;
        self.waits = None;
    }

    /// Whether nothing more will come.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// How many bytes wait.
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether the function has seen all that waits, or takes nothing any more.
    pub fn hungry(&self) -> bool {
        self.hungry || self.state != State::Open
    }

    /// What one call is offered.
    pub fn offer(&self) -> &[u8] {
        let waiting = &self.bytes[self.start..];
        &waiting[..waiting.len().min(MAX_WINDOW)]
    }

    /// The first `n` bytes are done with.
    pub fn consume(&mut self, n: usize) {
        self.start += n;
    }

    /// All that waits, which does so no longer.
    pub fn take(&mut self) -> Vec<u8> {
        let waiting = self.bytes.split_off(self.start);
        self.bytes.clear();
        self.start = 0;
        waiting
    }

    /// The verdict was MORE.
    pub fn more(&mut self, moved: bool, cramped: bool) {
        let rest = self.waiting() > 0 || self.ended;
        self.ready = cramped || (moved && rest);
        self.hungry = !moved;
    }

    /// The verdict was WAIT, for so many milliseconds if that is not 0.
    pub fn wait(&mut self, cramped: bool, now: Instant, ms: u32) {
        self.ready = cramped;
        self.hungry = true;
        let limit = (ms > 0).then(|| now + Duration::from_millis(ms.into()));
        self.waits = Some(limit);
    }

    /// Until when it waits, unless it can be called anyway.
    pub fn waits(&self) -> Option<Option<Instant>> {
        let waits = self.state == State::Open && !self.ready;
        self.waits.filter(|_| waits)
    }

    /// It can be called if it waits and its time has come.
    pub fn tick(&mut self, now: Instant) {
        if let Some(Some(limit)) = self.waits
            && limit <= now
        {
            self.wake();
        }
    }

    /// It can be called if it waits.
    pub fn wake(&mut self) {
        if self.waits.take().is_some() {
            self.ready = true;
        }
    }

    /// The direction ends here.
    pub fn cut(&mut self) {
        *self = Self {
            ended: true,
            received: self.received,
            state: State::Finished,
            ..Self::default()
        };
    }
}
