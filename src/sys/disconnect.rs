//! connect(2) to nobody: takes back what a socket is connected to, or is being connected to.
#![allow(unsafe_code, reason = "connect(2) to nobody, which no crate wraps")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// connect(2): "dissolves the association".
#[expect(clippy::cast_possible_truncation, reason = "constants below 256")]
const AF_UNSPEC: libc::sa_family_t = libc::AF_UNSPEC as libc::sa_family_t;
/// Of a `sockaddr`, bytes.
#[expect(clippy::cast_possible_truncation, reason = "constants below 256")]
const LENGTH: libc::socklen_t = size_of::<libc::sockaddr>() as libc::socklen_t;

/// Back to a socket without a peer. Of TCP, a connection that stands is reset, and one that does
/// not is given up: its addresses and ports are free for another from now on (`tcp_disconnect`,
/// net/ipv4/tcp.c).
pub fn disconnect(socket: impl AsFd) -> io::Result<()> {
    let nobody = libc::sockaddr {
        sa_family: AF_UNSPEC,
        sa_data: [0; 14],
    };
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed, so it is open, and `nobody` is a live structure of the
    // length given (connect(2)).
    match unsafe { libc::connect(socket, &raw const nobody, LENGTH) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_stood_at_the_other_end_sees_a_reset() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        disconnect(&stream).unwrap();
        let error = other.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(stream.peer_addr().is_err());
    }
}
