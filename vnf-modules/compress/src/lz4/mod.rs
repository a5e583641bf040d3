//! LZ4 blocks (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>) that refer to the
//! blocks before them.
//!
//! The decoder is that of the crate `lz4_flex`. Its encoder links blocks only in its frame type,
//! with buffers of 278 KiB for every direction of every flow; the one here has a table of 16 KiB
//! and at most two windows.

mod encoder;
mod history;

use std::ops::Range;

use lz4_flex::block::decompress_into_with_dict;

pub use encoder::Encoder;
use history::History;

use crate::format::Mistake;

/// Unpacks blocks in the order they were packed in.
#[derive(Debug)]
pub struct Decoder {
    history: History,
    /// Where in the history that lies which was not taken yet.
    pending: Range<usize>,
}

impl Decoder {
    /// A decoder for blocks that refer back by `window` bytes at most.
    pub fn new(window: usize) -> Self {
        Self {
            history: History::new(window),
            pending: 0..0,
        }
    }

    /// See [`crate::codec::Decoder::decode`].
    pub fn decode(&mut self, packed: &[u8], clear: usize) -> Result<&[u8], Mistake> {
        self.history.make_room(clear);
        let (past, room) = self.history.split(clear);
        match decompress_into_with_dict(packed, room, past) {
            Ok(n) if n == clear => Ok(self.came(clear)),
            Ok(_) | Err(_) => Err(Mistake::Packed),
        }
    }

    /// See [`crate::codec::Decoder::keep`].
    pub fn keep(&mut self, clear: &[u8]) -> &[u8] {
        self.history.make_room(clear.len());
        let (_, room) = self.history.split(clear.len());
        room.copy_from_slice(clear);
        self.came(clear.len())
    }

    /// The first `n` bytes of the room are the next record.
    fn came(&mut self, n: usize) -> &[u8] {
        let start = self.history.len();
        self.history.keep(n);
        self.pending = start..start + n;
        self.pending()
    }

    /// See [`crate::codec::Decoder::pending`].
    pub fn pending(&self) -> &[u8] {
        self.history.bytes(self.pending.clone())
    }

    /// See [`crate::codec::Decoder::take`].
    pub fn take(&mut self, n: usize) {
        self.pending.start = self.pending.start.saturating_add(n).min(self.pending.end);
    }
}
