//! Which addresses are this machine's own.
//!
//! A flow must not reach the router's own services through us: it would come from inside, past
//! the firewall's input rules. Asked per flow, so it has to be cheap: a UDP socket that connects
//! to an address gets that very address as its source only if it is ours (RFC 6724 rule 1). No
//! packet is sent, and there is no list of addresses to keep up to date.
//!
//! It gets one only if it has none: what the last question left has to be taken back first
//! (`ip6_datagram_dst_update`, net/ipv6/datagram.c; `__udp_disconnect`, net/ipv4/udp.c).

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};

use crate::sys::disconnect::disconnect;

/// The socket that is asked.
#[derive(Debug)]
pub struct OwnAddress {
    socket: Socket,
}

impl OwnAddress {
    /// A socket to ask; it stays in the network namespace of this thread.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        Ok(Self { socket })
    }

    /// Whether `address` is assigned to this machine; an address without a route is not. If that
    /// cannot be found out, it may be.
    pub fn is(&self, address: Ipv6Addr) -> bool {
        if let Err(error) = disconnect(&self.socket) {
            log::warn!("forget the last address that was asked for: {error}");
            return true;
        }
        // Any port will do, nothing is sent: 9 is "discard".
        let target = SocketAddrV6::new(address, 9, 0, 0);
        if self.socket.connect(&target.into()).is_err() {
            return false;
        }
        let source = self
            .socket
            .local_addr()
            .ok()
            .and_then(|a| a.as_socket_ipv6());
        source.is_some_and(|source| *source.ip() == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_ours_and_documentation_is_not() {
        let own = OwnAddress::open().unwrap();
        assert!(own.is(Ipv6Addr::LOCALHOST));
        assert!(!own.is("2001:db8::1".parse().unwrap()));
        assert!(own.is(Ipv6Addr::LOCALHOST));
    }
}
