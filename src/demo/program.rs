//! Other people's programs that the demo and the tests use, and the Debian package of each.
//!
//! The daemon speaks netlink itself; the laboratory around it uses stock iproute2 on purpose,
//! because that is what a reader would type.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};

/// Program and the Debian package that brings it.
const PACKAGES: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nginx", "nginx-light"),
    ("sha256sum", "coreutils"),
];

/// Looked through after `PATH`, which has no `sbin` for everybody, not even for root after `su`.
const SYSTEM_DIRS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Why a program did not do what it was asked.
#[derive(Debug)]
pub enum Error {
    /// Not installed; the names, all at once.
    Missing(Vec<String>),
    /// The kernel would not start it.
    Start {
        /// The words of the command.
        command: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// It ran, and said no.
    Failed {
        /// The words of the command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(programs) => {
                let packages: Vec<_> = programs.iter().map(|p| package(p)).collect();
                write!(
                    f,
                    "missing: {}; on Debian: apt-get install {}",
                    programs.join(", "),
                    packages.join(" ")
                )
            }
            Self::Start { command, .. } => write!(f, "cannot start `{command}`"),
            Self::Failed {
                command,
                status,
                stderr,
            } => write!(f, "`{command}` ended with {status}: {}", stderr.trim_end()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { source, .. } => Some(source),
            Self::Missing(_) | Self::Failed { .. } => None,
        }
    }
}

/// The Debian package of `program`; a program that is not in the table names itself.
pub fn package(program: &str) -> &str {
    PACKAGES
        .iter()
        .find(|(name, _)| *name == program)
        .map_or(program, |(_, package)| package)
}

/// Asks for all `programs` before any is used, so that one run names everything that lacks.
///
/// # Errors
/// [`Error::Missing`] with every program that is nowhere on the path.
pub fn require(programs: &[&str]) -> Result<(), Error> {
    let path = path();
    let missing: Vec<_> = programs
        .iter()
        .filter(|program| !std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
        .map(|program| (*program).to_owned())
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::Missing(missing))
    }
}

/// A command that is looked for where [`require`] looks, and looks there for others in turn.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", path());
    command
}

fn path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(SYSTEM_DIRS.iter().map(PathBuf::from));
    // Only a directory with a colon in its name cannot be joined, and it came out of a split.
    std::env::join_paths(dirs).unwrap_or(path)
}

/// The words of a command, for error texts.
pub fn words(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The error for a `command` that did not start: names the package when that is the reason.
pub fn not_started(command: &Command, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::NotFound {
        let program = command.get_program().to_string_lossy().into_owned();
        return Error::Missing(vec![program]);
    }
    Error::Start {
        command: words(command),
        source,
    }
}

/// Runs `command` to its end and returns what it wrote to standard output.
///
/// # Errors
/// When it is missing, cannot be started, or exits with anything but 0.
pub fn run(command: &mut Command) -> Result<Vec<u8>, Error> {
    run_with_input(command, "")
}

/// Like [`run`], with `input` as its standard input.
///
/// # Errors
/// As [`run`].
pub fn run_with_input(command: &mut Command, input: &str) -> Result<Vec<u8>, Error> {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|source| not_started(command, source))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input says why on stderr; that is the better error.
        let _unread = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|source| Error::Start {
        command: words(command),
        source,
    })?;
    checked(command, output)
}

fn checked(command: &Command, output: Output) -> Result<Vec<u8>, Error> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Failed {
        command: words(command),
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let error = Error::Missing(vec!["ip".to_owned(), "nginx".to_owned()]);
        assert_eq!(
            error.to_string(),
            "missing: ip, nginx; on Debian: apt-get install iproute2 nginx-light"
        );
        let error = require(&["sh", "no-such-program"]).unwrap_err();
        assert!(matches!(error, Error::Missing(names) if names == ["no-such-program"]));
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert!(matches!(error, Error::Missing(names) if names == ["no-such-program"]));
    }

    #[test]
    fn a_failure_carries_the_words_and_the_answer() {
        let mut command = Command::new("sh");
        command.args(["-c", "cat >&2; exit 3"]);
        let error = run_with_input(&mut command, "no such prefix\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c cat >&2; exit 3` ended with exit status: 3: no such prefix"
        );
    }
}
