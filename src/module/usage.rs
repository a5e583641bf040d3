//! What this process holds, as the kernel counts it: proc(5).

use std::fs;
use std::io;

use nix::sys::resource::{UsageWho, getrusage};

use crate::module::subject::Plan;

/// Memory of our own, bytes: not of files, and not shared.
///
/// # Errors
/// When /proc is not as proc_pid_status(5) has it.
pub fn memory() -> io::Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    // RssAnon is there since Linux 4.5.
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| io::Error::other("/proc/self/status has no RssAnon"))
}

/// For how long this thread has computed, and for how long it wanted to and had to wait for a
/// processor; nanoseconds. `None` where the kernel does not count that.
pub fn on_processor() -> Option<u64> {
    let line = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut numbers = line
        .split_whitespace()
        .map_while(|word| word.parse::<u64>().ok());
    Some(numbers.next()?.saturating_add(numbers.next()?))
}

/// How often the kernel has taken the processor from this thread for another one.
pub fn interruptions() -> libc::c_long {
    // It fails only for a structure out of memory (getrusage(2)), and ours is on the stack.
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.involuntary_context_switches())
}

/// What a module may leave behind.
#[derive(Debug)]
pub struct Left {
    threads: usize,
    files: usize,
}

impl Left {
    /// As it is now, without the copies of the module itself, which stay by intention.
    ///
    /// # Errors
    /// When /proc is not there.
    pub fn of(plan: &Plan) -> io::Result<Self> {
        let name = plan.file.file_name().unwrap_or_default().to_string_lossy();
        let module = format!("/memfd:{name}");
        let files = fs::read_dir("/proc/self/fd")?.filter(|entry| {
            let target = entry
                .as_ref()
                .ok()
                .and_then(|e| fs::read_link(e.path()).ok());
            target.is_some_and(|target| !target.to_string_lossy().starts_with(&module))
        });
        Ok(Self {
            threads: fs::read_dir("/proc/self/task")?.count(),
            files: files.count(),
        })
    }

    /// What there is more of later: its kind, how many before and how many then.
    pub fn and_now(&self, after: &Self) -> Option<(&'static str, usize, usize)> {
        if after.threads > self.threads {
            return Some(("threads", self.threads, after.threads));
        }
        (after.files > self.files).then_some(("open files", self.files, after.files))
    }
}
