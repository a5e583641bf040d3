//! Records: what a direction carries behind its header.
//!
//! ```text
//!  0               1
//!  +-+-------------+---------------+---------------- … -+---------------- … -+
//!  |F|           length            | sealed, length bytes |   tag, 16 bytes    |
//!  +-+-------------+---------------+---------------- … -+---------------- … -+
//! ```
//! F marks the last record: a stream that ends without it was cut off. The first two bytes are
//! vouched for (AAD). The nonce is the record's number, four zero bytes in front, so a record is
//! authentic in its own place only.

use crate::cipher::{Keyed, TAG};
use crate::refusal::Refusal;

use srv6pipes_vnf::abi::MIN_ROOM;

/// Most bytes of a flow in one record: as many as the host has room for when it calls again, so
/// that a record is opened right into its output and no flow needs a buffer.
pub const MAX_PLAIN: usize = MIN_ROOM;
/// What a record adds.
pub const OVERHEAD: usize = HEAD + TAG;

const HEAD: usize = 2;
const FINAL: u16 = 0x8000;

/// Records one key is used for. A flow of so many is ended: 16 TiB, if they are full. It is what
/// NIST SP 800-38D, section 8.3, allows where nonces could meet, which these cannot.
const MAX_RECORDS: u64 = 1 << 32;

/// A key, and how many records it was used for.
struct Numbered {
    key: Keyed,
    records: u64,
}

/// Makes records.
pub struct Sealer(Numbered);

/// Reads records.
pub struct Opener(Numbered);

/// What a call did to its buffers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Bytes of the input.
    pub consumed: usize,
    /// Bytes of the output.
    pub produced: usize,
    /// The last record is among them.
    pub finished: bool,
}

impl Numbered {
    /// Of the next record.
    fn nonce(&mut self) -> Result<[u8; 12], Refusal> {
        if self.records >= MAX_RECORDS {
            return Err(Refusal::Exhausted);
        }
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.records.to_be_bytes());
        self.records += 1;
        Ok(nonce)
    }
}

impl Sealer {
    /// From the first record on.
    pub fn new(key: Keyed) -> Self {
        Self(Numbered { key, records: 0 })
    }

    /// Seals as much as there is room for; all of it at once, so that nobody waits for a full
    /// record. `end`: the input is the last there is.
    pub fn seal(&mut self, input: &[u8], output: &mut [u8], end: bool) -> Result<Done, Refusal> {
        let mut done = Done::default();
        loop {
            let rest = &input[done.consumed..];
            let room = &mut output[done.produced..];
            if rest.is_empty() && !end {
                return Ok(done);
            }
            let wanted = rest.len().min(MAX_PLAIN);
            let fits = room.len().saturating_sub(OVERHEAD);
            // A whole record will fit the next time; in half the room there would be two of them.
            if room.len() < OVERHEAD || (fits < wanted && (done.produced > 0 || fits == 0)) {
                return Ok(done);
            }
            let plain = &rest[..wanted.min(fits)];
            done.finished = end && plain.len() == rest.len();
            done.produced += self.record(plain, room, done.finished)?;
            done.consumed += plain.len();
            if done.finished {
                return Ok(done);
            }
        }
    }

    fn record(&mut self, plain: &[u8], room: &mut [u8], last: bool) -> Result<usize, Refusal> {
        let nonce = self.0.nonce()?;
        let length = u16::try_from(plain.len()).map_err(|_| Refusal::Exhausted)?;
        let head = (if last { FINAL | length } else { length }).to_be_bytes();
        let (front, rest) = room.split_at_mut(HEAD);
        let (sealed, rest) = rest.split_at_mut(plain.len());
        let tag = self.0.key.seal(nonce, &head, plain, sealed);
        front.copy_from_slice(&head);
        rest[..TAG].copy_from_slice(&tag.map_err(|_| Refusal::Exhausted)?);
        Ok(OVERHEAD + plain.len())
    }
}

impl Opener {
    /// From the first record on.
    pub fn new(key: Keyed) -> Self {
        Self(Numbered { key, records: 0 })
    }

    /// Opens all records that are there in whole and have room; stops behind the last one. `end`:
    /// the input is the last there is.
    pub fn open(&mut self, input: &[u8], output: &mut [u8], end: bool) -> Result<Done, Refusal> {
        let mut done = Done::default();
        while !done.finished {
            let Some((head, rest)) = input[done.consumed..].split_first_chunk::<HEAD>() else {
                break;
            };
            let (length, last) = parse(*head)?;
            let Some((sealed, tag)) = rest
                .get(..length + TAG)
                .and_then(<[u8]>::split_last_chunk::<TAG>)
            else {
                break;
            };
            let Some(plain) = output[done.produced..].get_mut(..length) else {
                return Ok(done);
            };
            let number = self.0.records;
            let nonce = self.0.nonce()?;
            let opened = self.0.key.open(nonce, head, sealed, tag, plain);
            opened.map_err(|_| Refusal::Unauthentic(number))?;
            done.consumed += OVERHEAD + length;
            done.produced += length;
            done.finished = last;
        }
        if end && !done.finished {
            return Err(Refusal::CutOff);
        }
        Ok(done)
    }
}

/// Length and whether it is the last one.
fn parse(head: [u8; HEAD]) -> Result<(usize, bool), Refusal> {
    let head = u16::from_be_bytes(head);
    let (length, last) = (usize::from(head & !FINAL), head & FINAL != 0);
    if length > MAX_PLAIN || (length == 0 && !last) {
        return Err(Refusal::Length(length));
    }
    Ok((length, last))
}

#[cfg(test)]
mod tests;
