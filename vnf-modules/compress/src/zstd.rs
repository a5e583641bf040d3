//! One frame of zstd (RFC 8878) per direction, flushed at the end of each record, by the reference
//! implementation in C.

use std::fmt;
use std::ops::Range;

use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer};

use crate::format::{MAX_CLEAR, Mistake};

/// log2 of the most entries a table has: what a level asks for beyond that is memory that a
/// router does not have.
const MAX_TABLE_LOG: u32 = 15;

/// Packs records.
pub struct Encoder(CCtx<'static>);

impl Encoder {
    /// An encoder of this level that refers back by `2^window_log` bytes at most.
    pub fn new(window_log: u8, level: i32) -> Result<Self, Mistake> {
        let mut context = CCtx::try_create().ok_or(Mistake::Codec)?;
        let window_log = u32::from(window_log);
        let table_log = (window_log - 1).min(MAX_TABLE_LOG);
        for parameter in [
            CParameter::CompressionLevel(level),
            CParameter::WindowLog(window_log),
            CParameter::HashLog(table_log),
            CParameter::ChainLog(table_log),
        ] {
            context.set_parameter(parameter).map_err(failed)?;
        }
        Ok(Self(context))
    }

    /// See [`crate::codec::Encoder::encode`]; it always packs.
    pub fn encode(&mut self, clear: &[u8], out: &mut [u8]) -> Result<usize, Mistake> {
        let mut input = InBuffer::around(clear);
        let mut output = OutBuffer::around(out);
        let flush = ZSTD_EndDirective::ZSTD_e_flush;
        let left = self.0.compress_stream2(&mut output, &mut input, flush);
        // All of it must be out: the other end cannot go on without it.
        if left.map_err(failed)? > 0 || input.pos() < clear.len() {
            return Err(Mistake::Codec);
        }
        Ok(output.pos())
    }
}

/// Unpacks records.
pub struct Decoder {
    context: DCtx<'static>,
    /// The last record, clear.
    clear: Box<[u8]>,
    /// What of it was not taken yet.
    pending: Range<usize>,
}

impl Decoder {
    /// A decoder for frames that refer back by `2^window_log` bytes at most; it refuses others.
    pub fn new(window_log: u8) -> Result<Self, Mistake> {
        let mut context = DCtx::try_create().ok_or(Mistake::Codec)?;
        let most = DParameter::WindowLogMax(u32::from(window_log));
        context.set_parameter(most).map_err(failed)?;
        Ok(Self {
            context,
            clear: vec![0; MAX_CLEAR].into_boxed_slice(),
            pending: 0..0,
        })
    }

    /// See [`crate::codec::Decoder::decode`].
    pub fn decode(&mut self, packed: &[u8], clear: usize) -> Result<&[u8], Mistake> {
        let mut input = InBuffer::around(packed);
        let mut output = OutBuffer::around(&mut self.clear[..clear]);
        self.context
            .decompress_stream(&mut output, &mut input)
            .map_err(|_| Mistake::Packed)?;
        if output.pos() != clear || input.pos() != packed.len() {
            return Err(Mistake::Packed);
        }
        self.pending = 0..clear;
        Ok(self.pending())
    }

    /// See [`crate::codec::Decoder::pending`].
    pub fn pending(&self) -> &[u8] {
        &self.clear[self.pending.clone()]
    }

    /// See [`crate::codec::Decoder::take`].
    pub fn take(&mut self, n: usize) {
        self.pending.start = self.pending.start.saturating_add(n).min(self.pending.end);
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = &self.pending;
        f.debug_struct("Decoder")
            .field("pending", pending)
            .finish_non_exhaustive()
    }
}

/// What can fail besides bad input; zstd's own words for it are left out of the build.
const fn failed(_code: usize) -> Mistake {
    Mistake::Codec
}
