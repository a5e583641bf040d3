//! The thread that watches children: wakes a flow when its child's pipes have moved, reads what
//! children complain of, and reaps every one of them.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ChildStderr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};
use srv6pipes_vnf::Log;

use crate::children::{Permit, Seat, Shared, State, Table, kill, lock};
use crate::program::Program;
use crate::spawner::Request;
use crate::stderr::{Limit, Lines};

/// The event that ends this thread.
pub const STOP: EventData = EventData::new_u64(0);

/// A child's stdin or stdout.
pub const PIPE: u64 = 0;
/// Its standard error.
pub const STDERR: u64 = 1;
/// Its pidfd, readable once it has ended.
pub const EXIT: u64 = 2;

/// How long killed children may take to be gone, when the function ends: it is a moment, but for
/// one that hangs in the kernel, and whoever ends the function waits for it.
const FAREWELL: Duration = Duration::from_millis(500);

/// Most events at once.
const EVENTS: usize = 64;

/// What an event of a child says: whose, and which of the above.
pub const fn token(id: u64, what: u64) -> EventData {
    EventData::new_u64(id << 2 | what)
}

/// A child as this thread sees it.
#[derive(Debug)]
pub struct Watched {
    seat: Arc<Seat>,
    program: Arc<Program>,
    pidfd: OwnedFd,
    /// `None` at its end.
    stderr: Option<ChildStderr>,
    lines: Lines,
    /// `None` once it is reaped.
    permit: Option<Permit>,
}

/// Watches until [`Shared::stop`], and then until no child is left.
pub fn watch(shared: &Shared) {
    let mut events = Vec::with_capacity(EVENTS);
    let mut limit = Limit::new(Instant::now());
    let mut deadline = None;
    loop {
        events.clear();
        let patience = deadline.map(|_| Timespec {
            tv_sec: 0,
            tv_nsec: 10_000_000,
        });
        match epoll::wait(
            &shared.epoll,
            spare_capacity(&mut events),
            patience.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return shared.log.error(format!("cannot watch programs: {error}")),
        }
        for event in &events {
            let data = event.data;
            let mut table = lock(&shared.table);
            if data == STOP {
                let _stays = epoll::delete(&shared.epoll, &shared.stop);
                deadline = Some(Instant::now() + FAREWELL);
                table.kill();
            } else {
                table.serve(shared, data.u64() >> 2, data.u64() & 3, &mut limit);
            }
        }
        if let Some(deadline) = deadline {
            let left = lock(&shared.table).live;
            if left == 0 {
                return;
            }
            if Instant::now() > deadline {
                return shared
                    .log
                    .warn(format!("{left} killed programs do not end"));
            }
        }
    }
}

impl Table {
    fn kill(&mut self) {
        for watched in self.children.values() {
            if let Some(pid) = lock(&watched.seat.state).pid {
                kill(pid);
            }
        }
    }

    fn serve(&mut self, shared: &Shared, id: u64, what: u64, limit: &mut Limit) {
        let Some(watched) = self.children.get_mut(&id) else {
            return;
        };
        match what {
            STDERR => watched.read(shared, limit, 4),
            EXIT => {
                if watched.reap(shared, limit) {
                    self.live -= 1;
                    shared.counted.ended_children.one();
                }
                let state = lock(&watched.seat.state);
                let over = state.left && state.pid.is_none();
                drop(state);
                if over {
                    self.children.remove(&id);
                }
            }
            _ => shared.waker.wake(watched.seat.flow),
        }
    }
}

impl Watched {
    pub fn new(request: Request, pidfd: OwnedFd, stderr: ChildStderr) -> Self {
        Self {
            seat: request.seat,
            program: request.program,
            pidfd,
            stderr: Some(stderr),
            lines: Lines::default(),
            permit: Some(request.permit),
        }
    }

    /// Reads what it complains of, at most so many times.
    fn read(&mut self, shared: &Shared, limit: &mut Limit, times: usize) {
        let Some(stderr) = &mut self.stderr else {
            return;
        };
        let program = &self.program;
        let mut buffer = [0; 4096];
        for _ in 0..times {
            match stderr.read(&mut buffer) {
                Ok(0) => {
                    let _gone = epoll::delete(&shared.epoll, &*stderr);
                    self.stderr = None;
                    return;
                }
                Ok(n) => {
                    let bytes = &buffer[..n];
                    self.lines
                        .take(bytes, |line| tell(shared.log, limit, program, line));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A pipe has no other error.
                Err(_) => return,
            }
        }
    }

    /// Whether it has ended, and is reaped now.
    fn reap(&mut self, shared: &Shared, limit: &mut Limit) -> bool {
        let mut state = lock(&self.seat.state);
        let Some(pid) = state.pid else {
            return false;
        };
        let id = WaitId::PidFd(self.pidfd.as_fd());
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match waitid(id.clone(), ended | WaitIdOptions::NOWAIT) {
            Ok(None) => return false,
            // As long as it is not reaped, no other group can have its number.
            Ok(Some(_)) => kill(pid),
            Err(_) => {}
        }
        let status = waitid(id, ended).ok().flatten();
        state.pid = None;
        drop(state);
        let _gone = epoll::delete(&shared.epoll, &self.pidfd);
        self.permit = None;
        // All that a pipe holds. Who has left its group may hold the other end for ever.
        self.read(shared, limit, 16);
        if let Some(stderr) = self.stderr.take() {
            let _gone = epoll::delete(&shared.epoll, &stderr);
        }
        self.end(shared, status, limit);
        shared.waker.wake(self.seat.flow);
        true
    }

    /// Says how it ended.
    fn end(&mut self, shared: &Shared, status: Option<WaitIdStatus>, limit: &mut Limit) {
        let program = &self.program;
        let last = self
            .lines
            .last(|line| tell(shared.log, limit, program, line));
        let how = match status {
            Some(status) if status.exit_status() == Some(0) => None,
            status => Some(how(status)),
        };
        let State { left, end, .. } = &mut *lock(&self.seat.state);
        if how.is_some() && !*left {
            shared.counted.failed_children.one();
        }
        let colon = if last.is_empty() { "" } else { ": " };
        *end = Some(how.map_or(Ok(()), |how| Err(format!("{program} {how}{colon}{last}"))));
    }
}

fn how(status: Option<WaitIdStatus>) -> String {
    let code = status.as_ref().and_then(WaitIdStatus::exit_status);
    let signal = status.as_ref().and_then(WaitIdStatus::terminating_signal);
    match (code, signal) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended unseen".to_owned(),
    }
}

fn tell(log: Log, limit: &mut Limit, program: &Program, line: &str) {
    let (allowed, dropped) = limit.allows(Instant::now());
    if dropped > 0 {
        log.debug(format!("{dropped} more lines from programs"));
    }
    if allowed {
        log.debug(format!("{program}: {line}"));
    }
}
