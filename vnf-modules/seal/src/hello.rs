//! The header that each direction begins with: who speaks, by which key, and 32 random bytes.
//!
//! ```text
//!  0               1               2               3
//!  +---------------+---------------+---------------+---------------+
//!  |                   magic: 53 36 53 4c ("S6SL")                 |
//!  +---------------+---------------+---------------+---------------+
//!  |  version: 1   |     role      |    ciphers    |     flags     |
//!  +---------------+---------------+---------------+---------------+
//!  |                            key id                             |
//!  +---------------+---------------+---------------+---------------+
//!  |                        random, 32 bytes …                     |
//! ```
//! Nothing in it is secret, and nothing in it can be changed on the way: all of it goes into the
//! keys of both directions (`schedule`), so that the first record would not be authentic.

use crate::cipher::{Cipher, Offer};
use crate::refusal::Refusal;

/// Bytes of a header.
pub const HELLO: usize = 44;

/// What no plain protocol begins with.
const MAGIC: [u8; 4] = *b"S6SL";
const VERSION: u8 = 1;
/// The flow's addresses and ports are part of the keys.
const FLAG_ADDRESSES: u8 = 1;

mod field {
    use std::ops::Range;

    pub const MAGIC: Range<usize> = 0..4;
    pub const VERSION: usize = 4;
    pub const ROLE: usize = 5;
    pub const CIPHERS: usize = 6;
    pub const FLAGS: usize = 7;
    pub const KEY_ID: Range<usize> = 8..12;
    pub const RANDOM: Range<usize> = 12..super::HELLO;
}

/// Which end of the sealed way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The client's side: seals upstream.
    Seal,
    /// The server's side: seals downstream.
    Open,
}

/// What one end says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Which end it is.
    pub role: Role,
    /// The ciphers it takes.
    pub offer: Offer,
    /// Whether the flow's addresses are part of its keys.
    pub addresses: bool,
    /// The master key's number.
    pub key_id: u32,
    /// Fresh for each flow.
    pub random: [u8; 32],
}

impl Hello {
    /// As it goes over the wire.
    pub fn bytes(&self) -> [u8; HELLO] {
        let mut bytes = [0; HELLO];
        bytes[field::MAGIC].copy_from_slice(&MAGIC);
        bytes[field::VERSION] = VERSION;
        bytes[field::ROLE] = match self.role {
            Role::Seal => 0,
            Role::Open => 1,
        };
        bytes[field::CIPHERS] = self.offer.number();
        bytes[field::FLAGS] = if self.addresses { FLAG_ADDRESSES } else { 0 };
        bytes[field::KEY_ID].copy_from_slice(&self.key_id.to_be_bytes());
        bytes[field::RANDOM].copy_from_slice(&self.random);
        bytes
    }

    /// Reads what the other end sent, and agrees with it on a cipher. `self` is what we sent.
    pub fn meet(&self, theirs: &[u8; HELLO]) -> Result<Cipher, Refusal> {
        if !may_be(theirs) {
            return Err(Refusal::NoHello);
        }
        if theirs[field::VERSION] != VERSION {
            return Err(Refusal::Version(theirs[field::VERSION]));
        }
        let other = match self.role {
            Role::Seal => 1,
            Role::Open => 0,
        };
        if theirs[field::ROLE] != other {
            return Err(Refusal::Role);
        }
        let addresses = match theirs[field::FLAGS] {
            0 => false,
            FLAG_ADDRESSES => true,
            flags => return Err(Refusal::Flags(flags)),
        };
        if addresses != self.addresses {
            return Err(Refusal::Addresses);
        }
        let key_id = theirs[field::KEY_ID]
            .iter()
            .fold(0, |id, byte| id << 8 | u32::from(*byte));
        if key_id != self.key_id {
            return Err(Refusal::KeyId(key_id));
        }
        let offer = Offer::numbered(theirs[field::CIPHERS])
            .ok_or(Refusal::Ciphers(theirs[field::CIPHERS]))?;
        self.offer.agree(offer).ok_or(Refusal::NoCipher)
    }
}

/// Whether a header could begin with these bytes.
pub fn may_be(beginning: &[u8]) -> bool {
    beginning
        .iter()
        .zip(MAGIC)
        .all(|(byte, magic)| *byte == magic)
}
