//! The bytes that a block may refer to, in one piece, and room for the block behind them.

use std::ops::Range;

/// Bytes it begins with: a flow of one short question and its answer takes no more.
const FIRST: usize = 4096;

/// At least a window of the past, once there was so much.
#[derive(Debug)]
pub struct History {
    /// Grows to two windows, so that the past moves to the front once per window.
    memory: Vec<u8>,
    /// How much of `memory` is past; the rest is room.
    len: usize,
    window: usize,
}

impl History {
    /// Nothing yet.
    pub fn new(window: usize) -> Self {
        Self {
            memory: Vec::new(),
            len: 0,
            window,
        }
    }

    /// Makes room for `more` bytes, at most a window; by how much the past has moved to the front
    /// for that.
    pub fn make_room(&mut self, more: usize) -> usize {
        let most = 2 * self.window;
        let mut moved = 0;
        if self.len + more > most {
            moved = self.len - self.window;
            self.memory.copy_within(moved..self.len, 0);
            self.len = self.window;
        }
        let needed = self.len + more;
        if needed > self.memory.len() {
            let size = needed.next_power_of_two().clamp(FIRST, most);
            self.memory.resize(size, 0);
        }
        moved
    }

    /// The past that may be referred to, and room for `more` bytes that was made before.
    pub fn split(&mut self, more: usize) -> (&[u8], &mut [u8]) {
        let (past, room) = self.memory.split_at_mut(self.len);
        let reach = past.len().saturating_sub(self.window);
        (&past[reach..], &mut room[..more])
    }

    /// The past and what lies in the first `more` bytes of the room, in one piece.
    pub fn with_room(&self, more: usize) -> &[u8] {
        &self.memory[..self.len + more]
    }

    /// The first `n` bytes of the room are past now.
    pub fn keep(&mut self, n: usize) {
        self.len += n;
    }

    /// How long the past is.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// How far back a block may refer.
    pub const fn window(&self) -> usize {
        self.window
    }

    /// Bytes it holds.
    #[cfg(test)]
    pub const fn memory(&self) -> usize {
        self.memory.capacity()
    }

    /// A part of the past.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.memory[range]
    }
}
