//! Puts right what others take away from us in the kernel, once they have finished.
//!
//! `daemon` waits until it is readable or [`Watch::patience`] is over.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::netlink::{self, monitor::Monitor};
use crate::setup::{Error, Setup};

/// Whoever has been quiet for so long has finished.
const QUIET: Duration = Duration::from_secs(1);
/// Whoever has not finished by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// What has been heard of the kernel, and said of it.
#[derive(Debug)]
pub struct Watch {
    monitor: Monitor,
    /// The first and the last change since everything was looked at.
    changes: Option<(Instant, Instant)>,
    /// What could not be put right, as it was said.
    complaint: Option<String>,
}

impl AsFd for Watch {
    /// Readable once something has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.monitor.as_fd()
    }
}

impl Watch {
    /// Begins to listen.
    pub fn open() -> Result<Self, netlink::Error> {
        Ok(Self {
            monitor: Monitor::open()?,
            changes: None,
            complaint: None,
        })
    }

    /// How long [`repair`](Self::repair) has to wait at most; `None` while nothing has changed.
    pub fn patience(&self, now: Instant) -> Option<Duration> {
        let (first, last) = self.changes?;
        let due = (last + QUIET).min(first + PATIENCE);
        Some(due.saturating_duration_since(now))
    }

    /// Hears what has changed and, when it is time, has `setup` look at everything. `said` puts an
    /// error into the operator's words.
    pub fn repair(&mut self, setup: &mut Setup, said: impl Fn(&Error) -> String, now: Instant) {
        if self.monitor.drain() {
            let first = self.changes.map_or(now, |(first, _)| first);
            self.changes = Some((first, now));
        }
        if self.patience(now).is_none_or(|left| !left.is_zero()) {
            return;
        }
        self.changes = None;
        match setup.repair() {
            Ok(0) if self.complaint.take().is_some() => {
                log::info!("the kernel has all of our settings again");
            }
            Ok(0) => {}
            Ok(lost) => {
                self.complaint = None;
                log::warn!(
                    "the kernel lost {lost} of our settings (somebody has changed devices, routes \
                     or nftables); put right"
                );
            }
            Err(error) => {
                let complaint = said(&error);
                if self.complaint.as_ref() != Some(&complaint) {
                    log::warn!(
                        "the kernel lost some of our settings, which cannot be put right before \
                         something changes: {complaint}"
                    );
                    self.complaint = Some(complaint);
                }
            }
        }
    }
}
