//! Raw ICMPv6: how `nfqueue` tells a client that its next segment cannot be reached.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::sys::option;

/// A socket that sends ICMPv6 messages; the kernel fills in the checksum (RFC 3542 section 3.1).
#[derive(Debug)]
pub struct Icmpv6 {
    socket: Socket,
}

impl Icmpv6 {
    /// Needs `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(
            Domain::IPV6,
            Type::RAW.nonblocking(),
            Some(Protocol::ICMPV6),
        )?;
        option::block_icmpv6(&socket)?;
        Ok(Self { socket })
    }

    /// Sends `message`, which begins with its type, from an address of ours.
    pub fn send(&self, to: Ipv6Addr, message: &[u8]) -> io::Result<()> {
        self.socket
            .send_to(message, &SockAddr::from(SocketAddrV6::new(to, 0, 0, 0)))?;
        Ok(())
    }
}
