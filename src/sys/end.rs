//! One end of a flow: a connected socket and what epoll last said of it.
//!
//! Registered edge-triggered once for everything (epoll(7)), so readiness is remembered here and
//! taken back when the kernel answers `EAGAIN`.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{MsgFlags, send};

use crate::sys::disconnect::disconnect;
use crate::sys::socket;

/// A connected, non-blocking socket and its readiness.
#[derive(Debug)]
pub struct End {
    socket: OwnedFd,
    readable: bool,
    writable: bool,
    /// The peer has sent its FIN, or the connection is gone: no further edge will tell.
    hung_up: bool,
    /// It was the FIN: behind the bytes that are there, the stream ends.
    fin: bool,
    /// Reading has come to the end of the stream.
    ended: bool,
    /// There has been urgent data: a read stops before it although there is more, and a splice
    /// does not get past it (`tcp_recvmsg_locked`, `tcp_read_sock` in net/ipv4/tcp.c).
    urgent: bool,
}

/// What one attempt to read, write or splice moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// This many bytes, at least one.
    Bytes(usize),
    /// The stream has ended.
    End,
    /// Nothing now: an edge will come.
    Blocked,
}

impl End {
    /// What to register the socket for, once.
    pub const INTEREST: EpollFlags = EpollFlags::EPOLLIN
        .union(EpollFlags::EPOLLPRI)
        .union(EpollFlags::EPOLLOUT)
        .union(EpollFlags::EPOLLRDHUP)
        .union(EpollFlags::EPOLLET);

    /// An end of which nothing is known yet.
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            readable: false,
            writable: false,
            hung_up: false,
            fin: false,
            ended: false,
            urgent: false,
        }
    }

    /// Takes over what epoll said.
    pub fn note(&mut self, events: EpollFlags) {
        if events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP) {
            self.readable = true;
        }
        if events.contains(EpollFlags::EPOLLPRI) {
            self.urgent = true;
            self.readable = true;
        }
        if events.contains(EpollFlags::EPOLLOUT) {
            self.writable = true;
        }
        if events.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            self.hung_up = true;
            self.readable = true;
        }
        if events.contains(EpollFlags::EPOLLRDHUP) && !events.contains(EpollFlags::EPOLLERR) {
            self.fin = true;
        }
    }

    /// Whether reading may succeed.
    pub fn readable(&self) -> bool {
        self.readable
    }

    /// Whether writing may succeed.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// Whether reading has come to the end of the stream.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether the peer has sent its FIN, or the connection is gone.
    pub fn hung_up(&self) -> bool {
        self.hung_up
    }

    /// Whether there has been urgent data: only reading gets past it.
    pub fn urgent(&self) -> bool {
        self.urgent
    }

    /// A splice found nothing to read, or no room to write.
    pub fn blocked(&mut self, reading: bool) {
        if reading {
            self.readable = false;
        } else {
            self.writable = false;
        }
    }

    /// Reads into `buffer`, which is not empty. With the last bytes [`ended`](Self::ended) becomes
    /// true already if the FIN has been noted before: then they and the FIN can go on together.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Moved> {
        loop {
            match nix::unistd::read(&self.socket, buffer) {
                Ok(0) => {
                    self.ended = true;
                    self.readable = false;
                    return Ok(Moved::End);
                }
                Ok(n) => {
                    // A short read emptied the socket, and what comes next is a new edge. Unless
                    // the end is already there: its edge has passed.
                    if n < buffer.len() && !self.urgent {
                        self.ended = self.fin;
                        self.readable = self.hung_up && !self.fin;
                    }
                    return Ok(Moved::Bytes(n));
                }
                Err(Errno::EAGAIN) => {
                    self.readable = false;
                    return Ok(Moved::Blocked);
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Writes from `bytes`, which is not empty. `last` says that [`finish`](Self::finish) follows:
    /// the FIN then travels with the last bytes instead of in a packet of its own.
    pub fn write(&mut self, bytes: &[u8], last: bool) -> io::Result<Moved> {
        let flags = match last {
            true => MsgFlags::MSG_NOSIGNAL | MsgFlags::from_bits_retain(libc::MSG_MORE),
            false => MsgFlags::MSG_NOSIGNAL,
        };
        loop {
            match send(self.socket.as_raw_fd(), bytes, flags) {
                Ok(n) => {
                    if n < bytes.len() {
                        self.writable = false;
                    }
                    return Ok(Moved::Bytes(n));
                }
                Err(Errno::EAGAIN) => {
                    self.writable = false;
                    return Ok(Moved::Blocked);
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends a FIN: no more bytes will be written.
    pub fn finish(&self) -> io::Result<()> {
        let socket = socket2::SockRef::from(&self.socket);
        socket.shutdown(Shutdown::Write)
    }

    /// The error the connection ended with, if it did.
    pub fn take_error(&self) -> Option<io::Error> {
        socket::take_error(&self.socket)
    }

    /// Gives the connection up, whether it stands or not: another one may have its port.
    pub fn give_up(&self) {
        if let Err(error) = disconnect(&self.socket) {
            log::debug!("give a connection up: {error}");
        }
    }

    /// Makes dropping this end a reset.
    pub fn reset_on_close(&self) {
        socket::reset_on_close(&self.socket);
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// An end whose peer has sent `bytes` and its FIN, and what epoll has said of it.
    fn told(bytes: &[u8], events: EpollFlags) -> End {
        let (mut peer, end) = UnixStream::pair().unwrap();
        end.set_nonblocking(true).unwrap();
        peer.write_all(bytes).unwrap();
        drop(peer);
        let mut end = End::new(end.into());
        end.note(EpollFlags::EPOLLIN | events);
        end
    }

    #[test]
    fn the_end_is_known_with_the_last_bytes_if_the_fin_was_noted() {
        let mut end = told(b"four", EpollFlags::EPOLLRDHUP);
        let mut buffer = [0; 4];
        // There may be more.
        assert_eq!(end.read(&mut buffer[..3]).unwrap(), Moved::Bytes(3));
        assert!(!end.ended() && end.readable());
        assert_eq!(end.read(&mut buffer).unwrap(), Moved::Bytes(1));
        assert!(end.ended() && !end.readable());
    }

    #[test]
    fn a_buffer_that_is_just_full_says_nothing_of_the_end() {
        let mut end = told(b"four", EpollFlags::EPOLLRDHUP);
        let mut buffer = [0; 4];
        assert_eq!(end.read(&mut buffer).unwrap(), Moved::Bytes(4));
        assert!(!end.ended() && end.readable());
        assert_eq!(end.read(&mut buffer).unwrap(), Moved::End);
        assert!(end.ended() && !end.readable());
    }

    #[test]
    fn only_a_read_tells_behind_urgent_data_or_a_broken_connection() {
        let gone = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        for events in [EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLPRI, gone] {
            let mut end = told(b"four", events);
            let mut buffer = [0; 5];
            assert_eq!(end.read(&mut buffer).unwrap(), Moved::Bytes(4));
            assert!(!end.ended() && end.readable(), "{events:?}");
            assert_eq!(end.read(&mut buffer).unwrap(), Moved::End);
            assert!(end.ended());
        }
    }
}
