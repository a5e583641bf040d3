//! What goes over the wire between `compress` and `decompress`, one direction of it:
//!
//! ```text
//! stream header
//!  0               1               2               3
//!  0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7
//! +---------------+---------------+---------------+---------------+
//! |     0x96      |      's'      |      '6'      |      'z'      |
//! +---------------+---------------+---------------+---------------+
//! |    version    |   algorithm   |  window, log2 |   zero        |
//! +---------------+---------------+---------------+---------------+
//! then records; the last one is an End
//! +---+---------------------------+-------------------------------+
//! |kind|  clear bytes - 1 (14)    | packed bytes (16): Packed only|
//! +---+---------------------------+-------------------------------+
//! |                           checksum                            |
//! +---------------------------------------------------------------+
//! |  packed bytes, or the clear bytes themselves (Stored), or     |
//! |  nothing (End)                                                |
//! ```
//!
//! All numbers are big-endian. Packed records, and Stored ones of [`LEAST_SEEN`] bytes and more,
//! are what later records may refer to, up to the window back.
//!
//! The checksum is XXH32 (<https://github.com/Cyan4973/xxHash>) of the
//! clear bytes, with the checksum before it as the seed; before the first one stands that of the
//! stream header, with seed 0. TCP's own checksum misses one damage in 65536, and a decoder that
//! has lost its place would go on with nonsense: a chain of checksums finds both, at a hundredth
//! of what the compression costs. It is no protection from who means harm; `seal` is.

use std::fmt;

use twox_hash::XxHash32;

use crate::codec::Algorithm;

/// Length of the stream header, bytes.
pub const HEADER: usize = 8;
/// Length of the longest record's head, bytes.
pub const RECORD_HEAD: usize = 8;
/// Most clear bytes in a record: what the other end holds back until it has seen all of it, and
/// what a decoder makes of one record at most.
pub const MAX_CLEAR: usize = 1 << 14;
/// Records of fewer bytes are stored without being looked at: no codec gains on them what the
/// longer head costs.
pub const LEAST_SEEN: usize = 16;
/// Most packed bytes: zstd frames what it cannot compress. With its head a record fits what a
/// host offers at once.
pub const MAX_PACKED: usize = MAX_CLEAR + CODEC_SLACK;
/// So many bytes more than the clear ones a codec may need.
pub const CODEC_SLACK: usize = 256;
/// The smallest and the largest window, log2 of bytes. A record fits the smallest.
pub const WINDOW_LOG: std::ops::RangeInclusive<u8> = 14..=16;

/// No text and no TLS record begins so.
const MAGIC: [u8; 4] = [0x96, b's', b'6', b'z'];
const VERSION: u8 = 1;

/// What both ends must agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How the records are packed.
    pub algorithm: Algorithm,
    /// How far back a record may refer, log2 of bytes; see [`WINDOW_LOG`].
    pub window_log: u8,
}

impl Terms {
    /// The stream header that says so.
    pub fn header(self) -> [u8; HEADER] {
        let [a, b, c, d] = MAGIC;
        let code = self.algorithm.code();
        [a, b, c, d, VERSION, code, self.window_log, 0]
    }

    /// What the header at the front of `stream` says; nothing if not all of it is there yet, but
    /// a wrong one is told as soon as it can be: whoever sent it may wait for an answer.
    pub fn read(stream: &[u8]) -> Result<Option<Self>, Mistake> {
        let magic = stream.iter().zip(MAGIC);
        if magic.clone().any(|(byte, expected)| *byte != expected) {
            return Err(Mistake::NotOurs);
        }
        let Some([_, _, _, _, version, algorithm, window_log, zero]) = stream.first_chunk() else {
            return Ok(None);
        };
        if *version != VERSION || *zero != 0 {
            return Err(Mistake::Version(*version));
        }
        match Algorithm::from_code(*algorithm) {
            Some(algorithm) if WINDOW_LOG.contains(window_log) => Ok(Some(Self {
                algorithm,
                window_log: *window_log,
            })),
            _ => Err(Mistake::Version(*version)),
        }
    }

    /// The window, bytes.
    pub fn window(self) -> usize {
        1 << self.window_log
    }
}

/// What follows a record's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, and nothing comes after it.
    End,
    /// The clear bytes.
    Stored,
    /// So many bytes that the codec unpacks.
    Packed(usize),
}

/// A record's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What follows.
    pub kind: Kind,
    /// How many clear bytes it stands for: 0 if it is an End, else 1 to [`MAX_CLEAR`].
    pub clear: usize,
    /// Of the clear bytes; see [`chained`].
    pub checksum: u32,
}

const STORED: u16 = 1;
const PACKED: u16 = 2;
const KIND_SHIFT: u32 = 14;
const LENGTH_MASK: u16 = (1 << KIND_SHIFT) - 1;

impl Record {
    /// Writes the head to the front of `out`, which has room for it; its length.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most MAX_CLEAR and MAX_PACKED"
    )]
    pub fn write(self, out: &mut [u8]) -> usize {
        let length = self.clear.saturating_sub(1) as u16 & LENGTH_MASK;
        let checksum = self.checksum.to_be_bytes();
        let (kind, packed) = match self.kind {
            Kind::End => (0, None),
            Kind::Stored => (STORED, None),
            Kind::Packed(packed) => (PACKED, Some(packed as u16)),
        };
        out[..2].copy_from_slice(&(kind << KIND_SHIFT | length).to_be_bytes());
        let mut at = 2;
        if let Some(packed) = packed {
            out[2..4].copy_from_slice(&packed.to_be_bytes());
            at = 4;
        }
        out[at..at + 4].copy_from_slice(&checksum);
        at + 4
    }

    /// The head at the front of `stream`, and its length; nothing if not all of it is there yet.
    pub fn read(stream: &[u8]) -> Result<Option<(Self, usize)>, Mistake> {
        let Some((first, rest)) = stream.split_first_chunk() else {
            return Ok(None);
        };
        let first = u16::from_be_bytes(*first);
        let length = first & LENGTH_MASK;
        let (kind, rest) = match first >> KIND_SHIFT {
            0 if length == 0 => (Kind::End, rest),
            STORED => (Kind::Stored, rest),
            PACKED => {
                let Some((packed, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let packed = usize::from(u16::from_be_bytes(*packed));
                if !(1..=MAX_PACKED).contains(&packed) {
                    return Err(Mistake::Record);
                }
                (Kind::Packed(packed), rest)
            }
            _ => return Err(Mistake::Record),
        };
        let Some((checksum, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let record = Self {
            kind,
            clear: match kind {
                Kind::End => 0,
                _ => usize::from(length) + 1,
            },
            checksum: u32::from_be_bytes(*checksum),
        };
        Ok(Some((record, stream.len() - rest.len())))
    }

    /// How many bytes follow the head.
    pub const fn payload(self) -> usize {
        match self.kind {
            Kind::End => 0,
            Kind::Stored => self.clear,
            Kind::Packed(packed) => packed,
        }
    }
}

/// The checksum of `clear` after one of `before`.
pub fn chained(before: u32, clear: &[u8]) -> u32 {
    XxHash32::oneshot(before, clear)
}

/// What is wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// It does not begin as ours do.
    NotOurs,
    /// It begins as ours do, but of a version with this number, or with an algorithm or window
    /// that this version does not know.
    Version(u8),
    /// The other end wants what this one is not set to.
    Terms {
        /// What its header says.
        theirs: Terms,
        /// What this end is set to.
        ours: Terms,
    },
    /// No record begins so.
    Record,
    /// The codec cannot unpack it, or into another length.
    Packed,
    /// The codec had no memory.
    Codec,
    /// The checksum is another one.
    Checksum,
    /// It ended without an End.
    Truncated,
    /// Something follows its End.
    AfterEnd,
}

impl Mistake {
    /// Whether the other end is set up wrongly or is none of ours: the operator must act.
    pub const fn is_the_operators(self) -> bool {
        matches!(self, Self::NotOurs | Self::Version(_) | Self::Terms { .. })
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, kib) = (self.algorithm.name(), self.window() / 1024);
        write!(f, "{name} with a window of {kib} KiB")
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str(
                "what came was not compressed by the other function of this module; \
                 the flow must pass `compress` at one proxy and then `decompress` at another",
            ),
            Self::Version(version) => write!(
                f,
                "the stream is of a newer format (version {version}); \
                 put the same version of this module on both proxies"
            ),
            Self::Terms { theirs, ours } => write!(
                f,
                "the other end compresses by {theirs}, this one is set to {ours}; \
                 give both sections the same algorithm and window_kb"
            ),
            Self::Record => f.write_str("the compressed stream is garbled: no record begins so"),
            Self::Packed => f.write_str("the compressed stream is garbled: a record is not valid"),
            Self::Codec => f.write_str("the codec failed: there is no memory left for it"),
            Self::Checksum => f.write_str("the compressed stream is garbled: a checksum differs"),
            Self::Truncated => f.write_str("the compressed stream was cut off"),
            Self::AfterEnd => f.write_str("bytes follow the end of the compressed stream"),
        }
    }
}

impl std::error::Error for Mistake {}
