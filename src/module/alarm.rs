//! Wake-ups of the flows that one thread drives: what the daemon's worker does with its epoll.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::vnf::Bell;

/// Hears when a flow is woken.
#[derive(Debug)]
pub struct Alarm {
    bell: Arc<Bell>,
    eventfd: Arc<EventFd>,
    /// Flows that were woken since they were last asked about.
    woken: HashSet<u64>,
}

impl Alarm {
    /// One that nobody has rung.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let eventfd = Arc::new(EventFd::from_flags(flags)?);
        Ok(Self {
            bell: Arc::new(Bell::new(Arc::clone(&eventfd))),
            eventfd,
            woken: HashSet::new(),
        })
    }

    /// For flows to enlist with.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Whether the flow of this id was woken since this was last asked.
    pub fn rang(&mut self, id: u64) -> bool {
        let _ = self.eventfd.read();
        let mut keys = Vec::new();
        self.bell.answer(&mut keys);
        self.woken.extend(keys);
        self.woken.remove(&id)
    }

    /// Waits until somebody is woken, something can be read from `other`, or until then; whether
    /// it was `other`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wait(&self, until: Option<Instant>, other: Option<BorrowedFd<'_>>) -> io::Result<bool> {
        let mut fds = vec![PollFd::new(self.eventfd.as_fd(), PollFlags::POLLIN)];
        fds.extend(other.map(|other| PollFd::new(other, PollFlags::POLLIN)));
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            // A little more rather than a little less, or it would not be time yet.
            let rest = until.saturating_duration_since(Instant::now());
            let rest = rest + Duration::from_micros(999);
            PollTimeout::try_from(rest.as_millis()).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(fds.get(1).and_then(PollFd::any).unwrap_or(false))
    }
}
