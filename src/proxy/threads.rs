//! The workers and the capture as threads, and the wishes the control thread has of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, io};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::proxy::Shared;
use crate::proxy::capture::Capture;
use crate::proxy::runtime::Runtime;
use crate::proxy::snapshot::FlowSnapshot;
use crate::proxy::worker::{Command, Worker};
use crate::sys::socket;

/// How long we wait for a worker that is busy.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a thread may take to end: one of its functions may be busy with 64 KiB.
const FAREWELL: Duration = Duration::from_secs(3);
/// How often a thread is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// What cannot change while the threads run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many workers.
    pub workers: u16,
    /// The listeners' port on `[::1]`.
    pub port: u16,
    /// The NFQUEUE to capture from; `None` is `saved_syn`.
    pub queue: Option<u16>,
}

/// Why the threads cannot start.
#[derive(Debug)]
pub enum Error {
    /// A listener on this port of `[::1]`.
    Listen(u16, io::Error),
    /// This NFQUEUE.
    Queue(u16, io::Error),
    /// A thread, or what it waits with.
    Thread(io::Error),
}

#[derive(Debug)]
struct Handle {
    wake: Arc<EventFd>,
    commands: Sender<Command>,
    thread: JoinHandle<()>,
}

/// Why a thread came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Told,
    /// It cannot go on.
    Failed,
}

/// The running data path.
#[derive(Debug)]
pub struct Proxy {
    workers: u16,
    shared: Arc<Shared>,
    threads: Vec<Handle>,
}

impl Proxy {
    /// Listens, and starts all threads. Nothing reaches them before `setup` has told the kernel.
    pub fn start(options: Options, runtime: &Arc<Runtime>) -> Result<Self, Error> {
        let table = options.queue.map(|_| Arc::default());
        let shared = Arc::new(Shared::new(table.clone()));
        let mut proxy = Self {
            workers: options.workers,
            shared: Arc::clone(&shared),
            threads: Vec::new(),
        };
        socket::port_is_free(options.port).map_err(|e| Error::Listen(options.port, e))?;
        for number in 0..options.workers {
            let listener = socket::listener(options.port, options.queue.is_none())
                .map_err(|e| Error::Listen(options.port, e))?;
            let (wake, commands, orders) = line().map_err(Error::Thread)?;
            let (runtime, shared) = (Arc::clone(runtime), Arc::clone(&shared));
            let worker = Worker::new(listener, Arc::clone(&wake), orders, runtime, shared)
                .map_err(Error::Thread)?;
            proxy.spawn(format!("worker-{number}"), wake, commands, move || {
                worker.run()
            })?;
        }
        if let (Some(queue), Some(table)) = (options.queue, table) {
            let (wake, commands, orders) = line().map_err(Error::Thread)?;
            let runtime = Arc::clone(runtime);
            let capture = Capture::new(queue, Arc::clone(&wake), orders, runtime, shared, table)
                .map_err(|error| Error::Queue(queue, error))?;
            proxy.spawn("capture".into(), wake, commands, move || capture.run())?;
        }
        Ok(proxy)
    }

    /// New flows take this configuration, all of them when this returns; but those of a worker that
    /// is too busy to answer take it later.
    pub fn reload(&self, runtime: &Arc<Runtime>) {
        self.tell_and_wait(|done| Command::Runtime(Arc::clone(runtime), done));
    }

    /// All functions that want reports have had one of each of their live flows when this returns;
    /// but those of a worker that is too busy to answer have theirs later.
    pub fn report(&self) {
        if self.shared.reporting.value() > 0 {
            self.tell_and_wait(Command::Report);
        }
    }

    /// All live flows; those of a worker that is too busy to answer are missing.
    pub fn flows(&self) -> Vec<FlowSnapshot> {
        let (reply, answers) = mpsc::channel();
        self.tell(|| Command::Flows(reply.clone()));
        drop(reply);
        let until = Instant::now() + PATIENCE;
        let mut flows = Vec::new();
        while let Ok(some) = answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
            flows.extend(some);
        }
        flows
    }

    /// Resets all flows and waits for the threads, but not for ever: the names of those that have
    /// not ended. No thread can be ended from outside, so these go on, with their flows, until the
    /// process ends.
    pub fn stop(&mut self) -> Vec<String> {
        self.tell(|| Command::Stop);
        let until = Instant::now() + FAREWELL;
        let mut stuck = Vec::new();
        for Handle { thread, .. } in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(LOOK);
            }
            if thread.is_finished() {
                // Its panic was caught, and said.
                let _ = thread.join();
            } else {
                stuck.push(thread.thread().name().unwrap_or_default().to_owned());
            }
        }
        stuck
    }

    /// How many workers there are.
    pub fn workers(&self) -> u16 {
        self.workers
    }

    /// The counters.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    fn tell_and_wait(&self, command: impl Fn(Sender<()>) -> Command) {
        let (done, answers) = mpsc::channel();
        self.tell(|| command(done.clone()));
        drop(done);
        let until = Instant::now() + PATIENCE;
        let left = || until.saturating_duration_since(Instant::now());
        while answers.recv_timeout(left()).is_ok() {}
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for handle in &self.threads {
            // A thread that has ended has said so in the log.
            if handle.commands.send(command()).is_ok() {
                let _ = handle.wake.write(1);
            }
        }
    }

    fn spawn(
        &mut self,
        name: String,
        wake: Arc<EventFd>,
        commands: Sender<Command>,
        work: impl FnOnce() -> Ended + Send + 'static,
    ) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let watched = move || {
            // The others could go on, but not this one's flows, and not its share of the SYNs.
            if catch_unwind(AssertUnwindSafe(work)).unwrap_or(Ended::Failed) == Ended::Failed {
                shared.fail();
            }
        };
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(watched)
            .map_err(Error::Thread)?;
        self.threads.push(Handle {
            wake,
            commands,
            thread,
        });
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

fn line() -> io::Result<(Arc<EventFd>, Sender<Command>, mpsc::Receiver<Command>)> {
    let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
    let (commands, orders) = mpsc::channel();
    Ok((Arc::new(EventFd::from_flags(flags)?), commands, orders))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(port, error) => {
                write!(f, "listen on [::1]:{port}")?;
                f.write_str(match error.raw_os_error() {
                    Some(libc::EADDRNOTAVAIL) => {
                        " (device lo is down or lacks ::1: `ip link set lo up`)"
                    }
                    Some(libc::EADDRINUSE) => {
                        " (another program listens there; option 'port' moves ours)"
                    }
                    // IPV6_TRANSPARENT.
                    Some(libc::EPERM) => " (needs CAP_NET_ADMIN)",
                    _ => " (option 'port')",
                })
            }
            Self::Queue(queue, error) if error.raw_os_error() == Some(libc::EPERM) => {
                write!(
                    f,
                    "bind NFQUEUE {queue} (option 'queue'): another program may have it"
                )
            }
            Self::Queue(queue, _) => write!(
                f,
                "bind NFQUEUE {queue} (option 'queue'; needs the package kmod-nfnetlink-queue)"
            ),
            Self::Thread(_) => write!(f, "start a thread"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(_, error) | Self::Queue(_, error) | Self::Thread(error) => Some(error),
        }
    }
}
