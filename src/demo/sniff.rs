//! A tap on one wire of the laboratory: packet(7) socket, no tcpdump needed, ready once it exists.
//!
//! The socket is of type `SOCK_DGRAM`, so packets come without link header; and it hears every
//! device of its namespace, so the device is picked by the index that comes with each packet
//! (binding would need a hand-made `sockaddr_ll`).

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
};

use crate::demo::frame::Frame;
use crate::demo::namespace::{self, Namespace};

/// Bytes the kernel may keep for us; a burst of a fast transfer must fit.
const BACKLOG: usize = 128 << 20;
/// The longest packet there is: an aggregate of the kernel's, with its headers.
const LONGEST: usize = (64 << 10) + 256;
/// How often the thread looks whether it is to end, milliseconds.
const LOOK: u16 = 20;

/// The TCP segments that a wire has carried since [`Tap::start`].
#[derive(Debug)]
pub struct Tap {
    frames: Arc<Mutex<Vec<Frame>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Why a wire cannot be listened to.
#[derive(Debug)]
pub enum Error {
    /// The namespace could not be entered.
    Namespace(namespace::Error),
    /// The device is not there or the socket was refused.
    Socket {
        /// The namespace.
        namespace: String,
        /// The device.
        device: String,
        /// What the kernel answered.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(error) => error.fmt(f),
            Self::Socket {
                namespace, device, ..
            } => write!(f, "cannot listen on {device} in the namespace {namespace}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Namespace(error) => error.source(),
            Self::Socket { source, .. } => Some(source),
        }
    }
}

impl Tap {
    /// Listens on `device` in `namespace`: whatever is sent from now on is in [`frames`].
    ///
    /// # Errors
    /// When the device does not exist, or this process may not open packet sockets.
    ///
    /// [`frames`]: Self::frames
    pub fn start(namespace: &Namespace, device: &str) -> Result<Self, Error> {
        let (socket, index) = namespace
            .run(|| open(device))
            .map_err(Error::Namespace)?
            .map_err(|errno| Error::Socket {
                namespace: namespace.name().to_owned(),
                device: device.to_owned(),
                source: errno.into(),
            })?;
        let frames = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (frames, stop) = (Arc::clone(&frames), Arc::clone(&stop));
            move || listen(&socket, index, &frames, &stop)
        });
        Ok(Self {
            frames,
            stop,
            thread: Some(thread),
        })
    }

    /// What `pick` makes of all segments heard so far, both directions, in the order of the wire.
    pub fn frames<T>(&self, pick: impl FnOnce(&[Frame]) -> T) -> T {
        pick(&self.frames.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join(); // it has nothing in it that could
        }
    }
}

fn open(device: &str) -> nix::Result<(OwnedFd, usize)> {
    let index = if_nametoindex(device)?;
    let socket = socket(
        AddressFamily::Packet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::EthAll,
    )?;
    setsockopt(&socket, RcvBufForce, &BACKLOG)?;
    usize::try_from(index)
        .map(|index| (socket, index))
        .map_err(|_| Errno::EOVERFLOW)
}

fn listen(socket: &OwnedFd, device: usize, frames: &Mutex<Vec<Frame>>, stop: &AtomicBool) {
    let mut buffer = vec![0; LONGEST];
    while !stop.load(Ordering::Relaxed) {
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Ok((length, Some(from))) if from.ifindex() == device => {
                if let Some(frame) = Frame::parse(&buffer[..length]) {
                    frames
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(frame);
                }
            }
            Ok(_) => {}
            Err(errno) if io::Error::from(errno).kind() == ErrorKind::WouldBlock => {
                let mut wanted = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
                let _again = poll(&mut wanted, PollTimeout::from(LOOK));
            }
            // ENETDOWN once when the device goes; the next answer is EAGAIN.
            Err(_) => {}
        }
    }
}
