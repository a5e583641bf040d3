//! The algorithms, as the rest of the module sees them: something that packs records and something
//! that unpacks them, each with what it remembers of the records before.

use crate::format::{Mistake, Terms};
use crate::lz4;
#[cfg(feature = "zstd")]
use crate::zstd;

/// How records are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Blocks of LZ4, each of which may refer to those before it.
    Lz4,
    /// One frame of zstd, flushed at the end of each record.
    Zstd,
}

/// The words of `option algorithm`, as far as this build goes.
pub const WORDS: &[(&str, Algorithm)] = &[
    ("lz4", Algorithm::Lz4),
    #[cfg(feature = "zstd")]
    ("zstd", Algorithm::Zstd),
];

impl Algorithm {
    /// Its number in the stream header.
    pub const fn code(self) -> u8 {
        match self {
            Self::Lz4 => 1,
            Self::Zstd => 2,
        }
    }

    /// The algorithm of a number, whether or not this build has it.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Lz4, Self::Zstd]
            .into_iter()
            .find(|algorithm| algorithm.code() == code)
    }

    /// As `option algorithm` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Packs records.
#[derive(Debug)]
pub enum Encoder {
    /// See [`lz4`].
    Lz4(lz4::Encoder),
    /// See [`zstd`].
    #[cfg(feature = "zstd")]
    Zstd(zstd::Encoder),
}

impl Encoder {
    /// Allocates what it needs; `level` is zstd's.
    pub fn new(terms: Terms, level: i32) -> Result<Self, Mistake> {
        match terms.algorithm {
            Algorithm::Lz4 => Ok(Self::Lz4(lz4::Encoder::new(terms.window()))),
            #[cfg(feature = "zstd")]
            Algorithm::Zstd => zstd::Encoder::new(terms.window_log, level).map(Self::Zstd),
            #[cfg(not(feature = "zstd"))]
            Algorithm::Zstd => {
                let _ = level;
                Err(Mistake::Codec)
            }
        }
    }

    /// Packs `clear` into `out`, which is at least [`CODEC_SLACK`](crate::format::CODEC_SLACK)
    /// larger; the length, or nothing if that would not make it smaller. Later records may refer
    /// to it either way.
    pub fn encode(&mut self, clear: &[u8], out: &mut [u8]) -> Result<Option<usize>, Mistake> {
        match self {
            Self::Lz4(encoder) => Ok(encoder.encode(clear, out)),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.encode(clear, out).map(Some),
        }
    }
}

/// Unpacks records.
#[derive(Debug)]
pub enum Decoder {
    /// See [`lz4`].
    Lz4(lz4::Decoder),
    /// See [`zstd`].
    #[cfg(feature = "zstd")]
    Zstd(zstd::Decoder),
}

impl Decoder {
    /// Allocates what it needs.
    pub fn new(terms: Terms) -> Result<Self, Mistake> {
        match terms.algorithm {
            Algorithm::Lz4 => Ok(Self::Lz4(lz4::Decoder::new(terms.window()))),
            #[cfg(feature = "zstd")]
            Algorithm::Zstd => zstd::Decoder::new(terms.window_log).map(Self::Zstd),
            #[cfg(not(feature = "zstd"))]
            Algorithm::Zstd => Err(Mistake::Codec),
        }
    }

    /// Unpacks one record of `clear` bytes; they are [`pending`](Self::pending) then. Those of the
    /// record before must have been taken.
    pub fn decode(&mut self, packed: &[u8], clear: usize) -> Result<&[u8], Mistake> {
        match self {
            Self::Lz4(decoder) => decoder.decode(packed, clear),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.decode(packed, clear),
        }
    }

    /// As [`decode`](Self::decode), of a record that was not packed.
    pub fn keep(&mut self, clear: &[u8]) -> Result<&[u8], Mistake> {
        match self {
            Self::Lz4(decoder) => Ok(decoder.keep(clear)),
            // zstd packs whatever it sees.
            #[cfg(feature = "zstd")]
            Self::Zstd(_) => Err(Mistake::Record),
        }
    }

    /// What was unpacked and not taken yet.
    pub fn pending(&self) -> &[u8] {
        match self {
            Self::Lz4(decoder) => decoder.pending(),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.pending(),
        }
    }

    /// Takes the first `n` bytes of what is pending.
    pub fn take(&mut self, n: usize) {
        match self {
            Self::Lz4(decoder) => decoder.take(n),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.take(n),
        }
    }
}
