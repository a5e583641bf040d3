//! Hears that links, IPv6 routes or rules, or nf_tables have changed; not what has.
//!
//! The daemon waits for this beside its signals, and has `setup` look at everything once it is
//! quiet. Events are drained unread: a list of what is there is right even when the kernel had to
//! drop some (`ENOBUFS`). Read first: rtnetlink(7), `include/uapi/linux/rtnetlink.h`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::netlink::{Error, uapi};

/// Two sockets that listen in the network namespace of the thread that opened them, in one epoll:
/// poll(2) refuses more descriptors than the process may have, and each one less is one less to
/// run into that.
#[derive(Debug)]
pub struct Monitor {
    route: OwnedFd,
    netfilter: OwnedFd,
    epoll: Epoll,
}

impl Monitor {
    /// Begins to listen.
    ///
    /// # Errors
    /// The kernel refuses a socket.
    pub fn open() -> Result<Self, Error> {
        let routing = [
            uapi::RTNLGRP_LINK,
            uapi::RTNLGRP_IPV6_ROUTE,
            uapi::RTNLGRP_IPV6_RULE,
        ];
        let route = listen(SockProtocol::NetlinkRoute, &routing)
            .map_err(|errno| Error::new(&"listen to routing changes", errno.into()))?;
        let netfilter = listen(SockProtocol::NetlinkNetFilter, &[uapi::NFNLGRP_NFTABLES])
            .map_err(|errno| Error::new(&"listen to nftables changes", errno.into()))?;
        let epoll = both(&route, &netfilter)
            .map_err(|errno| Error::new(&"listen to changes", errno.into()))?;
        Ok(Self {
            route,
            netfilter,
            epoll,
        })
    }

    /// Takes all events there are; whether there were any.
    pub fn drain(&self) -> bool {
        let route = drain(&self.route);
        drain(&self.netfilter) || route
    }
}

impl AsFd for Monitor {
    /// Readable once something has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

fn both(route: &OwnedFd, netfilter: &OwnedFd) -> nix::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for socket in [route, netfilter] {
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    }
    Ok(epoll)
}

fn listen(protocol: SockProtocol, groups: &[u32]) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    // struct sockaddr_nl has a bit for each of the first 32 groups, which count from 1.
    let bits = groups.iter().fold(0, |bits, group| bits | 1 << (group - 1));
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, bits))?;
    Ok(fd)
}

fn drain(socket: &OwnedFd) -> bool {
    let mut any = false;
    loop {
        // What does not fit is of no interest.
        match recv(socket.as_raw_fd(), &mut [0; 64], MsgFlags::empty()) {
            Err(Errno::EAGAIN) => return any,
            Ok(_) | Err(Errno::ENOBUFS) => any = true,
            Err(Errno::EINTR) => {}
            Err(errno) => {
                log::debug!("hear of changes in the kernel: {errno}");
                return any;
            }
        }
    }
}
