//! One network namespace, as `ip netns` keeps them (ip-netns(8), setns(2)); gone when dropped.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::demo::program;

/// Where `ip netns` binds the namespaces it knows by name.
const NAMED: &str = "/run/netns";

/// How long the kernel may take to make link-local addresses (it bundles link events for a
/// second).
const SETTLED: Duration = Duration::from_secs(10);
/// Pause between two looks at them.
const LOOK: Duration = Duration::from_millis(5);

/// A namespace of our own.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: File,
}

/// What could not be done to or inside a namespace.
#[derive(Debug)]
pub enum Error {
    /// iproute2 or another program said no.
    Program(program::Error),
    /// The namespace's handle could not be opened.
    Open {
        /// The namespace.
        name: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A thread could not be moved into the namespace.
    Enter {
        /// The namespace.
        name: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The devices were not ready in time, or could not be looked at.
    Unsettled {
        /// The namespace.
        name: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A sysctl could not be read or written.
    Sysctl {
        /// The namespace.
        name: String,
        /// Its path below `/proc/sys`.
        key: String,
        /// What the kernel answered.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(error) => error.fmt(f),
            Self::Open { name, .. } => write!(f, "cannot open the namespace {name}"),
            Self::Enter { name, .. } => write!(f, "cannot enter the namespace {name}"),
            Self::Unsettled { name, .. } => {
                write!(
                    f,
                    "the devices in the namespace {name} got no link-local addresses"
                )
            }
            Self::Sysctl { name, key, .. } => write!(f, "sysctl {key} in the namespace {name}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Program(error) => error.source(),
            Self::Open { source, .. }
            | Self::Enter { source, .. }
            | Self::Unsettled { source, .. }
            | Self::Sysctl { source, .. } => Some(source),
        }
    }
}

impl From<program::Error> for Error {
    fn from(error: program::Error) -> Self {
        Self::Program(error)
    }
}

impl Namespace {
    /// Makes the namespace `name`, with `lo` up and IPv6 on (a host's `disable_ipv6` may be
    /// inherited), without the seconds of duplicate address detection.
    ///
    /// # Errors
    /// When the name is taken, or this process may not make namespaces.
    pub fn add(name: &str) -> Result<Self, Error> {
        program::run(program::command("ip").args(["netns", "add", name]))?;
        let path = Path::new(NAMED).join(name);
        let handle = File::open(path).map_err(|source| {
            remove(name);
            Error::Open {
                name: name.to_owned(),
                source,
            }
        })?;
        let namespace = Self {
            name: name.to_owned(),
            handle,
        };
        for which in ["all", "default"] {
            namespace.set_sysctl(&format!("net/ipv6/conf/{which}/disable_ipv6"), "0")?;
            namespace.set_sysctl(&format!("net/ipv6/conf/{which}/accept_dad"), "0")?;
        }
        namespace.ip("link set lo up\n")?;
        Ok(namespace)
    }

    /// The name that `ip -n NAME` and `ip netns exec NAME` take.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` in a thread of its own inside the namespace, and waits for it.
    ///
    /// Sockets opened there stay in the namespace wherever they are used later, so ordinary `std`
    /// sockets do. `/proc/sys/net` shows the namespace too (it follows the thread that opens the
    /// file); `/sys` keeps showing the namespace it was mounted in, which is the host's.
    ///
    /// # Errors
    /// When the thread cannot enter. A panic in `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| self.enter(&self.handle).map(|()| work()));
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Starts `work` in a thread of its own inside the namespace; it returns at once, and the
    /// thread's own result says whether it could enter.
    ///
    /// # Errors
    /// When the handle cannot be duplicated.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<Result<T, Error>>, Error> {
        let name = self.name.clone();
        let handle = self.handle.try_clone().map_err(|source| Error::Open {
            name: name.clone(),
            source,
        })?;
        Ok(thread::spawn(move || {
            enter(&name, &handle).map(|()| work())
        }))
    }

    fn enter(&self, handle: &File) -> Result<(), Error> {
        enter(&self.name, handle)
    }

    /// A command that will run inside; its process id is the program's own (`ip netns exec`
    /// becomes it).
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = program::command("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Hands `lines` to `ip -6 -batch`, inside: all or an error that names the line.
    ///
    /// # Errors
    /// When iproute2 refuses one; the ones before it have happened.
    pub fn ip(&self, lines: &str) -> Result<(), Error> {
        let mut command = program::command("ip");
        command.args(["-n", &self.name, "-6", "-batch", "-"]);
        program::run_with_input(&mut command, lines)?;
        Ok(())
    }

    /// Waits until every device has its link-local address and the routes that come with it. The
    /// kernel makes them some time after a device is set up, in the middle of whatever comes next.
    ///
    /// # Errors
    /// When ten seconds do not suffice.
    pub fn settle(&self) -> Result<(), Error> {
        let deadline = Instant::now() + SETTLED;
        while !self
            .run(has_all_link_locals)?
            .map_err(|source| self.unsettled(source))?
        {
            if Instant::now() > deadline {
                return Err(self.unsettled(io::ErrorKind::TimedOut.into()));
            }
            thread::sleep(LOOK);
        }
        // The routes come right after the address, in the same hold of the kernel's rtnl lock, so
        // whatever needs that lock finds them.
        self.ip("link set lo up\n")
    }

    fn unsettled(&self, source: io::Error) -> Error {
        Error::Unsettled {
            name: self.name.clone(),
            source,
        }
    }

    /// Writes a sysctl; `key` is its path below `/proc/sys` and begins with `net/`.
    ///
    /// # Errors
    /// When this kernel has no such sysctl or `/proc/sys` is read-only.
    pub fn set_sysctl(&self, key: &str, value: &str) -> Result<(), Error> {
        self.run(|| fs::write(Path::new("/proc/sys").join(key), value))?
            .map_err(|source| self.sysctl_error(key, source))
    }

    /// Reads a sysctl, without the line's end.
    ///
    /// # Errors
    /// When this kernel has no such sysctl.
    pub fn sysctl(&self, key: &str) -> Result<String, Error> {
        self.run(|| fs::read_to_string(Path::new("/proc/sys").join(key)))?
            .map(|value| value.trim_end().to_owned())
            .map_err(|source| self.sysctl_error(key, source))
    }

    fn sysctl_error(&self, key: &str, source: io::Error) -> Error {
        Error::Sysctl {
            name: self.name.clone(),
            key: key.to_owned(),
            source,
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

fn enter(name: &str, handle: &File) -> Result<(), Error> {
    setns(handle, CloneFlags::CLONE_NEWNET).map_err(|errno| Error::Enter {
        name: name.to_owned(),
        source: errno.into(),
    })
}

/// Whether each device of the laboratory (others may be there: tunnels that the kernel makes in
/// every namespace) has a link-local address in use, in this thread's namespace.
fn has_all_link_locals() -> io::Result<bool> {
    /// Scope and "still tentative" in if_inet6 (include/uapi/linux/if_addr.h, `IFA_F_TENTATIVE`).
    const LINK: &str = "20";
    const TENTATIVE: u32 = 0x40;
    let addresses = fs::read_to_string("/proc/thread-self/net/if_inet6")?;
    // address, index, prefix length, scope, flags, device: hexadecimal without 0x
    let ready = |device: &str| {
        addresses
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .any(|words| {
                let flags = words
                    .get(4)
                    .and_then(|flags| u32::from_str_radix(flags, 16).ok());
                words.get(3) == Some(&LINK)
                    && words.get(5) == Some(&device)
                    && flags.is_some_and(|flags| flags & TENTATIVE == 0)
            })
    };
    let devices = fs::read_to_string("/proc/thread-self/net/dev")?;
    Ok(devices
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim()))
        .filter(|device| device.starts_with("to-"))
        .all(ready))
}

/// Ends what still runs inside and takes the name away; the kernel then takes the devices down.
/// Best effort: there is nobody to tell when it runs after a panic, and what stays is removed by
/// [`remove_stale`] at the next start.
fn remove(name: &str) {
    // Without this, one forgotten process would keep the namespace and its devices alive, nameless.
    if let Ok(pids) = program::run(program::command("ip").args(["netns", "pids", name])) {
        for pid in String::from_utf8_lossy(&pids).lines() {
            if let Some(pid) = pid.trim().parse().ok().map(Pid::from_raw)
                && pid != getpid()
            {
                let _gone = kill(pid, Signal::SIGKILL);
            }
        }
    }
    let _gone = program::run(program::command("ip").args(["netns", "delete", name]));
}

/// The namespaces called `PREFIX-PID-N-NODE` whose process `PID` no longer lives are removed.
/// Call it before making the first: names of this very process are then stale too, left by an
/// earlier process of the same number.
pub fn remove_stale(prefix: &str) {
    let Ok(entries) = fs::read_dir(NAMED) else {
        return; // nobody ever made a namespace here
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if let Some(name) = name.to_str()
            && let Some(owner) = owner(prefix, name)
            && (owner == getpid() || kill(owner, None) == Err(Errno::ESRCH))
        {
            remove(name);
        }
    }
}

/// The process that made the namespace `name`, if the name is one of ours.
fn owner(prefix: &str, name: &str) -> Option<Pid> {
    let rest = name.strip_prefix(prefix)?.strip_prefix('-')?;
    let mut words = rest.split('-');
    let pid: u32 = words.next()?.parse().ok()?;
    let _number: u32 = words.next()?.parse().ok()?;
    let _node = words.next()?;
    if words.next().is_some() {
        return None;
    }
    // Never 0 or negative: those are process groups to kill(2).
    i32::try_from(pid)
        .ok()
        .filter(|pid| *pid > 0)
        .map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_shape_have_an_owner() {
        assert_eq!(owner("srv6p", "srv6p-17-0-P1"), Some(Pid::from_raw(17)));
        for name in [
            "srv6p",
            "srv6p-",
            "srv6p-17",
            "srv6p-17-0",
            "srv6p-x-0-C",
            "srv6p-17-0-C-D",
            "srv6p--1-0-C",
            "srv6p-0-0-C",
            "other-17-0-C",
            "srv6px-17-0-C",
            "srv6p-4294967295-0-C",
        ] {
            assert_eq!(owner("srv6p", name), None, "{name}");
        }
    }
}
