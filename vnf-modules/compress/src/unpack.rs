//! One direction on its way out of the compressed stretch.
//!
//! A record is looked at when all of it has come, and none of its bytes goes on before its
//! checksum was right. Until then it waits with the host, which offers four times as much at once.

use srv6pipes_vnf::Progress;

use crate::codec::Decoder;
use crate::format::{HEADER, Kind, LEAST_SEEN, Mistake, Record, Terms, chained};

/// One direction.
#[derive(Debug)]
pub struct Unpacker {
    /// What this end is set to.
    ours: Terms,
    /// What the stream header said, within [`ours`](Self::ours).
    terms: Option<Terms>,
    /// Made for the first record that it has to see.
    decoder: Option<Decoder>,
    /// The last checksum.
    checksum: u32,
    /// So many bytes at the front of the input are clear, checked and not taken yet.
    stored: usize,
    /// The End has come.
    ended: bool,
}

impl Unpacker {
    /// Nothing has come yet, and nothing is allocated.
    pub const fn new(ours: Terms) -> Self {
        Self {
            ours,
            terms: None,
            decoder: None,
            checksum: 0,
            stored: 0,
            ended: false,
        }
    }

    /// Whether it has memory of its own.
    #[cfg(test)]
    pub const fn allocates(&self) -> bool {
        self.decoder.is_some()
    }

    /// `process` of the direction.
    ///
    /// # Errors
    /// When the stream is none of ours, or garbled, or cut off.
    pub fn process(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Mistake> {
        let mut rest = input;
        let mut produced = 0;
        loop {
            let (taken, given) = self.deliver(rest, &mut output[produced..]);
            rest = &rest[taken..];
            produced += given;
            // Whatever is left to deliver needs more room than there is.
            if produced == output.len() || !self.advance(&mut rest)? {
                break;
            }
        }
        let consumed = input.len() - rest.len();
        if !end || produced == output.len() {
            return Ok(Progress::more(consumed, produced));
        }
        if self.ended {
            Ok(Progress::finished(consumed, produced))
        } else {
            Err(Mistake::Truncated)
        }
    }

    /// Moves clear bytes that were checked to `output`: how many it took from the input, and how
    /// many it gave.
    fn deliver(&mut self, input: &[u8], output: &mut [u8]) -> (usize, usize) {
        if self.stored > 0 {
            let n = self.stored.min(input.len()).min(output.len());
            output[..n].copy_from_slice(&input[..n]);
            self.stored -= n;
            return (n, n);
        }
        let Some(decoder) = &mut self.decoder else {
            return (0, 0);
        };
        let pending = decoder.pending();
        let n = pending.len().min(output.len());
        output[..n].copy_from_slice(&pending[..n]);
        decoder.take(n);
        (0, n)
    }

    /// Reads the next thing at the front of the stream and checks it; whether all of it was there.
    fn advance(&mut self, stream: &mut &[u8]) -> Result<bool, Mistake> {
        if self.stored > 0 {
            return Ok(false);
        }
        if self.ended {
            // The decoder was kept until all it had was delivered.
            self.decoder = None;
            return if stream.is_empty() {
                Ok(false)
            } else {
                Err(Mistake::AfterEnd)
            };
        }
        let Some(terms) = self.terms else {
            let Some(theirs) = Terms::read(stream)? else {
                return Ok(false);
            };
            let ours = self.ours;
            if theirs.algorithm != ours.algorithm || theirs.window_log > ours.window_log {
                return Err(Mistake::Terms { theirs, ours });
            }
            self.terms = Some(theirs);
            self.checksum = chained(0, &stream[..HEADER]);
            *stream = &stream[HEADER..];
            return Ok(true);
        };
        let Some((record, head)) = Record::read(stream)? else {
            return Ok(false);
        };
        let behind = &stream[head..];
        let Some(payload) = behind.get(..record.payload()) else {
            return Ok(false);
        };
        let unseen = record.kind == Kind::Stored && record.clear < LEAST_SEEN;
        let clear = match record.kind {
            Kind::End => &[],
            Kind::Stored if unseen => payload,
            Kind::Stored => made(&mut self.decoder, terms)?.keep(payload)?,
            Kind::Packed(_) => made(&mut self.decoder, terms)?.decode(payload, record.clear)?,
        };
        let checksum = chained(self.checksum, clear);
        if checksum != record.checksum {
            return Err(Mistake::Checksum);
        }
        self.checksum = checksum;
        self.ended = record.kind == Kind::End;
        *stream = if unseen {
            self.stored = record.clear;
            behind
        } else {
            &behind[payload.len()..]
        };
        Ok(true)
    }
}

/// The decoder, made if there is none yet.
fn made(decoder: &mut Option<Decoder>, terms: Terms) -> Result<&mut Decoder, Mistake> {
    match decoder {
        Some(decoder) => Ok(decoder),
        none => Ok(none.insert(Decoder::new(terms)?)),
    }
}
