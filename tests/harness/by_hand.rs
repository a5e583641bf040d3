//! A client made of single packets: any headers before TCP, any TCP header, and the kernel of its
//! namespace kept from resetting what it knows nothing of.

use std::net::{Ipv6Addr, SocketAddrV6};

use srv6pipes::demo::frame::{Frame, checksum, flag};
use srv6pipes::demo::lab::{CLIENT, Lab};
use srv6pipes::demo::program;
use srv6pipes::demo::sniff::Tap;

use super::craft::{packet, send};

/// A header before TCP: its number, and its bytes, of which the first will name what follows.
pub type Header = (u8, Vec<u8>);

/// Numbers of headers.
pub const HOP_BY_HOP: u8 = 0;
/// Routing.
pub const ROUTING: u8 = 43;
/// Fragment.
pub const FRAGMENT: u8 = 44;
/// Destination options.
pub const OPTIONS: u8 = 60;
const TCP: u8 = 6;

/// Eight bytes of options that say nothing (PadN), for hop-by-hop and destination options.
pub fn padding() -> Vec<u8> {
    vec![0, 0, 1, 4, 0, 0, 0, 0]
}

/// A TCP header, field by field; the checksum is filled in.
#[derive(Debug, Clone)]
pub struct Tcp {
    /// Where it comes from.
    pub client: SocketAddrV6,
    /// Where it goes in the end.
    pub server: SocketAddrV6,
    /// Flag bits.
    pub flags: u8,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// Header length in 32-bit words.
    pub words: u8,
    /// What follows the 20 bytes of header: options and data.
    pub rest: Vec<u8>,
}

impl Tcp {
    /// A bare SYN.
    pub fn syn(client: SocketAddrV6, server: SocketAddrV6) -> Self {
        Self {
            client,
            server,
            flags: flag::SYN,
            sequence: 1000,
            acknowledgement: 0,
            words: 5,
            rest: Vec::new(),
        }
    }

    /// As it goes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.client.port().to_be_bytes());
        tcp.extend(self.server.port().to_be_bytes());
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend(self.acknowledgement.to_be_bytes());
        tcp.extend([self.words << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(&self.rest);
        let sum = checksum(*self.client.ip(), *self.server.ip(), &tcp);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        tcp
    }
}

/// An IPv6 packet to `destination` with `headers` in this order before `tcp`.
pub fn stack(destination: Ipv6Addr, headers: &[Header], tcp: &Tcp) -> Vec<u8> {
    let mut payload = Vec::new();
    for (i, (_, bytes)) in headers.iter().enumerate() {
        let mut bytes = bytes.clone();
        bytes[0] = headers.get(i + 1).map_or(TCP, |(number, _)| *number);
        payload.extend(bytes);
    }
    payload.extend(tcp.bytes());
    let first = headers.first().map_or(TCP, |(number, _)| *number);
    packet(*tcp.client.ip(), destination, first, &payload)
}

/// The client.
#[derive(Debug)]
pub struct ByHand<'a> {
    lab: &'a Lab,
    tap: Tap,
    server: SocketAddrV6,
}

impl<'a> ByHand<'a> {
    /// Listens on the client's wire; from now on its kernel resets nothing.
    pub fn new(lab: &'a Lab, server: SocketAddrV6) -> Self {
        let (client, device) = lab.wire(0);
        let rules = "table ip6 by_hand {\nchain out {\ntype filter hook output priority 0\n\
                     tcp flags & (syn|rst) == rst drop\n}\n}\n";
        let mut nft = client.command("nft");
        program::run_with_input(nft.args(["-f", "-"]), rules).unwrap();
        let tap = Tap::start(client, &device).unwrap();
        Self { lab, tap, server }
    }

    /// A bare SYN from `port`, to be changed.
    pub fn syn(&self, port: u16) -> Tcp {
        Tcp::syn(SocketAddrV6::new(CLIENT, port, 0, 0), self.server)
    }

    /// Sends `tcp` behind `headers` to `destination`.
    pub fn send(&self, destination: Ipv6Addr, headers: &[Header], tcp: &Tcp) {
        send(self.lab.client(), &stack(destination, headers, tcp)).unwrap();
    }

    /// The first frame from the server's side to `port` so far that `wanted` likes.
    pub fn heard(&self, port: u16, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        self.tap.frames(|frames| {
            frames
                .iter()
                .find(|f| {
                    f.destination.port() == port && *f.destination.ip() == CLIENT && wanted(f)
                })
                .cloned()
        })
    }

    /// The SYN-ACK to `port` so far.
    pub fn syn_ack(&self, port: u16) -> Option<Frame> {
        self.heard(port, |f| f.has(flag::SYN | flag::ACK))
    }

    /// Answers a SYN-ACK: completes the handshake that `syn` began, with `data`.
    pub fn go_on(
        &self,
        destination: Ipv6Addr,
        headers: &[Header],
        syn: &Tcp,
        syn_ack: &Frame,
        data: &[u8],
    ) {
        let ack = Tcp {
            flags: flag::ACK,
            sequence: syn.sequence + 1,
            acknowledgement: syn_ack.sequence.wrapping_add(1),
            words: 5,
            rest: data.to_vec(),
            ..syn.clone()
        };
        self.send(destination, headers, &ack);
    }
}

impl Drop for ByHand<'_> {
    /// Its kernel resets again: whatever the other side repeats ends then.
    fn drop(&mut self) {
        let mut nft = self.lab.client().command("nft");
        let gone = program::run(nft.args(["delete", "table", "ip6", "by_hand"]));
        assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
    }
}
