//! Wake-ups of the flows that one thread drives: what the daemon's worker does with its epoll.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::vnf::Bell;

/// Hears when a flow is woken.
#[derive(Debug)]
pub struct Alarm {
    bell: Bell,
    eventfd: Arc<EventFd>,
    /// Flows that were woken since they were last asked about.
    woken: Mutex<HashSet<u64>>,
}

/// A flow that may be woken, as long as this lives.
#[derive(Debug)]
pub struct Sleeper {
    alarm: Arc<Alarm>,
    /// Its number.
    pub id: u64,
}

impl Alarm {
    /// One that nobody has rung.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn new() -> io::Result<Arc<Self>> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let eventfd = Arc::new(EventFd::from_flags(flags)?);
        Ok(Arc::new(Self {
            bell: Bell::new(Arc::clone(&eventfd)),
            eventfd,
            woken: Mutex::default(),
        }))
    }

    /// A flow with a number that no other has.
    pub fn sleeper(self: &Arc<Self>) -> Sleeper {
        let id = self.bell.id();
        self.bell.enlist(id, id);
        Sleeper {
            alarm: Arc::clone(self),
            id,
        }
    }

    /// Whether the flow of this number was woken since this was last asked.
    pub fn rang(&self, id: u64) -> bool {
        // Empty is no failure.
        let _ = self.eventfd.read();
        self.hear().remove(&id)
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

    /// All who were woken, those of just now too.
    fn hear(&self) -> MutexGuard<'_, HashSet<u64>> {
        let mut keys = Vec::new();
        self.bell.answer(&mut keys);
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.extend(keys);
        woken
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.alarm.bell.strike_off(self.id);
        self.alarm.hear().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_that_are_over_leave_nothing_behind() {
        let alarm = Alarm::new().unwrap();
        let sleepers: Vec<Sleeper> = (0..3).map(|_| alarm.sleeper()).collect();
        alarm
            .hear()
            .extend(sleepers.iter().map(|sleeper| sleeper.id));
        assert!(alarm.rang(sleepers[0].id));
        assert!(!alarm.rang(sleepers[0].id));
        drop(sleepers);
        assert!(alarm.hear().is_empty());
    }
}
