//! Buffers of the copy path: borrowed from the worker while bytes are in them, else given back.
//!
//! A flow at rest holds none, and a busy worker allocates none.

use srv6pipes_vnf::abi;

/// The most one read asks for and a function is ever offered, bytes.
pub const WINDOW: usize = abi::MAX_WINDOW;
/// Bytes one chunk holds: behind less than a window that a function has seen and wants more of,
/// the one before it still has the room it was promised.
pub const CAPACITY: usize = WINDOW + abi::MIN_ROOM;
/// Chunks a worker keeps for later: a turn needs one or two per function of a flow, and one more
/// for each flow that waits for its reader.
const SPARE: usize = 16;

/// A fixed buffer with unread bytes in the middle of it.
#[derive(Debug)]
pub struct Chunk {
    memory: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Chunk {
    fn new() -> Self {
        Self {
            memory: vec![0; CAPACITY].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// The bytes in it.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// The room behind the bytes.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.memory[self.end..]
    }

    /// Moves the bytes to the front, so that all room is behind them.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.memory.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// The first `n` bytes of the room are bytes now.
    pub fn filled(&mut self, n: usize) {
        self.end = self.end.saturating_add(n).min(CAPACITY);
    }

    /// The first `n` bytes are done with.
    pub fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }
}

/// A worker's spare chunks.
#[derive(Debug, Default)]
pub struct ChunkPool {
    spare: Vec<Chunk>,
}

impl ChunkPool {
    /// An empty chunk.
    pub fn take(&mut self) -> Chunk {
        self.spare.pop().unwrap_or_else(Chunk::new)
    }

    /// How many there are.
    #[cfg(test)]
    pub fn spare(&self) -> usize {
        self.spare.len()
    }

    /// Takes a chunk back, whatever is in it.
    pub fn give(&mut self, mut chunk: Chunk) {
        if self.spare.len() < SPARE {
            chunk.start = 0;
            chunk.end = 0;
            self.spare.push(chunk);
        }
    }
}

/// A place in a pipe where bytes may wait; empty places hold no chunk.
#[derive(Debug, Default)]
pub struct Slot(Option<Chunk>);

impl Slot {
    /// Whether no bytes wait.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The waiting bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], Chunk::bytes)
    }

    /// The chunk to fill, compacted.
    pub fn open(&mut self, pool: &mut ChunkPool) -> &mut Chunk {
        let chunk = self.0.get_or_insert_with(|| pool.take());
        chunk.compact();
        chunk
    }

    /// Takes the bytes of `other` behind its own, as far as there is room.
    pub fn append(&mut self, other: &mut Self, pool: &mut ChunkPool) {
        if self.is_empty() {
            return std::mem::swap(self, other);
        }
        let room = self.open(pool).room();
        let n = room.len().min(other.bytes().len());
        room[..n].copy_from_slice(&other.bytes()[..n]);
        self.open(pool).filled(n);
        other.consume(n, pool);
    }

    /// Drops the first `n` bytes and gives an emptied chunk back.
    pub fn consume(&mut self, n: usize, pool: &mut ChunkPool) {
        if let Some(chunk) = &mut self.0 {
            chunk.consume(n);
        }
        self.settle(pool);
    }

    /// Gives the chunk back if it is empty.
    pub fn settle(&mut self, pool: &mut ChunkPool) {
        if self
            .0
            .as_ref()
            .is_some_and(|chunk| chunk.bytes().is_empty())
        {
            self.clear(pool);
        }
    }

    /// Drops all bytes.
    pub fn clear(&mut self, pool: &mut ChunkPool) {
        if let Some(chunk) = self.0.take() {
            pool.give(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut pool = ChunkPool::default();
        let mut slot = Slot::default();
        let chunk = slot.open(&mut pool);
        chunk.room()[..3].copy_from_slice(b"abc");
        chunk.filled(3);
        slot.consume(1, &mut pool);
        assert_eq!(slot.bytes(), b"bc");
        assert_eq!(slot.open(&mut pool).room().len(), CAPACITY - 2);
        assert_eq!(slot.bytes(), b"bc");
        slot.consume(9, &mut pool);
        assert!(slot.is_empty());
        assert_eq!(pool.spare.len(), 1);
    }

    #[test]
    fn an_unused_chunk_goes_back() {
        let mut pool = ChunkPool::default();
        let mut slot = Slot::default();
        slot.open(&mut pool);
        slot.settle(&mut pool);
        assert!(slot.is_empty());
        assert_eq!(pool.spare.len(), 1);
    }
}
