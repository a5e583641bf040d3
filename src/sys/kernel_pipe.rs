//! Bytes that move from socket to socket without us: splice(2) through a pipe.
//!
//! The trap (peers' production bugs): `EAGAIN` from socket to pipe means *socket empty or pipe
//! full*, and a pipe is full when its slots are, after a few kilobytes of small segments. A pipe
//! here is always emptied before it is filled again, so `EAGAIN` has one meaning.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};

use crate::sys::end::{End, Moved};

/// What we ask of one splice, and of a pipe: the kernel's default of 64 KiB costs a quarter more
/// calls; root may have up to fs.pipe-max-size, 1 MiB.
const CAPACITY: usize = 256 * 1024;
/// Pipes a worker keeps for the next flow.
const SPARE: usize = 64;

/// A pipe and how many bytes are in it.
#[derive(Debug)]
pub struct KernelPipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

impl KernelPipe {
    /// A new, empty pipe.
    pub fn new() -> io::Result<Self> {
        Self::of(CAPACITY)
    }

    /// One that holds so many bytes, or what the kernel gives instead: beyond a limit for each user
    /// it refuses (fs.pipe-user-pages-soft, pipe(7)).
    pub fn of(capacity: usize) -> io::Result<Self> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        if let Ok(size) = i32::try_from(capacity) {
            // Without it the pipe is smaller, not broken.
            let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(size));
        }
        Ok(Self {
            read,
            write,
            held: 0,
        })
    }

    /// Bytes in the pipe.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Moves what `source` has into the pipe, which must be empty.
    ///
    /// `EINVAL` means that this socket cannot be spliced. `End` may also mean urgent data in a
    /// stream that has ended behind it: only a read knows.
    pub fn fill(&mut self, source: &mut End) -> io::Result<Moved> {
        debug_assert_eq!(self.held, 0);
        let moved = transfer(source.as_fd(), &self.write, CAPACITY)?;
        match moved {
            Moved::Bytes(n) => self.held = n,
            Moved::Blocked => source.blocked(true),
            Moved::End => {}
        }
        Ok(moved)
    }

    /// Moves what the pipe holds, which is something, into `sink`.
    pub fn drain(&mut self, sink: &mut End) -> io::Result<Moved> {
        let moved = transfer(&self.read, sink.as_fd(), self.held)?;
        match moved {
            Moved::Bytes(n) => self.held = self.held.saturating_sub(n),
            Moved::Blocked => sink.blocked(false),
            Moved::End => {}
        }
        Ok(moved)
    }
}

fn transfer(from: impl AsFd, to: impl AsFd, length: usize) -> io::Result<Moved> {
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    loop {
        match splice(&from, None, &to, None, length, flags) {
            Ok(0) => return Ok(Moved::End),
            Ok(n) => return Ok(Moved::Bytes(n)),
            Err(Errno::EAGAIN) => return Ok(Moved::Blocked),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A worker's empty pipes: a flow holds one only while bytes are in it.
#[derive(Debug, Default)]
pub struct PipePool {
    spare: Vec<KernelPipe>,
}

impl PipePool {
    /// An empty pipe, used or new.
    pub fn take(&mut self) -> io::Result<KernelPipe> {
        match self.spare.pop() {
            Some(pipe) => Ok(pipe),
            None => KernelPipe::new(),
        }
    }

    /// Gives a pipe back. One with bytes in it is closed: they belonged to a flow that is gone.
    pub fn give(&mut self, pipe: KernelPipe) {
        if pipe.held == 0 && self.spare.len() < SPARE {
            self.spare.push(pipe);
        }
    }

    /// Closes all spare pipes, when descriptors run out.
    pub fn clear(&mut self) {
        self.spare.clear();
    }
}
