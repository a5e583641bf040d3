//! A reader of pcapng files as strict as the draft, and what it thinks of ours.

use std::net::{Ipv6Addr, SocketAddrV6};

use crate::pcapng;
use crate::segment::{self, ACK, FIN, Header, MAX_PAYLOAD, SYN};

/// One packet of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub time_us: u64,
    pub comment: String,
    pub source: SocketAddrV6,
    pub destination: SocketAddrV6,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub flags: u8,
    pub payload: Vec<u8>,
}

impl Packet {
    /// The sequence number of what follows it.
    pub fn next(&self) -> u32 {
        let length = u32::try_from(self.payload.len()).unwrap();
        let end = u32::from(self.flags & (SYN | FIN) != 0);
        self.sequence.wrapping_add(length + end)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Type and body of each block of a file.
pub fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
    let mut blocks = Vec::new();
    while !file.is_empty() {
        let length = u32_at(file, 4) as usize;
        assert!(length >= 12 && length.is_multiple_of(4), "{length}");
        let (block, rest) = file.split_at(length);
        assert_eq!(u32_at(block, length - 4) as usize, length, "said twice");
        blocks.push((u32_at(block, 0), &block[8..length - 4]));
        file = rest;
    }
    blocks
}

/// Code and text of each option.
fn options(mut bytes: &[u8]) -> Vec<(u16, String)> {
    let mut options = Vec::new();
    while !bytes.is_empty() {
        let code = u16::from_le_bytes([bytes[0], bytes[1]]);
        let length = usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
        if code == 0 {
            assert_eq!((length, bytes.len()), (0, 4), "the last option is the last");
            break;
        }
        options.push((
            code,
            String::from_utf8(bytes[4..4 + length].to_vec()).unwrap(),
        ));
        bytes = &bytes[4 + length.next_multiple_of(4)..];
    }
    options
}

/// Every packet of a file, all of them checked.
pub fn packets(file: &[u8]) -> Vec<Packet> {
    let blocks = blocks(file);
    let (header, interface) = (blocks[0], blocks[1]);
    assert_eq!((header.0, u32_at(header.1, 0)), (0x0a0d_0d0a, 0x1a2b_3c4d));
    assert_eq!(
        header.1[4..16],
        [1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]
    );
    assert_eq!(options(&header.1[16..])[0].0, 4);
    assert_eq!(
        (interface.0, u32_at(interface.1, 0), u32_at(interface.1, 4)),
        (1, 101, 0)
    );
    assert_eq!(options(&interface.1[8..]).len(), 1);
    let packet = |(kind, body): &(u32, &[u8])| {
        assert_eq!((*kind, u32_at(body, 0)), (6, 0));
        let time_us = u64::from(u32_at(body, 4)) << 32 | u64::from(u32_at(body, 8));
        let length = u32_at(body, 12) as usize;
        assert_eq!(u32_at(body, 16) as usize, length);
        let options = options(&body[20 + length.next_multiple_of(4)..]);
        let comment = options.into_iter().find(|(code, _)| *code == 1);
        let comment = comment.map_or(String::new(), |(_, text)| text);
        parse(&body[20..20 + length], time_us, comment)
    };
    blocks[2..].iter().map(packet).collect()
}

fn parse(packet: &[u8], time_us: u64, comment: String) -> Packet {
    assert_eq!(packet[..4], [0x60, 0, 0, 0]);
    assert_eq!(usize::from(be16(packet, 4)), packet.len() - 40);
    assert_eq!((packet[6], packet[7]), (6, 64));
    let address =
        |at| Ipv6Addr::from_bits(u128::from_be_bytes(packet[at..at + 16].try_into().unwrap()));
    let tcp = &packet[40..];
    let offset = usize::from(tcp[12] >> 4) * 4;
    let flags = tcp[13];
    assert_eq!(offset, if flags & SYN == 0 { 20 } else { 28 });
    // RFC 1071: with its checksum in it all of it sums to ones.
    let mut pseudo = packet[8..40].to_vec();
    pseudo.extend(u32::try_from(tcp.len()).unwrap().to_be_bytes());
    pseudo.extend([0, 0, 0, 6]);
    pseudo.extend_from_slice(tcp);
    pseudo.resize(pseudo.len().next_multiple_of(2), 0);
    let mut sum: u64 = pseudo.chunks(2).map(|pair| u64::from(be16(pair, 0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    assert_eq!(sum, 0xffff, "checksum");
    Packet {
        time_us,
        comment,
        source: SocketAddrV6::new(address(8), be16(tcp, 0), 0, 0),
        destination: SocketAddrV6::new(address(24), be16(tcp, 2), 0, 0),
        sequence: be32(tcp, 4),
        acknowledgment: be32(tcp, 8),
        flags,
        payload: tcp[offset..].to_vec(),
    }
}

#[test]
fn a_packet_comes_back_as_it_was_written() {
    for (flags, length) in [(SYN, 0), (ACK, 1), (ACK, 2), (ACK, 3), (ACK, MAX_PAYLOAD)] {
        let header = Header {
            source: "[2001:db8::1]:40000".parse().unwrap(),
            destination: "[2001:db8::2]:80".parse().unwrap(),
            sequence: 0xffff_fff0,
            acknowledgment: 0x0102_0304,
            flags,
        };
        let payload = vec![0xff; length];
        let mut file = Vec::new();
        pcapng::begin(&mut file, "a test", "an interface", "a remark");
        let comment = "x".repeat(length % 5);
        let time_us = 0x0001_0002_0003_0004;
        pcapng::packet(&mut file, time_us, &comment, |packet| {
            segment::append(packet, &header, &payload);
        });
        let expected = Packet {
            time_us,
            comment,
            source: header.source,
            destination: header.destination,
            sequence: header.sequence,
            acknowledgment: header.acknowledgment,
            flags,
            payload,
        };
        assert_eq!(packets(&file), [expected]);
    }
}
