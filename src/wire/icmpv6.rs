//! Destination Unreachable, told to a client as if no proxy were on the way.
//!
//! Sent by `proxy` when the next segment cannot be reached. Read first: RFC 4443 section 3.1, and
//! `tcp_v6_err` in net/ipv6/tcp_ipv6.c of Linux: it finds the client's socket by the destination
//! of the quoted packet, so a quoted SID would find nothing. Hence the quote has the packet as the
//! client's TCP sent it: to the final destination, without extension headers.

use std::net::Ipv6Addr;

use crate::wire::ipv6::{self, HEADER_LEN, Ipv6Header, Ipv6Repr, next_header};
use crate::wire::srh::Srh;
use crate::wire::tcp::Tcp;
use crate::wire::{Error, Structure};

const DESTINATION_UNREACHABLE: u8 = 1;

/// RFC 4443 section 3.1: type, code, checksum, unused.
const MESSAGE_HEADER_LEN: usize = 8;

/// Why a destination is unreachable: the code field of RFC 4443 section 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// No route to the destination.
    NoRoute,
    /// A firewall forbids it.
    Prohibited,
    /// The source address' scope does not reach there.
    BeyondScope,
    /// The link does not resolve the address, or anything else.
    Address,
    /// Nobody listens.
    Port,
    /// The source address is forbidden on this way.
    SourcePolicy,
    /// A route says "reject".
    RejectRoute,
}

impl Unreachable {
    fn code(self) -> u8 {
        match self {
            Self::NoRoute => 0,
            Self::Prohibited => 1,
            Self::BeyondScope => 2,
            Self::Address => 3,
            Self::Port => 4,
            Self::SourcePolicy => 5,
            Self::RejectRoute => 6,
        }
    }
}

/// The message from its type on, about the TCP `packet` that was captured.
///
/// Its checksum field is 0: a raw ICMPv6 socket fills it in (RFC 3542 section 3.1).
///
/// # Errors
/// When `packet` cannot be read as TCP over IPv6; see [`Error`].
pub fn destination_unreachable(reason: Unreachable, packet: &[u8]) -> Result<Vec<u8>, Error> {
    let header = Ipv6Header::new_checked(packet)?;
    let layout = ipv6::walk(packet)?;
    if layout.upper_next_header != next_header::TCP {
        return Err(Error::UnexpectedHeader {
            next_header: layout.upper_next_header,
        });
    }
    let last_segment = match layout.srh {
        Some(start) => Srh::new_checked(&packet[start..layout.upper_layer])?
            .segments()
            .next(),
        None => None,
    };
    let segment = &packet[layout.upper_layer..layout.end];
    let tcp_header = &segment[..Tcp::new_checked(segment)?.header_len()];
    let extensions = layout.upper_layer - HEADER_LEN;
    let length = usize::from(header.payload_length()).saturating_sub(extensions);
    let quoted = Ipv6Repr {
        payload_length: u16::try_from(length).map_err(|_| Error::BadLength {
            structure: Structure::Ipv6,
            length,
        })?,
        next_header: next_header::TCP,
        destination: last_segment.unwrap_or(header.destination()),
        ..Ipv6Repr::parse(&header)
    };
    let mut message = Vec::with_capacity(MESSAGE_HEADER_LEN + HEADER_LEN + tcp_header.len());
    message.extend_from_slice(&[DESTINATION_UNREACHABLE, reason.code(), 0, 0, 0, 0, 0, 0]);
    message.extend_from_slice(&quoted.emit());
    message.extend_from_slice(tcp_header);
    Ok(message)
}

/// The checksum of an upper-layer packet with the pseudo-header of RFC 8200 section 8.1: what
/// belongs into its checksum field if that is 0 now, and 0 if it is right already.
///
/// # Errors
/// [`Error::BadLength`] for 4 GiB and more.
pub fn checksum(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    upper_next_header: u8,
    upper_layer: &[u8],
) -> Result<u16, Error> {
    let length = upper_layer.len();
    let bad_length = Error::BadLength {
        structure: Structure::Icmpv6,
        length,
    };
    let length = u32::try_from(length).map_err(|_| bad_length)?;
    let mut sum = u64::from(length) + u64::from(upper_next_header);
    for bytes in [&source.octets()[..], &destination.octets(), upper_layer] {
        for pair in bytes.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        }
    }
    // The carries are added back until none is left.
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).map(|sum| !sum).map_err(|_| bad_length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_makes_its_packet_right() {
        let (source, destination) = (Ipv6Addr::LOCALHOST, Ipv6Addr::from([0xff; 16]));
        let sum = |bytes: &[u8]| checksum(source, destination, next_header::ICMPV6, bytes).unwrap();
        for odd in [0, 1] {
            let mut message = vec![0xff; 63 + odd];
            message[2..4].fill(0);
            let right = sum(&message);
            message[2..4].copy_from_slice(&right.to_be_bytes());
            assert_eq!(sum(&message), 0);
            message[40] ^= 1;
            assert_ne!(sum(&message), 0);
        }
    }

    #[test]
    fn an_empty_message_is_summed_by_its_pseudo_header_alone() {
        let zero = Ipv6Addr::UNSPECIFIED;
        assert_eq!(checksum(zero, zero, next_header::ICMPV6, &[]), Ok(!58));
    }

    #[test]
    fn codes_are_those_of_rfc_4443() {
        use Unreachable::{
            Address, BeyondScope, NoRoute, Port, Prohibited, RejectRoute, SourcePolicy,
        };
        let all = [
            NoRoute,
            Prohibited,
            BeyondScope,
            Address,
            Port,
            SourcePolicy,
            RejectRoute,
        ];
        assert_eq!(all.map(Unreachable::code), [0, 1, 2, 3, 4, 5, 6]);
    }
}
