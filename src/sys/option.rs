//! Socket options that neither `nix` nor `socket2` has: ipv6(7), tcp(7), RFC 3542 section 7.
#![allow(
    unsafe_code,
    reason = "setsockopt and getsockopt of options no crate wraps"
)]

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use libc::c_int;

/// `TCP_SAVE_SYN`, include/uapi/linux/tcp.h, Linux 4.2.
const TCP_SAVE_SYN: c_int = 27;
/// `TCP_SAVED_SYN`, the same.
const TCP_SAVED_SYN: c_int = 28;
/// `ICMPV6_FILTER`, include/uapi/linux/icmpv6.h.
const ICMP6_FILTER: c_int = 1;

/// Gives a listener's accepted sockets the headers of their SYN.
pub fn save_syn(listener: impl AsFd) -> io::Result<()> {
    set(
        listener,
        libc::IPPROTO_TCP,
        TCP_SAVE_SYN,
        &1u32.to_ne_bytes(),
    )
}

/// The IPv6 header, extension headers and TCP header of the SYN that made this socket.
///
/// Returns how many bytes of `buffer` were filled: 0 when none was saved. The kernel forgets the
/// SYN with this call. `EINVAL` when `buffer` is too small.
pub fn saved_syn(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    get(socket, libc::IPPROTO_TCP, TCP_SAVED_SYN, buffer)
}

/// The connection's round trip as the kernel has measured it; `None` if it has not, as when the
/// handshake was repeated (`tcpi_rtt`, include/uapi/linux/tcp.h).
pub fn round_trip(socket: impl AsFd) -> Option<Duration> {
    const RTT: usize = offset_of!(libc::tcp_info, tcpi_rtt);
    // A prefix of the structure is all that is asked for.
    let mut info = [0; RTT + size_of::<u32>()];
    let length = get(socket, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info).ok()?;
    let microseconds = u32::from_ne_bytes(info.get(RTT..length)?.try_into().ok()?);
    (microseconds > 0).then(|| Duration::from_micros(microseconds.into()))
}

/// Puts a routing header before all segments of this connection, the SYN included
/// (`IPV6_RTHDR`; net/ipv6/ipv6_sockglue.c takes type 4 since Linux 4.10).
pub fn routing_header(socket: impl AsFd, header: &[u8]) -> io::Result<()> {
    set(socket, libc::IPPROTO_IPV6, libc::IPV6_RTHDR, header)
}

/// Whether the kernel keeps the routing header of the last packet that came, for
/// [`received_routing_header`]; sockets accepted later take it over from their listener
/// (`IPV6_RECVRTHDR`, RFC 3542 section 7).
pub fn receive_routing_header(socket: impl AsFd, on: bool) -> io::Result<()> {
    let on = c_int::from(on).to_ne_bytes();
    set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVRTHDR, &on)
}

/// The routing header of the last packet whose one was kept, as it came; `None` if none was
/// (`IPV6_2292PKTOPTIONS`, RFC 2292 section 4.1: RFC 3542 has no other way for TCP).
pub fn received_routing_header(socket: impl AsFd) -> io::Result<Option<Vec<u8>>> {
    // struct cmsghdr as the kernel writes it: the length in a word, level and type.
    const LENGTH: usize = size_of::<usize>();
    const HEADER: usize = LENGTH + 2 * size_of::<c_int>();
    // A routing header has 2048 bytes at most (RFC 8200 section 4.4).
    let mut buffer = [0; HEADER + 2048];
    let there = get(
        socket,
        libc::IPPROTO_IPV6,
        libc::IPV6_2292PKTOPTIONS,
        &mut buffer,
    )?;
    let number = |at: usize| {
        let bytes = buffer.get(at..at + size_of::<c_int>())?;
        Some(c_int::from_ne_bytes(bytes.try_into().ok()?))
    };
    let kind = (number(LENGTH), number(LENGTH + size_of::<c_int>()));
    if there < HEADER || kind != (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_RTHDR)) {
        return Ok(None);
    }
    let length = buffer[..LENGTH].try_into().map(usize::from_ne_bytes);
    let length = length.unwrap_or(0).min(there);
    Ok(buffer.get(HEADER..length).map(<[u8]>::to_vec))
}

/// Takes no ICMPv6 message at all (`ICMP6_FILTER`, RFC 3542 section 3.2): the kernel would keep a
/// copy of each for whoever never reads.
pub fn block_icmpv6(socket: impl AsFd) -> io::Result<()> {
    // A set bit blocks its type (struct icmp6_filter, include/uapi/linux/icmpv6.h).
    set(socket, libc::IPPROTO_ICMPV6, ICMP6_FILTER, &[0xff; 32])
}

fn set(socket: impl AsFd, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: the descriptor is borrowed for the whole call, and `value` points at `length`
    // readable bytes (setsockopt(2) copies them and keeps no pointer).
    let answer = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            length,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn get(socket: impl AsFd, level: c_int, name: c_int, value: &mut [u8]) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(value.len())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: the descriptor is borrowed for the whole call, `value` points at `length` writable
    // bytes, and `length` is a live socklen_t (getsockopt(2)).
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    usize::try_from(length).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_connection_has_a_round_trip_and_nothing_else_has() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let time = round_trip(&accepted).unwrap();
        assert!(time < Duration::from_secs(1), "{time:?}");
        assert_eq!(round_trip(&listener), None);
        assert_eq!(round_trip(&UnixStream::pair().unwrap().0), None);
    }
}
