//! Packets by hand, right ones and wrong ones, sent from inside a namespace.
//!
//! RFC 8200 section 3, RFC 8754 section 2, RFC 9293 section 3.1. Fields are public and taken as
//! they are: a test that wants a lie writes it.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};

use srv6pipes::demo::frame::{checksum, flag};
use srv6pipes::demo::namespace::Namespace;

/// `IPPROTO_RAW`: the packet brings its own IPv6 header (raw(7), ipv6(7)).
const RAW: i32 = 255;
const TCP: u8 = 6;
const ROUTING: u8 = 43;
/// 20 bytes of TCP header, in units of the data offset field.
const NO_OPTIONS: u8 = 5 << 4;

/// A segment routing header, field by field.
#[derive(Debug, Clone)]
pub struct Srh {
    /// What follows it.
    pub next_header: u8,
    /// Its length in eights of bytes, without the first eight.
    pub length: u8,
    /// 4 is segment routing.
    pub routing_type: u8,
    /// How many segments are still to visit.
    pub segments_left: u8,
    /// Index of the last entry of the list.
    pub last_entry: u8,
    /// Flags.
    pub flags: u8,
    /// Tag.
    pub tag: u16,
    /// The list as on the wire, the final destination first; then TLVs, if any.
    pub rest: Vec<u8>,
}

impl Srh {
    /// A right one for `path`, in the order of travel with the final destination last, of which
    /// the first is the packet's present destination.
    pub fn new(path: &[Ipv6Addr]) -> Self {
        let last = u8::try_from(path.len() - 1).unwrap();
        Self {
            next_header: TCP,
            length: (last + 1) * 2,
            routing_type: 4,
            segments_left: last,
            last_entry: last,
            flags: 0,
            tag: 0,
            rest: path.iter().rev().flat_map(Ipv6Addr::octets).collect(),
        }
    }

    /// As it goes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![
            self.next_header,
            self.length,
            self.routing_type,
            self.segments_left,
            self.last_entry,
            self.flags,
        ];
        bytes.extend(self.tag.to_be_bytes());
        bytes.extend(&self.rest);
        bytes
    }
}

/// A bare SYN without options from `client` to `server`, checksum right for `server`.
pub fn syn(client: SocketAddrV6, server: SocketAddrV6) -> Vec<u8> {
    segment(client, server, flag::SYN, 1, &[])
}

/// A TCP segment from `client` to `server` with a right checksum.
pub fn segment(
    client: SocketAddrV6,
    server: SocketAddrV6,
    flags: u8,
    sequence: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(client.port().to_be_bytes());
    tcp.extend(server.port().to_be_bytes());
    tcp.extend(sequence.to_be_bytes());
    tcp.extend([0; 4]);
    tcp.extend([NO_OPTIONS, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(payload);
    let sum = checksum(*client.ip(), *server.ip(), &tcp);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    tcp
}

/// An IPv6 packet around `payload`, which begins with a header of the kind `next_header`.
pub fn packet(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([next_header, 64]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// `transport` behind `srh`, on its way to `destination`.
pub fn with_srh(source: Ipv6Addr, destination: Ipv6Addr, srh: &Srh, transport: &[u8]) -> Vec<u8> {
    let payload = [srh.bytes(), transport.to_vec()].concat();
    packet(source, destination, ROUTING, &payload)
}

/// Sends a whole IPv6 packet from inside `namespace`; the kernel routes it by its destination and
/// leaves every byte as it is.
pub fn send(namespace: &Namespace, packet: &[u8]) -> io::Result<()> {
    let octets: [u8; 16] = packet[24..40].try_into().unwrap();
    let destination = SocketAddrV6::new(octets.into(), 0, 0, 0);
    let open = || Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(RAW)));
    let socket = namespace.run(open).unwrap()?;
    let sent = socket.send_to(packet, &destination.into())?;
    assert_eq!(sent, packet.len(), "the kernel took a part of a packet");
    Ok(())
}
