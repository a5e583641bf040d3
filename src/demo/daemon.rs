//! The real daemon, run in a namespace: `srv6pipes run -c FILE` until it answers
//! `srv6pipes status -c FILE`, and a tidy end.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::demo::namespace::Namespace;
use crate::demo::program;

/// How long a daemon may take to undo its set-up before it is killed.
const FAREWELL: Duration = Duration::from_secs(20);
/// How often a process is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A running daemon. Dropping it stops it, by `SIGTERM` first.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
}

/// What went wrong with a daemon.
#[derive(Debug)]
pub enum Error {
    /// It could not be started.
    Program(program::Error),
    /// The log could not be made.
    Log {
        /// Its path.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// It could not be waited for or signalled.
    Process(io::Error),
    /// It ended although nobody told it to.
    Ended {
        /// Its configuration.
        config: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// All it had logged.
        log: String,
    },
    /// It was told to end and did not.
    Stubborn {
        /// Its configuration.
        config: PathBuf,
        /// All it had logged.
        log: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(error) => error.fmt(f),
            Self::Log { path, .. } => write!(f, "cannot make the log {}", path.display()),
            Self::Process(_) => f.write_str("cannot wait for the daemon"),
            Self::Ended {
                config,
                status,
                log,
            } => {
                let config = config.display();
                write!(
                    f,
                    "`srv6pipes run -c {config}` ended with {status}, its log:\n{log}"
                )
            }
            Self::Stubborn { config, log } => {
                let config = config.display();
                let seconds = FAREWELL.as_secs();
                write!(
                    f,
                    "`srv6pipes run -c {config}` did not end within {seconds} s of SIGTERM, its log:\n{log}"
                )
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Program(error) => error.source(),
            Self::Log { source, .. } | Self::Process(source) => Some(source),
            Self::Ended { .. } | Self::Stubborn { .. } => None,
        }
    }
}

impl Daemon {
    /// Starts `program` with the configuration `config` in `namespace`; what it says goes to
    /// `config` with the ending `.log`. It is not ready yet: ask [`is_ready`](Self::is_ready).
    ///
    /// # Errors
    /// When the log cannot be made or the program cannot be started.
    pub fn start(program: &Path, namespace: &Namespace, config: &Path) -> Result<Self, Error> {
        let log = config.with_extension("log");
        let output = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) = output.map_err(|source| Error::Log {
            path: log.clone(),
            source,
        })?;
        let mut command = namespace.command(program);
        command.arg("run").arg("-c").arg(config);
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = command.spawn().map_err(|source| {
            let error = program::not_started(&command, source);
            Error::Program(error)
        })?;
        Ok(Self {
            child,
            program: program.to_owned(),
            config: config.to_owned(),
            log,
        })
    }

    /// Whether it answers on its control socket.
    ///
    /// # Errors
    /// When it has ended, with its log.
    pub fn is_ready(&mut self) -> Result<bool, Error> {
        if let Some(status) = self.child.try_wait().map_err(Error::Process)? {
            return Err(Error::Ended {
                config: self.config.clone(),
                status,
                log: self.log(),
            });
        }
        let mut status = self.control("status");
        status
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let answer = status.status().map_err(|source| {
            let error = program::not_started(&status, source);
            Error::Program(error)
        })?;
        Ok(answer.success())
    }

    /// `srv6pipes WORD -c FILE`, for the daemon's own configuration; the control socket is a
    /// file, so it runs outside the namespace.
    pub fn control(&self, word: &str) -> Command {
        let mut command = program::command(&self.program);
        command.arg(word).arg("-c").arg(&self.config);
        command
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it has logged so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_else(|error| error.to_string().into());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends `signal`.
    ///
    /// # Errors
    /// When the process has been waited for already.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other);
        pid.and_then(|pid| kill(Pid::from_raw(pid), signal).map_err(io::Error::from))
            .map_err(Error::Process)
    }

    /// Asks it to end by `SIGTERM` and waits until it has undone its set-up.
    ///
    /// # Errors
    /// When it needs more than twenty seconds; it is then killed.
    pub fn stop(&mut self) -> Result<ExitStatus, Error> {
        if let Some(status) = self.child.try_wait().map_err(Error::Process)? {
            return Ok(status);
        }
        self.signal(Signal::SIGTERM)?;
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().map_err(Error::Process)? {
                return Ok(status);
            }
            std::thread::sleep(LOOK);
        }
        self.kill()?;
        Err(Error::Stubborn {
            config: self.config.clone(),
            log: self.log(),
        })
    }

    /// Ends it by `SIGKILL`: its set-up stays in the kernel.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus, Error> {
        self.child.kill().map_err(Error::Process)?;
        self.child.wait().map_err(Error::Process)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _told_by_stop = self.stop();
    }
}
