//! An NFQUEUE that epoll can watch.
//!
//! Crate `nfq` does not show its socket (0.2.5), but one thread has to wait for SYNs and for
//! connections at once. So the socket is found as the one netfilter socket that opening the queue
//! added to this process.
#![allow(
    unsafe_code,
    reason = "borrows a descriptor that crate nfq owns and does not show"
)]

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::{fmt, io};

use nfq::Queue;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// Bytes of a packet that are copied to us: headers as long as we read them, see `wire::ipv6`.
/// `nfq` allocates this much for every packet that is held.
const COPY: u16 = 4096;
/// SYNs that may wait in the kernel for us; beyond that they are dropped, and sent again.
const BACKLOG: u32 = 4096;

/// A bound queue.
pub struct NetQueue {
    number: u16,
    socket: RawFd,
    /// For packets and verdicts.
    pub queue: Queue,
}

impl NetQueue {
    /// Binds to queue `number` of this network namespace. `EPERM` if another process has it, or
    /// without `CAP_NET_ADMIN`.
    pub fn bind(number: u16) -> io::Result<Self> {
        let before = netfilter_sockets()?;
        let mut queue = Queue::open()?;
        let added: Vec<RawFd> = netfilter_sockets()?.difference(&before).copied().collect();
        let [socket] = added.as_slice() else {
            return Err(io::Error::other("cannot tell which socket the queue uses"));
        };
        // The crate leaves it open for the programs that we run.
        fcntl(unowned(*socket), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        queue.bind(number)?;
        queue.set_copy_range(number, COPY)?;
        queue.set_queue_max_len(number, BACKLOG)?;
        queue.set_nonblocking(true);
        Ok(Self {
            number,
            socket: *socket,
            queue,
        })
    }
}

impl fmt::Debug for NetQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetQueue")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Drop for NetQueue {
    fn drop(&mut self) {
        if let Err(error) = self.queue.unbind(self.number) {
            // Closing the socket unbinds as well.
            log::debug!("unbind queue {}: {error}", self.number);
        }
    }
}

impl AsFd for NetQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        unowned(self.socket)
    }
}

fn unowned<'a>(socket: RawFd) -> BorrowedFd<'a> {
    // SAFETY: it is the socket of a `Queue`, which closes it when it is dropped; the callers hold
    // that queue for as long as what this returns.
    unsafe { BorrowedFd::borrow_raw(socket) }
}

/// All netfilter netlink sockets of this process, as /proc/self/fd and SO_PROTOCOL tell.
fn netfilter_sockets() -> io::Result<HashSet<RawFd>> {
    let mut sockets = HashSet::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()) else {
            continue;
        };
        if number_option(fd, libc::SO_DOMAIN) == Some(libc::AF_NETLINK)
            && number_option(fd, libc::SO_PROTOCOL) == Some(libc::NETLINK_NETFILTER)
        {
            sockets.insert(fd);
        }
    }
    Ok(sockets)
}

fn number_option(fd: RawFd, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).ok()?;
    // SAFETY: `value` is a live c_int and `length` its size; a descriptor that is no socket, or
    // closed meanwhile, gives an error (getsockopt(2)).
    let answer = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    (answer == 0).then_some(value)
}
