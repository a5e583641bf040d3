//! Work with a module in a process of its own, watched: a module that crashes, hangs or exits must
//! not take the report of it away.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};

use crate::sys::guarded::{BESIDE_INPUT, BESIDE_OUTPUT, INPUT};
use crate::sys::marks::{self, Marks};
use crate::sys::{child, guarded};

/// How often a child is looked at that says nothing, milliseconds.
const LOOK: u8 = 20;
/// Bytes of a child's log that are kept: the last ones.
const LOG: usize = 16 * 1024;
/// Bytes of what a child has to say; a module that writes into our pipe says more.
const SAID: usize = 16 << 20;

/// A call of the module, or what runs before any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `dlopen`
    Load = 1,
    /// `func_init`
    Init,
    /// `func_spawn`
    Spawn,
    /// `func_process`
    Process,
    /// `func_despawn`
    Despawn,
    /// `func_deinit`
    Deinit,
    /// `func_route`
    Route,
    /// `func_routed`
    Routed,
    /// `func_report`
    Report,
    /// Any of those for a flow, on several threads.
    Several,
}

impl Call {
    const ALL: [Self; 10] = [
        Self::Load,
        Self::Init,
        Self::Spawn,
        Self::Process,
        Self::Despawn,
        Self::Deinit,
        Self::Route,
        Self::Routed,
        Self::Report,
        Self::Several,
    ];

    /// Runs `work`, which makes this call, and leaves a mark of it for as long.
    pub fn marked<T>(self, work: impl FnOnce() -> T) -> T {
        // They were made before this child was forked, so they are here.
        let Ok(marks) = marks::marks() else {
            return work();
        };
        if HELPS.get() {
            marks.calls.fetch_add(1, Ordering::Relaxed);
            return work();
        }
        marks.enter(self as u32);
        let done = work();
        marks.leave();
        done
    }

    fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|call| *call as u32 == number)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load => "dlopen, which runs constructors,",
            Self::Init => "func_init",
            Self::Spawn => "func_spawn",
            Self::Process => "func_process",
            Self::Despawn => "func_despawn",
            Self::Deinit => "func_deinit",
            Self::Route => "func_route",
            Self::Routed => "func_routed",
            Self::Report => "func_report",
            Self::Several => "one of the calls",
        })
    }
}

thread_local! {
    static HELPS: Cell<bool> = const { Cell::new(false) };
}

/// This thread helps another one, which has left a mark for both: what this one calls only shows
/// that it goes on.
pub fn helps() {
    HELPS.set(true);
}

/// How long a child may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For one call.
    pub call: Duration,
    /// For everything.
    pub all: Duration,
}

/// How a child ended that did not say what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// This call took longer than it may.
    Hung(Call, Duration),
    /// Everything together took longer than it may.
    Late(Duration),
    /// By this signal, in this call.
    Killed(Option<Call>, Signal, Touched),
    /// By `exit` in this call.
    Exited(Option<Call>, i32),
}

/// What a signal was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// None of our buffers.
    Nothing,
    /// Before or behind the input.
    BesideInput,
    /// The input, by writing.
    Input,
    /// Before or behind the output.
    BesideOutput,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = |call: &Option<Call>| match call {
            Some(call) => call.to_string(),
            // A thread of the module's own, or what it broke before.
            None => "the module, outside of any call,".to_owned(),
        };
        match self {
            Self::Hung(call, after) => write!(f, "{call} did not return within {after:?}"),
            Self::Late(after) => write!(
                f,
                "was not through after {after:?}: if it is slow by intention, an argument or option may make it faster"
            ),
            Self::Killed(at, signal, touched) => {
                let what = match touched {
                    Touched::Nothing => "was killed",
                    Touched::BesideInput => "read or wrote outside of its input, and was killed",
                    Touched::Input => "wrote into its input, and was killed",
                    Touched::BesideOutput => "read or wrote outside of its room, and was killed",
                };
                write!(f, "{} {what} by {signal}", call(at))
            }
            Self::Exited(at, code) => {
                write!(f, "{} ended the whole process, with {code}", call(at))
            }
        }
    }
}

/// What became of a child.
#[derive(Debug)]
pub struct Report {
    /// What it said.
    pub said: Result<Vec<u8>, End>,
    /// The last lines that it, or the module in it, wrote to the log, standard output and error.
    pub log: String,
    /// How long it took.
    pub took: Duration,
}

/// Runs `work` in a child and says what it returned; the buffers of [`guarded`] tell there who
/// leaves them.
///
/// # Errors
/// When the child cannot be made.
pub fn run(patience: Patience, work: impl FnOnce() -> Vec<u8>) -> io::Result<Report> {
    let marks = guarded::tell()?;
    marks.clear();
    let began = Instant::now();
    let (said, say) = pipe2(OFlag::O_CLOEXEC)?;
    let (log, write_log) = pipe2(OFlag::O_CLOEXEC)?;
    let mut said = Stream::new(File::from(said), SAID)?;
    let mut log = Stream::new(File::from(log), LOG)?;
    let child = child::run(&write_log, move || {
        let bytes = work();
        // The parent notices a text that is cut short by itself: it is none that it knows.
        let _ = File::from(say).write_all(&bytes);
    })?;
    drop(write_log);
    let mut watch = Watch::new(patience, marks);
    let (ended, hung) = loop {
        said.listen_or(&mut log)?;
        match waitpid(child, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::StillAlive => {}
            status => break (status, None),
        }
        if let Some(hung) = watch.look(Instant::now()) {
            end(child);
            break (waitpid(child, None)?, Some(hung));
        }
    };
    // What the module started may outlive it.
    end(child);
    said.drain()?;
    log.drain()?;
    let call = Call::of(marks.call.load(Ordering::Relaxed));
    let said = match (hung, ended) {
        (Some(hung), _) => Err(hung),
        (None, WaitStatus::Signaled(_, signal, _)) => {
            Err(End::Killed(call, signal, touched(marks)))
        }
        (None, WaitStatus::Exited(_, 0)) if call.is_none() && !said.kept.is_empty() => {
            Ok(said.kept)
        }
        (None, WaitStatus::Exited(_, code)) => Err(End::Exited(call, code)),
        (None, _) => Err(End::Exited(call, -1)),
    };
    Ok(Report {
        said,
        log: String::from_utf8_lossy(&log.kept).into_owned(),
        took: began.elapsed(),
    })
}

fn touched(marks: &Marks) -> Touched {
    match marks.touched.load(Ordering::Relaxed) {
        BESIDE_INPUT => Touched::BesideInput,
        INPUT => Touched::Input,
        BESIDE_OUTPUT => Touched::BesideOutput,
        _ => Touched::Nothing,
    }
}

/// Ends the child's process group, if there is still somebody in it.
fn end(child: Pid) {
    let _ = killpg(child, Signal::SIGKILL);
}

/// Notices that nothing goes on any more.
struct Watch {
    patience: Patience,
    marks: &'static Marks,
    began: Instant,
    /// How many calls there had been, and since when.
    calls: (u32, Instant),
}

impl Watch {
    fn new(patience: Patience, marks: &'static Marks) -> Self {
        let now = Instant::now();
        Self {
            patience,
            marks,
            began: now,
            calls: (0, now),
        }
    }

    /// What has taken too long, if anything has.
    fn look(&mut self, now: Instant) -> Option<End> {
        let load = |mark: &AtomicU32| mark.load(Ordering::Relaxed);
        let (calls, call) = (load(&self.marks.calls), Call::of(load(&self.marks.call)));
        if calls != self.calls.0 || call.is_none() {
            self.calls = (calls, now);
        }
        let Patience { call: each, all } = self.patience;
        match call {
            Some(call) if now - self.calls.1 > each => Some(End::Hung(call, each)),
            _ => (now - self.began > all).then_some(End::Late(all)),
        }
    }
}

/// The end of a pipe, and the last that came out of it.
struct Stream {
    file: File,
    kept: Vec<u8>,
    most: usize,
    open: bool,
}

impl Stream {
    fn new(file: File, most: usize) -> io::Result<Self> {
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self {
            file,
            kept: Vec::new(),
            most,
            open: true,
        })
    }

    /// Waits a little for either to say something, and listens.
    fn listen_or(&mut self, other: &mut Self) -> io::Result<()> {
        let events = |stream: &Self| {
            if stream.open {
                PollFlags::POLLIN
            } else {
                PollFlags::empty()
            }
        };
        let mut both = [
            PollFd::new(self.file.as_fd(), events(self)),
            PollFd::new(other.file.as_fd(), events(other)),
        ];
        // A closed one is told at once, again and again: the child is about to end.
        let all: &mut [PollFd<'_>] = match (self.open, other.open) {
            (true, true) => &mut both,
            (true, false) => &mut both[..1],
            (false, true) => &mut both[1..],
            (false, false) => &mut [],
        };
        match poll(all, PollTimeout::from(LOOK)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.drain()?;
        other.drain()
    }

    /// Takes what is there.
    fn drain(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        // Not without end, however much it says: its time is limited.
        for _ in 0..64 {
            if !self.open {
                break;
            }
            match self.file.read(&mut bytes) {
                Ok(0) => self.open = false,
                Ok(n) => self.keep(&bytes[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        if self.kept.len() > 2 * self.most {
            self.kept.drain(..self.kept.len() - self.most);
        }
    }
}
