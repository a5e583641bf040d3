//! Why the demo could not show what it wanted to show.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::demo::interrupt::Interrupted;
use crate::demo::{daemon, namespace, program, sniff, webserver, workdir};

/// Everything that can end a demo early. Whatever it was, all is tidied up.
#[derive(Debug)]
pub enum Error {
    /// Namespaces, routes and transparent sockets are root's.
    NotRoot,
    /// A stock module is not where it was looked for.
    NoModule(PathBuf),
    /// There is no such file that could be a module.
    NoFile(PathBuf),
    /// So many functions were named, more than there are proxies.
    TooManyFunctions(usize),
    /// Ctrl-C or `SIGTERM`.
    Interrupted,
    /// A program is missing or failed.
    Program(program::Error),
    /// The laboratory could not be built.
    Namespace(namespace::Error),
    /// A proxy did not start, or ended.
    Daemon(daemon::Error),
    /// Files could not be written.
    Files(workdir::Error),
    /// nginx did not start, or ended.
    Webserver(webserver::Error),
    /// A wire could not be listened to.
    Wire(sniff::Error),
    /// Signals could not be blocked.
    Signals(io::Error),
    /// What is shown, or read from a child, could not be written or read.
    Output(io::Error),
    /// Something that should have happened did not.
    Late {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        after: Duration,
    },
    /// It all went through, and the result is not what it should be.
    Wrong(Finding),
}

/// A result that proves a mistake, in a proxy or in the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A wire, counted from 1, carried clear text where it should not, or the other way round.
    Text(usize),
    /// A wire, counted from 1, carried a TCP segment with a wrong checksum.
    Checksum(usize),
    /// curl received something else than nginx sent; SHA-256 of both.
    Content(String, String),
    /// nginx saw this address, which is not the client's.
    Address(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => f.write_str(
                "the demo makes network namespaces and needs root: run the same with sudo",
            ),
            Self::NoModule(path) => {
                let path = path.display();
                write!(
                    f,
                    "no module {path}; `cargo build --release` makes the stock ones, --modules DIR says where they are, and a file elsewhere is named with its folder: ./FILE:NAME"
                )
            }
            Self::NoFile(path) => write!(f, "no module {}", path.display()),
            Self::TooManyFunctions(count) => write!(
                f,
                "{count} functions for two proxies: give --function twice at most, first P1's"
            ),
            Self::Interrupted => f.write_str("interrupted; everything is tidied up"),
            Self::Program(error) => error.fmt(f),
            Self::Namespace(error) => error.fmt(f),
            Self::Daemon(error) => error.fmt(f),
            Self::Files(error) => error.fmt(f),
            Self::Webserver(error) => error.fmt(f),
            Self::Wire(error) => error.fmt(f),
            Self::Signals(_) => f.write_str("cannot watch for Ctrl-C"),
            Self::Output(_) => f.write_str("cannot show or read what happened"),
            Self::Late { what, after } => write!(f, "waited {} s for {what}", after.as_secs()),
            Self::Wrong(finding) => finding.fmt(f),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(wire) => write!(f, "wire {wire} carried the wrong text"),
            Self::Checksum(wire) => write!(f, "wire {wire} carried a wrong TCP checksum"),
            Self::Content(sent, received) => {
                write!(f, "nginx sent {sent}, curl received {received}")
            }
            Self::Address(address) => write!(f, "nginx saw the client as {address}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Program(error) => error.source(),
            Self::Namespace(error) => error.source(),
            Self::Daemon(error) => error.source(),
            Self::Files(error) => error.source(),
            Self::Webserver(error) => error.source(),
            Self::Wire(error) => error.source(),
            Self::Signals(source) | Self::Output(source) => Some(source),
            Self::NotRoot
            | Self::NoModule(_)
            | Self::NoFile(_)
            | Self::TooManyFunctions(_)
            | Self::Interrupted
            | Self::Late { .. }
            | Self::Wrong(_) => None,
        }
    }
}

impl From<Interrupted> for Error {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

impl From<program::Error> for Error {
    fn from(error: program::Error) -> Self {
        Self::Program(error)
    }
}

impl From<namespace::Error> for Error {
    fn from(error: namespace::Error) -> Self {
        Self::Namespace(error)
    }
}

impl From<daemon::Error> for Error {
    fn from(error: daemon::Error) -> Self {
        Self::Daemon(error)
    }
}

impl From<workdir::Error> for Error {
    fn from(error: workdir::Error) -> Self {
        Self::Files(error)
    }
}

impl From<webserver::Error> for Error {
    fn from(error: webserver::Error) -> Self {
        Self::Webserver(error)
    }
}

impl From<sniff::Error> for Error {
    fn from(error: sniff::Error) -> Self {
        Self::Wire(error)
    }
}
