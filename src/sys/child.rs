//! A piece of work in a process of its own, which may crash, hang or exit without harm to us.
#![allow(
    unsafe_code,
    reason = "fork(2) has rules that the compiler does not know"
)]

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, getppid, setpgid};

/// The exit code of a child whose work panicked, as of a Rust program.
pub const PANICKED: i32 = 101;

/// Runs `work` in a child: a copy of this process, with an empty standard input, and with `output`
/// as its standard output and error. It leads a process group of its own, and dies with us.
///
/// Whoever calls this waits for the child (waitpid(2)).
///
/// # Errors
/// When this process has more than one thread: the others would not be in the child, but their
/// locks would.
pub fn run(output: impl AsFd, work: impl FnOnce()) -> io::Result<Pid> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process of several threads cannot fork"));
    }
    let nothing = fs::File::open("/dev/null")?;
    let parent = Pid::this();
    // SAFETY: there is no other thread, so the child may do all that we may (fork(2)).
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let prepared = set_pdeathsig(Signal::SIGKILL)
                .and_then(|()| setpgid(Pid::from_raw(0), Pid::from_raw(0)))
                .and_then(|()| dup2_stdin(&nothing))
                .and_then(|()| dup2_stdout(&output))
                .and_then(|()| dup2_stderr(&output));
            // It may have died before we asked to be told.
            let alone = getppid() != parent;
            let done = prepared.is_ok() && !alone && catch_unwind(AssertUnwindSafe(work)).is_ok();
            // SAFETY: ends the process without running what the parent has registered to run at
            // its own end (_exit(2)).
            unsafe { libc::_exit(if done { 0 } else { PANICKED }) }
        }
    }
}
