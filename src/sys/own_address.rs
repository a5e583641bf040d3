//! Which addresses are this machine's own.
//!
//! A flow must not reach the router's own services through us: it would come from inside, past
//! the firewall's input rules. Asked per flow, so it has to be cheap: a UDP socket that connects
//! to an address gets that very address as its source only if it is ours (RFC 6724 rule 1). No
//! packet is sent, and there is no list of addresses to keep up to date; an answer "not ours" is
//! remembered for a second, since many flows go to few servers.
//!
//! It gets one only if it has none: what the last question left has to be taken back first
//! (`ip6_datagram_dst_update`, net/ipv6/datagram.c; `__udp_disconnect`, net/ipv4/udp.c).

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::sys::disconnect::disconnect;

/// Addresses remembered; a power of two.
const REMEMBERED: usize = 64;
/// How long: an address that has just become ours is a stranger's for as long.
const MEMORY: Duration = Duration::from_secs(1);

/// The socket that is asked.
#[derive(Debug)]
pub struct OwnAddress {
    socket: Socket,
    /// Each address has one place, by its hash: whether it was asked about, and until when that is
    /// good.
    strangers: RefCell<[Option<(Ipv6Addr, Instant)>; REMEMBERED]>,
    hasher: RandomState,
}

impl OwnAddress {
    /// A socket to ask; it stays in the network namespace of this thread.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        Ok(Self {
            socket,
            strangers: RefCell::new([None; REMEMBERED]),
            hasher: RandomState::new(),
        })
    }

    /// Whether `address` is assigned to this machine; an address without a route is not. If that
    /// cannot be found out, it may be.
    pub fn is(&self, address: Ipv6Addr) -> bool {
        let hash = self.hasher.hash_one(address);
        let place = usize::try_from(hash % REMEMBERED as u64).unwrap_or(0);
        let now = Instant::now();
        let mut strangers = self.strangers.borrow_mut();
        let stranger = &mut strangers[place];
        if stranger.is_some_and(|(known, until)| known == address && now < until) {
            return false;
        }
        let ours = self.ask(address);
        if !ours {
            *stranger = Some((address, now + MEMORY));
        }
        ours
    }

    fn ask(&self, address: Ipv6Addr) -> bool {
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
