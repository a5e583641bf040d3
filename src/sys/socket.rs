//! The two sockets of a flow: the transparent listener that accepts it, and the one to the next
//! segment.
//!
//! Read first: Documentation/networking/tproxy.rst, and `IP_BIND_ADDRESS_NO_PORT` in ip(7).

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, SockaddrIn6, getsockname, recv, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::sys::option;

/// Connections the kernel may hold for one worker before it accepts them; the kernel lowers it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A worker's own listener on `[::1]:port`: TPROXY hands it connections to any address.
///
/// Bound to loopback, not to `::`, for two reasons: nobody beyond this machine reaches it but by
/// TPROXY, and an outbound socket bound to a client's address and a port equal to ours does not
/// collide with it. With `saves_syn` the kernel keeps each SYN's headers until they are asked for.
pub fn listener(port: u16, saves_syn: bool) -> io::Result<OwnedFd> {
    let socket = Socket::new(
        Domain::IPV6,
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_ip_transparent_v6(true)?;
    if saves_syn {
        option::save_syn(&socket)?;
    }
    urgent_in_line(&socket)?;
    // Accepted sockets take it over.
    no_delay(&socket)?;
    socket.bind(&SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether `[::1]:port` is nobody's yet. [`listener`] would not notice: whoever shares a port by
/// `SO_REUSEPORT`, and that is every other srv6pipes of ours, shares its connections too.
pub fn port_is_free(port: u16) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_only_v6(true)?;
    // Else what is left of an earlier run's connections, in TIME_WAIT, would count.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0).into())
}

/// Takes one connection off the listener's queue, and says who is at its other end: the client.
/// getpeername(2) would not, of one that was reset while it waited.
pub fn accept(listener: &OwnedFd) -> io::Result<(OwnedFd, SocketAddrV6)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let (socket, client) = SockRef::from(listener).accept4(flags)?;
    let client = client.as_socket_ipv6();
    let client = client.ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))?;
    Ok((socket.into(), client))
}

/// Our end of a connection; of an accepted one, the flow's final destination.
pub fn local(socket: &OwnedFd) -> io::Result<SocketAddrV6> {
    Ok(getsockname::<SockaddrIn6>(socket.as_raw_fd())?.into())
}

/// The packet mark an accepted socket took over from its SYN (`net.ipv4.tcp_fwmark_accept`).
pub fn mark(socket: impl AsFd) -> io::Result<u32> {
    Ok(nix::sys::socket::getsockopt(&socket, sockopt::Mark)?)
}

/// Sends what is written at once: the flow's sender has already decided where its segments end.
pub fn no_delay(socket: impl AsFd) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::TcpNoDelay, &true)?)
}

/// Leaves urgent data in the stream, where RFC 6093 section 6 wants it; accepted sockets take this
/// over from their listener. Else the byte would be lost on the way.
fn urgent_in_line(socket: &Socket) -> io::Result<()> {
    socket.set_out_of_band_inline(true)
}

/// Starts to connect to `destination` by the segments of `routing_header`, from `source`.
///
/// `source` is the client's address, which is not ours: hence `IPV6_TRANSPARENT`. Port 0 leaves
/// the port to the kernel, which chooses it at connect so that ports may repeat between
/// destinations. The connection is not there yet when this returns: wait until it is writable,
/// then ask [`take_error`].
///
/// `at_once` says that there are bytes to send as soon as it is: the acknowledgement that ends the
/// handshake then travels with them (`tcp_rcv_synsent_state_process`, net/ipv4/tcp_input.c),
/// instead of in a packet of its own. Where that is not so, a server that speaks first would wait
/// for it.
pub fn next_segment(
    source: SocketAddrV6,
    destination: SocketAddrV6,
    routing_header: Option<&[u8]>,
    at_once: bool,
) -> io::Result<OwnedFd> {
    let socket = Socket::new(
        Domain::IPV6,
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_ip_transparent_v6(true)?;
    socket.set_reuse_address(true)?;
    no_delay(&socket)?;
    urgent_in_line(&socket)?;
    if let Some(header) = routing_header {
        option::routing_header(&socket, header)?;
    }
    if source.port() == 0 {
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    }
    if at_once {
        // Only a packet is lost without.
        let _ = socket.set_tcp_quickack(false);
    }
    socket.bind(&SockAddr::from(source))?;
    match socket.connect(&SockAddr::from(destination)) {
        Ok(()) => Ok(socket.into()),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error),
    }
}

/// Whether bytes have arrived that nobody has read.
pub fn has_bytes(socket: impl AsFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(socket.as_fd().as_raw_fd(), &mut [0], flags).is_ok_and(|n| n > 0)
}

/// The error that ended a connection or its attempt; `None` when there is none (`SO_ERROR`).
pub fn take_error(socket: impl AsFd) -> Option<io::Error> {
    match nix::sys::socket::getsockopt(&socket, sockopt::SocketError) {
        Ok(0) => None,
        Ok(errno) => Some(io::Error::from_raw_os_error(errno)),
        Err(errno) => Some(errno.into()),
    }
}

/// Makes the coming close a reset: the other end sees `ECONNRESET`, and nothing stays in
/// TIME_WAIT.
pub fn reset_on_close(socket: impl AsFd) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    if let Err(errno) = setsockopt(&socket, sockopt::Linger, &linger) {
        log::debug!("set SO_LINGER for a reset: {errno}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_noticed_by_whoever_comes_later() {
        let other = std::net::TcpListener::bind("[::1]:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let error = port_is_free(port).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(other);
        port_is_free(port).unwrap();
    }

    #[test]
    fn a_refused_connection_says_so() {
        let closed = {
            let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
            listener.local_addr().unwrap()
        };
        let std::net::SocketAddr::V6(closed) = closed else {
            panic!("not IPv6")
        };
        let source = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0);
        match next_segment(source, closed, None, false) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
            Ok(socket) => {
                let error = take_error(&socket).unwrap();
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            }
        }
    }
}
