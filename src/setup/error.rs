//! What can go wrong between a plan and the kernel, sorted by whose fault it is.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config::model::Device;
use crate::netlink;
use crate::setup::nft;
use crate::setup::ruleset::TABLE;

/// Why the kernel does not match the plan.
#[derive(Debug)]
pub enum Error {
    /// The configuration names a device that does not exist.
    NoDevice {
        /// The device.
        device: Device,
        /// The line of the section that names it.
        line: u32,
    },
    /// The loopback device is down: nothing could be delivered locally.
    LoopbackDown,
    /// Something that we did not make stands where we have to put ours.
    InTheWay(Obstacle),
    /// The kernel refused a link, a route or a rule.
    Netlink(netlink::Error),
    /// A sysctl could not be read or set.
    Sysctl {
        /// Below `/proc/sys`.
        key: String,
        /// The value it should get; `None` when it could not even be read.
        value: Option<String>,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The nft table could not be loaded.
    Nft(nft::Error),
    /// The kernel has neither nft's `queue` nor xtables' NFQUEUE for nft.
    NoQueue(netlink::Error),
    /// The journal could not be kept: nothing may be touched that could not be undone.
    Journal {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// A line of the journal is not one that we write.
    BadJournal {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Another instance with this journal is running.
    Running {
        /// The lock it holds.
        path: PathBuf,
        /// Its process, when it has written that down.
        pid: Option<u32>,
    },
    /// A step failed, and so did the way back.
    Stuck {
        /// The failure of the step.
        cause: Box<Error>,
        /// What could not be put back.
        left: Vec<Error>,
    },
}

/// Something of somebody else's that is in our way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// A device has our device's name.
    Link(Device),
    /// The nft table has our table's name.
    Table,
    /// A routing rule lies between ours.
    Rule {
        /// Its preference.
        preference: u32,
    },
    /// A route to the same destination.
    Route {
        /// The route we wanted to add.
        wanted: String,
        /// In which table.
        table: u32,
    },
}

impl Error {
    pub(super) fn sysctl(key: &str, value: Option<&str>, source: io::Error) -> Self {
        Self::Sysctl {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            source,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice { device, line } => {
                write!(f, "line {line}: there is no device {device}")
            }
            Self::LoopbackDown => {
                f.write_str("device lo is down: switch it on with `ip link set lo up`")
            }
            Self::InTheWay(obstacle) => obstacle.fmt(f),
            Self::Netlink(error) => error.fmt(f),
            Self::Sysctl { key, value, source } => match value {
                Some(value) => write!(f, "write {value} to /proc/sys/{key}: {source}"),
                None => write!(f, "read /proc/sys/{key}: {source}"),
            },
            Self::Nft(error) => error.fmt(f),
            Self::NoQueue(error) => write!(
                f,
                "this kernel has no nft queue (OpenWrt: kmod-nft-queue), \
                 and xtables' NFQUEUE does not do instead: {error}"
            ),
            Self::Journal {
                action,
                path,
                source,
            } => write!(f, "{action} {}: {source}", path.display()),
            Self::BadJournal { path, line } => write!(
                f,
                "{}:{line}: not a line of a journal; put it right or, if nothing is left behind, \
                 remove the file",
                path.display()
            ),
            Self::Running { path, pid } => {
                match pid {
                    Some(pid) => write!(f, "srv6pipes is running already as process {pid}")?,
                    None => f.write_str("srv6pipes is running already")?,
                }
                write!(f, " (lock {})", path.display())
            }
            Self::Stuck { cause, left } => {
                write!(f, "{cause}; and on the way back")?;
                for error in left {
                    write!(f, "; {error}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(device) => write!(
                f,
                "a device {device} that we did not make is in the way: another srv6pipes in this \
                 network namespace may have made it; see `ip -d link show {device}`"
            ),
            Self::Table => write!(
                f,
                "an nft table {TABLE} that we did not make is in the way: see `nft list table ip6 \
                 {TABLE}`"
            ),
            Self::Rule { preference } => write!(
                f,
                "a routing rule with preference {preference} that we did not make is in the way: \
                 see `ip -6 rule`; option preference moves ours"
            ),
            Self::Route { wanted, table } => write!(
                f,
                "add route {wanted}: there is a route that we did not make: see `ip -6 route show \
                 table {table}`"
            ),
        }
    }
}

// No source(): Display says it all, and a chain would print it twice.
impl std::error::Error for Error {}

impl From<netlink::Error> for Error {
    fn from(error: netlink::Error) -> Self {
        Self::Netlink(error)
    }
}

impl From<nft::Error> for Error {
    fn from(error: nft::Error) -> Self {
        Self::Nft(error)
    }
}
