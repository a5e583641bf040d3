//! What the laboratory's wires carry, read by eyes of its own: IPv6, routing header, TCP.
//!
//! Deliberately not built on `wire`: it judges what the proxies send, so it must not share their
//! mistakes. RFC 8200 sections 3 and 4, RFC 8754 section 2, RFC 9293 section 3.1. Whatever is
//! not TCP over IPv6 is nobody's business here and reads as `None`.

use std::net::{Ipv6Addr, SocketAddrV6};

const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const ROUTING: u8 = 43;
const DESTINATION: u8 = 60;
const SEGMENT_ROUTING: u8 = 4;

/// Flag bits of the TCP header.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
}

/// The segment routing header of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// As on the wire: the last segment of the path comes first.
    pub segments: Vec<Ipv6Addr>,
    /// How many segments are still to visit.
    pub segments_left: u8,
    /// The tag.
    pub tag: u16,
}

/// One TCP segment with the headers around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Who sent it.
    pub source: SocketAddrV6,
    /// Where the IPv6 header says it goes: with an SRH, the active segment.
    pub destination: SocketAddrV6,
    /// The SRH, if it carries one.
    pub routing: Option<Routing>,
    /// TCP sequence number.
    pub sequence: u32,
    /// TCP flags, see [`flag`].
    pub flags: u8,
    /// What TCP carries.
    pub payload: Vec<u8>,
    /// Whether the TCP checksum is right for the final destination (RFC 8200 section 8.1).
    pub checksum_ok: bool,
}

impl Frame {
    /// Reads an IPv6 packet, without link header.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        if packet.first()? >> 4 != 6 {
            return None;
        }
        let length = usize::from(half(packet, 4)?);
        let mut next = *packet.get(6)?;
        let source = address(packet, 8)?;
        let destination = address(packet, 24)?;
        // Longer than it says: padding of the link.
        let mut rest = packet.get(40..40 + length)?;
        let mut routing = None;
        while next != TCP {
            if !matches!(next, HOP_BY_HOP | ROUTING | DESTINATION) {
                return None;
            }
            if next == ROUTING && *rest.get(2)? == SEGMENT_ROUTING {
                routing = Some(Routing::parse(rest)?);
            }
            next = *rest.first()?;
            rest = rest.get(8 + 8 * usize::from(*rest.get(1)?)..)?;
        }
        let finally = match &routing {
            Some(routing) if routing.segments_left > 0 => *routing.segments.first()?,
            _ => destination,
        };
        let offset = usize::from(rest.get(12)? >> 4) * 4;
        Some(Self {
            source: SocketAddrV6::new(source, half(rest, 0)?, 0, 0),
            destination: SocketAddrV6::new(destination, half(rest, 2)?, 0, 0),
            routing,
            sequence: u32::from_be_bytes(rest.get(4..8)?.try_into().ok()?),
            flags: *rest.get(13)?,
            payload: rest.get(offset..)?.to_vec(),
            checksum_ok: checksum(source, finally, rest) == 0,
        })
    }

    /// Whether all `flags` are set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

impl Routing {
    fn parse(header: &[u8]) -> Option<Self> {
        let count = usize::from(*header.get(4)?) + 1;
        let segments = (0..count)
            .map(|i| address(header, 8 + 16 * i))
            .collect::<Option<_>>()?;
        Some(Self {
            segments,
            segments_left: *header.get(3)?,
            tag: half(header, 6)?,
        })
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(octets.into())
}

/// The Internet checksum of a TCP segment with its pseudo-header (RFC 1071, RFC 8200 section
/// 8.1): 0 when the segment's own checksum field is right, the field's value when it is 0.
pub fn checksum(source: Ipv6Addr, destination: Ipv6Addr, segment: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u64 {
        bytes
            .chunks(2)
            .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
            .sum()
    };
    let mut sum = words(&source.octets())
        + words(&destination.octets())
        + segment.len() as u64
        + u64::from(TCP)
        + words(segment);
    while let high @ 1.. = sum >> 16 {
        sum = (sum & 0xffff) + high;
    }
    !u16::try_from(sum).unwrap_or(u16::MAX) // the loop leaves 16 bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SYN from fd00:c::1 port 4660 to fd00:5::1 port 80 by way of one segment, with the flow
    /// label, window and checksum that Linux gave it.
    fn syn() -> Vec<u8> {
        let addresses = ["fd00:c::1", "fd00:99:1::1:0:2a", "fd00:5::1"];
        let [client, segment, server] = addresses.map(|a| a.parse::<Ipv6Addr>().unwrap());
        let mut tcp = vec![
            0x12,
            0x34,
            0,
            80,
            0,
            0,
            0,
            7,
            0,
            0,
            0,
            0,
            0x50,
            flag::SYN,
            0xff,
            0xff,
            0,
            0,
            0,
            0,
        ];
        let sum = checksum(client, server, &tcp);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        let mut packet = vec![0x60, 0, 0, 0, 0, 60, ROUTING, 64];
        packet.extend([client, segment].iter().flat_map(Ipv6Addr::octets));
        packet.extend([TCP, 4, SEGMENT_ROUTING, 1, 1, 0, 0, 9]);
        packet.extend([server, segment].iter().flat_map(Ipv6Addr::octets));
        packet.extend(tcp);
        packet
    }

    #[test]
    fn a_syn_with_one_segment_is_read() {
        let frame = Frame::parse(&syn()).unwrap();
        assert_eq!(frame.source.to_string(), "[fd00:c::1]:4660");
        assert_eq!(frame.destination.to_string(), "[fd00:99:1::1:0:2a]:80");
        assert!(frame.has(flag::SYN) && !frame.has(flag::ACK));
        assert!(frame.checksum_ok && frame.payload.is_empty());
        let routing = frame.routing.unwrap();
        assert_eq!((routing.segments_left, routing.tag), (1, 9));
        assert_eq!(routing.segments[0].to_string(), "fd00:5::1");
    }

    #[test]
    fn a_flipped_bit_shows_in_the_checksum() {
        let mut packet = syn();
        let last = packet.len() - 5;
        packet[last] ^= 1;
        assert!(!Frame::parse(&packet).unwrap().checksum_ok);
    }

    #[test]
    fn whatever_is_cut_short_reads_as_nothing() {
        let packet = syn();
        for length in 0..packet.len() {
            assert_eq!(Frame::parse(&packet[..length]), None, "{length}");
        }
    }
}
