//! Ctrl-C and `SIGTERM` as something to ask for, so that the demo always tidies up after itself.
//!
//! The signals are blocked and read from a signalfd(2); every wait of the demo is a
//! [`Interrupt::pause`]. Children inherit the block, so they are ended by `SIGKILL` (or, for the
//! daemon, which reads its own signalfd, by `SIGTERM`).

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Somebody asked us to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

/// While it lives, `SIGINT` and `SIGTERM` do not end the process. Make it before any thread.
#[derive(Debug)]
pub struct Interrupt {
    signals: SignalFd,
    before: SigSet,
}

impl Interrupt {
    /// Blocks both signals in this thread and those it starts.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn block() -> nix::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGINT);
        set.add(Signal::SIGTERM);
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { signals, before })
    }

    /// Waits for `pause`, or until a signal comes.
    ///
    /// # Errors
    /// [`Interrupted`] as soon as a signal is there, and from then on always.
    pub fn pause(&self, pause: Duration) -> Result<(), Interrupted> {
        let mut wanted = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
        match poll(&mut wanted, timeout) {
            // Not read from the descriptor: it stays readable, and the signal is not delivered.
            Ok(1..) => Err(Interrupted),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        // A signal that was obeyed must not kill the process now that all is tidy.
        while let Ok(Some(_)) = self.signals.read_signal() {}
        let _unchanged = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    #[test]
    fn a_signal_ends_every_pause_and_nothing_else() {
        let interrupt = Interrupt::block().unwrap();
        assert_eq!(interrupt.pause(Duration::ZERO), Ok(()));
        raise(Signal::SIGTERM).unwrap();
        assert_eq!(interrupt.pause(Duration::from_secs(60)), Err(Interrupted));
        assert_eq!(interrupt.pause(Duration::from_secs(60)), Err(Interrupted));
        drop(interrupt);
    }
}
