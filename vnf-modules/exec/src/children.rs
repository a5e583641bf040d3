//! The children of one function: started and watched by two threads of its own, so that no worker
//! ever waits for a process.
//!
//! ```text
//!  flow ─start─▶ spawner ─pipes─▶ seat ◀─look─ flow ⇄ the child's stdin and stdout
//!                   └─▶ watcher: epoll over pipes, stderr and pidfd ─wake─▶ flow
//! ```
//!
//! A child leads a process group. Its end is the end of the whole group, and so is its flow's.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::process::{Pid, Signal, kill_process_group};
use srv6pipes_vnf::{Counter, Counters, Log, Waker};

use crate::program::Program;
use crate::spawner::{self, Request, Terms};
use crate::watcher::{self, Watched};

/// All of a function's children. Dropping it ends them and both threads.
#[derive(Debug)]
pub struct Children {
    shared: Arc<Shared>,
    /// `None` only while it is being dropped.
    requests: Option<Sender<Request>>,
    watcher: Option<JoinHandle<()>>,
    spawner: Option<JoinHandle<()>>,
}

/// What the threads and the flows share.
#[derive(Debug)]
pub struct Shared {
    pub epoll: OwnedFd,
    /// Readable once the watcher is to end.
    pub stop: OwnedFd,
    pub waker: Waker,
    pub log: Log,
    pub counted: Counted,
    /// Locked before a seat's state where both are.
    pub table: Mutex<Table>,
    next: AtomicU64,
}

/// Who is watched.
#[derive(Debug, Default)]
pub struct Table {
    /// By [`Seat::id`]: all that are not reaped yet, or not left by their flow.
    pub children: HashMap<u64, Watched>,
    /// How many are not reaped yet.
    pub live: u64,
}

/// What is counted.
#[derive(Debug)]
pub struct Counted {
    pub refused_flows: Counter,
    pub started_children: Counter,
    pub failed_children: Counter,
    pub ended_children: Counter,
}

/// Where a child, its flow and the threads meet.
#[derive(Debug)]
pub struct Seat {
    /// From 1 on; never given again.
    pub id: u64,
    /// [`FlowInfo::id`](srv6pipes_vnf::FlowInfo::id).
    pub flow: u64,
    pub state: Mutex<State>,
}

#[derive(Debug, Default)]
pub struct State {
    /// There between the child's start and the flow's next look.
    pub pipes: Option<Pipes>,
    /// There while it is not reaped: only then is the number its own, and its group's.
    pub pid: Option<Pid>,
    /// How it ended, or why it never began.
    pub end: Option<Result<(), String>>,
    /// Its flow wants nothing of it any more.
    pub left: bool,
}

/// Our ends of a child's stdin and stdout; reading and writing them does not block.
#[derive(Debug)]
pub struct Pipes {
    pub stdin: ChildStdin,
    pub stdout: ChildStdout,
}

/// A flow's hold on its child; dropping it kills what is left of the child.
#[derive(Debug)]
pub struct Child {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
}

/// Leave to have one child; counted.
#[derive(Debug)]
pub struct Permit(Arc<AtomicUsize>);

impl Counted {
    pub fn open(counters: Counters) -> Self {
        let open = |name| counters.open(name, "");
        Self {
            refused_flows: open("refused_flows"),
            started_children: open("started_children"),
            failed_children: open("failed_children"),
            ended_children: open("ended_children"),
        }
    }
}

impl Children {
    /// Starts the threads; no child yet.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn start(terms: Terms, waker: Waker, log: Log, counted: Counted) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &stop, watcher::STOP, epoll::EventFlags::IN)?;
        let shared = Arc::new(Shared {
            epoll,
            stop,
            waker,
            log,
            counted,
            table: Mutex::default(),
            next: AtomicU64::new(1),
        });
        let (requests, queue) = channel();
        // From here on `drop` ends what was started.
        let mut children = Self {
            shared: Arc::clone(&shared),
            requests: Some(requests),
            watcher: None,
            spawner: None,
        };
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let watching = Arc::clone(&shared);
        let watcher = named("exec-watch").spawn(move || watcher::watch(&watching))?;
        children.watcher = Some(watcher);
        let spawner = named("exec-spawn").spawn(move || spawner::serve(&shared, &terms, &queue))?;
        children.spawner = Some(spawner);
        Ok(children)
    }

    /// What a flow needs to start its children.
    pub fn starter(&self) -> Option<Starter> {
        Some(Starter {
            shared: Arc::clone(&self.shared),
            requests: self.requests.clone()?,
        })
    }

    #[cfg(test)]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The function's counters.
    pub fn counted(&self) -> &Counted {
        &self.shared.counted
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        // All flows are over, and theirs were the other senders: the spawner ends.
        self.requests = None;
        if let Some(spawner) = self.spawner.take() {
            let _panicked = spawner.join();
        }
        if let Some(watcher) = self.watcher.take() {
            // An eventfd takes a number of eight bytes; there is room for more than one.
            let _told = rustix::io::write(&self.shared.stop, &1_u64.to_ne_bytes());
            let _panicked = watcher.join();
        }
    }
}

/// Starts children for a flow.
#[derive(Debug, Clone)]
pub struct Starter {
    shared: Arc<Shared>,
    requests: Sender<Request>,
}

impl Starter {
    /// Has `program` started for the flow `flow` with this argument; its flow is woken when there
    /// is something to look at.
    pub fn start(&self, program: &Arc<Program>, permit: Permit, flow: u64, argument: u32) -> Child {
        let seat = Arc::new(Seat {
            id: self.shared.next.fetch_add(1, Ordering::Relaxed),
            flow,
            state: Mutex::default(),
        });
        let request = Request {
            seat: Arc::clone(&seat),
            program: Arc::clone(program),
            permit,
            argument,
        };
        if self.requests.send(request).is_err() {
            lock(&seat.state).end = Some(Err(format!("{program}: nobody is there to start it")));
        }
        let shared = Arc::clone(&self.shared);
        Child { shared, seat }
    }
}

impl Child {
    /// What is new: the pipes, once; and how it ended.
    pub fn look(&self) -> (Option<Pipes>, Option<Result<(), String>>) {
        let mut state = lock(&self.seat.state);
        (state.pipes.take(), state.end.clone())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let mut table = lock(&self.shared.table);
        let mut state = lock(&self.seat.state);
        state.left = true;
        state.pipes = None;
        match state.pid {
            Some(pid) => kill(pid),
            None => drop(table.children.remove(&self.seat.id)),
        }
    }
}

impl Permit {
    /// So many permits, if `used` is not more than `most` with them.
    pub fn take(used: &Arc<AtomicUsize>, most: usize, count: usize) -> Option<Vec<Self>> {
        let enough = |used: usize| used.checked_add(count).filter(|sum| *sum <= most);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough)
            .ok()?;
        Some((0..count).map(|_| Self(Arc::clone(used))).collect())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends a child that is not reaped yet, and all of its group.
pub fn kill(pid: Pid) {
    // Nobody left in the group is as good as killed.
    let _gone = kill_process_group(pid, Signal::KILL);
}

/// A panic elsewhere has left nothing half done that a child's end would not mend.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
