//! Bytes only: no I/O, no libc, no clock.
//!
//! The lowest layer. A captured SYN comes in as bytes ([`syn`]), is taken apart by the views of
//! [`ipv6`], [`srh`] and [`tcp`], and what goes out is bytes again: the routing header of the next
//! segment ([`rthdr`]) or an answer to the client ([`icmpv6`]). Read RFC 8754 section 2 first.
//!
//! **Panic contract.** A view (`Ipv6Header`, `Srh`, `Tcp`) exists only after its `check_len`
//! returned `Ok`, and then none of its accessors panics. Nothing else in this layer panics either,
//! whatever bytes it is handed: what cannot be read or written is an [`Error`].

use std::fmt;
use std::net::Ipv6Addr;

pub mod icmpv6;
pub mod ipv6;
pub mod rthdr;
pub mod sid;
pub mod srh;
pub mod syn;
pub mod tcp;
pub mod tlv;

/// The structure an [`Error`] speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Structure {
    /// The fixed IPv6 header, RFC 8200 section 3.
    Ipv6,
    /// An extension header other than the SRH, RFC 8200 section 4.
    Extension,
    /// The segment routing header, RFC 8754 section 2.
    Srh,
    /// The TCP header, RFC 9293 section 3.1.
    Tcp,
    /// One option of the TCP header, RFC 9293 section 3.2.
    TcpOption,
    /// An ICMPv6 message, RFC 4443 section 2.1.
    Icmpv6,
}

/// Why bytes are not what they should be. All lengths are in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The bytes end before the structure does.
    Truncated {
        /// What was read or written.
        structure: Structure,
        /// How long it is, as far as could be told.
        needed: usize,
        /// How many octets there were.
        available: usize,
    },
    /// A length field says what cannot be.
    BadLength {
        /// Whose length it is.
        structure: Structure,
        /// The length it says.
        length: usize,
    },
    /// The version field is not 6.
    NotIpv6 {
        /// What it is.
        version: u8,
    },
    /// A header that we neither read nor skip, or a hop-by-hop header that is not the first one.
    UnexpectedHeader {
        /// Its number in IANA's protocol registry.
        next_header: u8,
    },
    /// The header chain does not end within [`ipv6::MAX_EXTENSION_HEADERS`].
    TooManyHeaders,
    /// One of several fragments: the rest of the packet is elsewhere.
    Fragment,
    /// A routing header of another type than 4 that still has segments to visit.
    UnknownRouting {
        /// Its routing type.
        routing_type: u8,
    },
    /// Two routing headers of type 4: which one is meant cannot be told.
    SecondSrh,
    /// `segments_left` points behind the list. This is also how a reduced SRH (RFC 8754 section
    /// 4.1.1) looks: it leaves the first segment out, and with it our position.
    SegmentsLeftBeyondLast {
        /// The field.
        segments_left: u8,
        /// The index it may reach.
        last_entry: u8,
    },
    /// The segment list is longer than the header that holds it.
    LastEntryBeyondLength {
        /// Index of the last segment.
        last_entry: u8,
        /// Length of the header in 8 octets, without the first 8.
        hdr_ext_len: u8,
    },
    /// More segments than [`srh::MAX_SEGMENTS`], the final destination not counted.
    TooManySegments {
        /// How many.
        count: usize,
    },
    /// A TLV that ends behind the header, or is too short for its type.
    TruncatedTlv {
        /// Where it starts in the TLV area.
        offset: usize,
    },
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv6 => "IPv6 header",
            Self::Extension => "extension header",
            Self::Srh => "segment routing header",
            Self::Tcp => "TCP header",
            Self::TcpOption => "TCP option",
            Self::Icmpv6 => "ICMPv6 message",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated {
                structure,
                needed,
                available,
            } => {
                write!(
                    f,
                    "{structure} truncated: {needed} octets needed, {available} there"
                )
            }
            Self::BadLength { structure, length } => {
                write!(
                    f,
                    "{structure} says an impossible length of {length} octets"
                )
            }
            Self::NotIpv6 { version } => write!(f, "IP version {version} instead of 6"),
            Self::UnexpectedHeader { next_header } => {
                write!(
                    f,
                    "header {next_header} where TCP or an extension header is due"
                )
            }
            Self::TooManyHeaders => {
                write!(
                    f,
                    "more than {} extension headers",
                    ipv6::MAX_EXTENSION_HEADERS
                )
            }
            Self::Fragment => f.write_str("a fragment of a packet"),
            Self::UnknownRouting { routing_type } => {
                write!(
                    f,
                    "routing header of type {routing_type} with segments left"
                )
            }
            Self::SecondSrh => f.write_str("a second segment routing header"),
            Self::SegmentsLeftBeyondLast {
                segments_left,
                last_entry,
            } => write!(
                f,
                "segments left {segments_left} points behind the last entry {last_entry}"
            ),
            Self::LastEntryBeyondLength {
                last_entry,
                hdr_ext_len,
            } => write!(
                f,
                "last entry {last_entry} does not fit a segment routing header of length \
                 {hdr_ext_len}"
            ),
            Self::TooManySegments { count } => {
                write!(f, "{count} segments, more than {}", srh::MAX_SEGMENTS)
            }
            Self::TruncatedTlv { offset } => write!(f, "TLV at octet {offset} is cut short"),
        }
    }
}

impl std::error::Error for Error {}

/// `bytes` reach up to `needed`.
fn require(structure: Structure, bytes: &[u8], needed: usize) -> Result<(), Error> {
    let available = bytes.len();
    if available < needed {
        return Err(Error::Truncated {
            structure,
            needed,
            available,
        });
    }
    Ok(())
}

/// The big-endian 16 bits at `offset`, which the caller has checked to be there.
fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([bytes[offset], bytes[offset + 1]])
}

/// The address at `offset`, which the caller has checked to be there.
fn address_at(bytes: &[u8], offset: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[offset..offset + 16]);
    Ipv6Addr::from(octets)
}
