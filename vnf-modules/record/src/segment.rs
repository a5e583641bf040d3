//! TCP segments in IPv6 that say what a flow did. The real ones never are in our hands: the kernel
//! takes bytes out of them and puts bytes into others.
//!
//! RFC 8200, section 3 (IPv6 header) and 8.1 (pseudo-header); RFC 9293, section 3.1 (TCP header).
//!
//! ```text
//! IPv6   version, class, label(4) payload_length(2) next_header hop_limit source(16) destination(16)
//! TCP    source(2) destination(2) sequence(4) acknowledgment(4) offset flags window(2) checksum(2)
//!        urgent(2), options: with SYN a maximum segment size and a window scale
//! ```

use std::net::SocketAddrV6;

/// Flag bits of TCP.
pub const FIN: u8 = 0x01;
/// See [`FIN`].
pub const SYN: u8 = 0x02;
/// See [`FIN`].
pub const RST: u8 = 0x04;
/// See [`FIN`].
pub const PSH: u8 = 0x08;
/// See [`FIN`].
pub const ACK: u8 = 0x10;

/// The most bytes that one segment carries here: as many as a TLS record.
pub const MAX_PAYLOAD: usize = 1 << 14;

/// The header's part of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Sender.
    pub source: SocketAddrV6,
    /// Receiver.
    pub destination: SocketAddrV6,
    /// Of the first byte.
    pub sequence: u32,
    /// What the sender has of the other direction; 0 without [`ACK`].
    pub acknowledgment: u32,
    /// [`FIN`] to [`ACK`].
    pub flags: u8,
}

const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const TCP: u8 = 6;
const HOP_LIMIT: u8 = 64;
/// With the scale below a gigabyte: so that readers do not find that a window is full.
const WINDOW: u16 = u16::MAX;
/// Options of a SYN: maximum segment size [`MAX_PAYLOAD`], nothing, window scale 14.
const SYN_OPTIONS: [u8; 8] = [2, 4, 0x40, 0, 1, 3, 3, 14];

/// Appends the packet to `packets`; `payload` is at most [`MAX_PAYLOAD`] bytes.
pub fn append(packets: &mut Vec<u8>, header: &Header, payload: &[u8]) {
    let options = if header.flags & SYN == 0 {
        &[][..]
    } else {
        &SYN_OPTIONS
    };
    let tcp_header = TCP_HEADER + options.len();
    let length = tcp_header + payload.len();
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let start = packets.len();
    packets.extend([0x60, 0, 0, 0]);
    packets.extend(length);
    packets.extend([TCP, HOP_LIMIT]);
    packets.extend(header.source.ip().octets());
    packets.extend(header.destination.ip().octets());

    packets.extend(header.source.port().to_be_bytes());
    packets.extend(header.destination.port().to_be_bytes());
    packets.extend(header.sequence.to_be_bytes());
    packets.extend(header.acknowledgment.to_be_bytes());
    let words = u8::try_from(tcp_header / 4).unwrap_or_default();
    packets.extend([words << 4, header.flags]);
    packets.extend(WINDOW.to_be_bytes());
    let checksum = packets.len();
    packets.extend([0; 4]); // checksum, urgent pointer
    packets.extend_from_slice(options);
    packets.extend_from_slice(payload);

    // The pseudo-header: both addresses, the length and the protocol.
    let pseudo = [0, 0, length[0], length[1], 0, 0, 0, TCP];
    let addresses = &packets[start + 8..start + IPV6_HEADER];
    let sum = sum(&pseudo) + sum(addresses) + sum(&packets[start + IPV6_HEADER..]);
    packets[checksum..checksum + 2].copy_from_slice(&fold(sum).to_be_bytes());
}

/// The sum of 16-bit words, of at most a packet.
fn sum(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
    let pairs = pairs
        .iter()
        .map(|pair| u64::from(u16::from_be_bytes(*pair)));
    pairs.sum::<u64>() + last
}

/// The complement of the ones' complement sum (RFC 1071).
fn fold(mut sum: u64) -> u16 {
    while let carry @ 1.. = sum >> 16 {
        sum = (sum & 0xffff) + carry;
    }
    !u16::try_from(sum).unwrap_or_default()
}
