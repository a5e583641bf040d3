//! Request and acknowledgement over one netlink socket, with the kernel's own words on failure.
//!
//! `setup` speaks to rtnetlink (links, routes, rules) and once to nf_tables through this. Read
//! first: netlink(7), rtnetlink(7), `Documentation/userspace-api/netlink/intro.rst` of the kernel.
//!
//! # Design decisions
//! neli's plain socket carries the bytes; its router is left alone because it spawns a thread.
//! Messages are written and read by [`message`]: an extended acknowledgement may follow a success
//! and may come with or without the request it answers, and both have to be survived.

pub mod link;
pub mod message;
pub mod monitor;
pub mod nf;
pub mod route;
pub mod rule;
pub mod uapi;

use std::fmt;
use std::io;

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;

use crate::netlink::message::{Message, Reply, replies};

/// Our number in `RTA_PROTOCOL` and `FRA_PROTOCOL`: on everything we add, asked for in every
/// deletion. Unassigned in the kernel's `rtnetlink.h` and in iproute2's `rt_protos`; it is the
/// protocol number of the routing header.
pub const PROTOCOL: u8 = 43;

/// A request the kernel refused, or could not be asked.
#[derive(Debug)]
pub struct Error {
    /// What was asked for, as a reader of `ip` or `nft` would say it.
    pub op: String,
    /// What the kernel answered.
    pub errno: io::Error,
    /// The kernel's own words, when it sent any (`NETLINK_EXT_ACK`).
    pub reason: Option<String>,
}

impl Error {
    /// Whether the kernel answered `code` (`libc::EEXIST`, …).
    pub fn is(&self, code: i32) -> bool {
        self.errno.raw_os_error() == Some(code)
    }

    fn new(op: &dyn fmt::Display, errno: io::Error) -> Self {
        Self {
            op: op.to_string(),
            errno,
            reason: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.errno)?;
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

// No source(): Display says it all, and a chain would print it twice.
impl std::error::Error for Error {}

/// One netlink socket; it speaks to the network namespace of the thread that opened it.
pub struct Socket {
    socket: NlSocket,
    sequence: u32,
}

impl Socket {
    /// Opens a socket to rtnetlink.
    ///
    /// # Errors
    /// When the kernel refuses the socket.
    pub fn route() -> Result<Self, Error> {
        Self::open(NlFamily::Route, &"open a routing netlink socket")
    }

    /// Opens a socket to netfilter.
    ///
    /// # Errors
    /// When the kernel refuses the socket (`EPROTONOSUPPORT`: no nfnetlink in this kernel).
    pub fn netfilter() -> Result<Self, Error> {
        Self::open(NlFamily::Netfilter, &"open a netfilter netlink socket")
    }

    fn open(family: NlFamily, op: &dyn fmt::Display) -> Result<Self, Error> {
        NlSocket::connect(family, None, Groups::empty())
            .and_then(|socket| {
                socket.enable_ext_ack(true)?;
                Ok(Self {
                    socket,
                    sequence: 0,
                })
            })
            .map_err(|errno| Error::new(op, errno))
    }

    /// Sends one request and waits for its acknowledgement.
    ///
    /// # Errors
    /// `op` with the kernel's answer.
    pub fn request(&mut self, op: &dyn fmt::Display, message: Message) -> Result<(), Error> {
        self.batch(op, vec![message.flags(uapi::NLM_F_ACK)])
    }

    /// Sends several messages in one datagram (nf_tables commits such a batch as a whole) and
    /// waits until each that wants an acknowledgement has one.
    ///
    /// # Errors
    /// `op` with the first refusal.
    pub fn batch(&mut self, op: &dyn fmt::Display, messages: Vec<Message>) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let (mut sent, mut awaited) = (Vec::new(), Vec::new());
        for message in messages {
            self.sequence = self.sequence.wrapping_add(1);
            sent.push(self.sequence);
            if message.wants_ack() {
                awaited.push(self.sequence);
            }
            message.write(self.sequence, &mut bytes);
        }
        self.send(&bytes).map_err(|errno| Error::new(op, errno))?;
        let mut buffer = vec![0; BUFFER];
        while !awaited.is_empty() {
            let length = self
                .receive(&mut buffer)
                .map_err(|errno| Error::new(op, errno))?;
            for (sequence, reply) in replies(&buffer[..length]) {
                // An answer to a batch that was given up at its first refusal.
                if !sent.contains(&sequence) {
                    continue;
                }
                match reply {
                    Reply::Refused { errno, reason } => {
                        return Err(Error {
                            op: op.to_string(),
                            errno: io::Error::from_raw_os_error(errno),
                            reason,
                        });
                    }
                    Reply::Done => awaited.retain(|s| *s != sequence),
                    Reply::Payload(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Asks for a list; returns each message's bytes after the netlink header.
    ///
    /// # Errors
    /// `op` with the kernel's answer.
    pub fn dump(&mut self, op: &dyn fmt::Display, message: Message) -> Result<Vec<Vec<u8>>, Error> {
        self.ask(op, message.flags(uapi::NLM_F_DUMP))
    }

    /// Asks for one object; returns the bytes after the netlink header of each answer.
    ///
    /// # Errors
    /// `op` with the kernel's answer.
    pub fn ask(&mut self, op: &dyn fmt::Display, message: Message) -> Result<Vec<Vec<u8>>, Error> {
        let message = message.flags(uapi::NLM_F_ACK);
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        message.write(self.sequence, &mut bytes);
        self.send(&bytes).map_err(|errno| Error::new(op, errno))?;
        let mut list = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = self
                .receive(&mut buffer)
                .map_err(|errno| Error::new(op, errno))?;
            for (sequence, reply) in replies(&buffer[..length]) {
                // An answer to a request that was given up earlier.
                if sequence != self.sequence {
                    continue;
                }
                match reply {
                    Reply::Payload(payload) => list.push(payload.to_vec()),
                    Reply::Done => return Ok(list),
                    Reply::Refused { errno, reason } => {
                        return Err(Error {
                            op: op.to_string(),
                            errno: io::Error::from_raw_os_error(errno),
                            reason,
                        });
                    }
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // Sent whole or not at all: netlink is a datagram socket.
        self.socket.send(bytes, Msg::empty()).map(|_| ())
    }

    fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            match self.socket.recv(buffer.as_mut_slice(), Msg::empty()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map(|(length, _)| length),
            }
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// Bytes of one read: the kernel fills at most 32 KiB of a dump at once
/// (`netlink_dump`, net/netlink/af_netlink.c).
const BUFFER: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_tried_and_what_the_kernel_answered() {
        let mut error = Error {
            op: "add rule pref 7 nop".to_owned(),
            errno: io::Error::from_raw_os_error(libc::EEXIST),
            reason: None,
        };
        assert_eq!(
            error.to_string(),
            "add rule pref 7 nop: File exists (os error 17)"
        );
        error.reason = Some("rule exists".to_owned());
        assert!(error.to_string().ends_with(" (rule exists)"));
        assert!(error.is(libc::EEXIST) && !error.is(libc::ENOENT));
    }
}
