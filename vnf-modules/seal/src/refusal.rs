//! Why a flow is ended: in the words of the log, and never with a key in them.

use std::fmt;

/// Why a flow is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The other end's first bytes are no header.
    NoHello,
    /// Its header is of this version.
    Version(u8),
    /// It is the same end as we are.
    Role,
    /// Its header has flags that we do not know.
    Flags(u8),
    /// Its header names ciphers that we do not know.
    Ciphers(u8),
    /// It seals with this key.
    KeyId(u32),
    /// One end makes the addresses part of the keys, the other does not.
    Addresses,
    /// No cipher is right for both ends.
    NoCipher,
    /// A record is longer than any may be, or empty.
    Length(usize),
    /// The record of this number is not what the other end sealed with our key.
    Unauthentic(u64),
    /// The stream ended without a last record.
    CutOff,
    /// The key has been used for as many records as it may.
    Exhausted,
    /// The other end has said nothing.
    Silent,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHello => f.write_str(
                "its other end does not seal: what came first is no header; \
                 is the mirror function the next of the segment list?",
            ),
            Self::Version(version) => write!(f, "its other end speaks version {version}, not 1"),
            Self::Role => f.write_str(
                "its other end has our own role: the client's side runs seal, the server's open",
            ),
            Self::Flags(flags) => write!(f, "its other end's header has flags {flags:#04x}"),
            Self::Ciphers(ciphers) => {
                write!(f, "its other end offers ciphers {ciphers}, unknown here")
            }
            Self::KeyId(id) => write!(f, "its other end seals with key {id}"),
            Self::Addresses => f.write_str("option addresses is not the same at both ends"),
            Self::NoCipher => f.write_str("option cipher leaves none that both ends take"),
            Self::Length(length) => write!(f, "a record of {length} bytes"),
            Self::Unauthentic(0) => f.write_str(
                "its first record is not authentic: the key of that number is another one at the \
                 other end, or the flow was changed, redirected or played back",
            ),
            Self::Unauthentic(number) => {
                write!(f, "record {number} is not authentic: changed on the way")
            }
            Self::CutOff => f.write_str("cut off: it ended without its last record"),
            Self::Exhausted => f.write_str("its key has sealed as many records as it may"),
            Self::Silent => f.write_str("its other end has sent no header in time"),
        }
    }
}
