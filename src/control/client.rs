//! The operator's end of the control socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use serde_json::Value;

use crate::control::proto::Request;

/// How long the daemon may take: a reload loads modules.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    /// Nobody listens there.
    NotRunning(PathBuf, io::Error),
    /// The conversation broke.
    Io(PathBuf, io::Error),
    /// The answer is no JSON document.
    Garbled(PathBuf, serde_json::Error),
}

/// Asks the daemon that listens at `path`.
pub fn ask(path: &Path, request: Request) -> Result<Value, Error> {
    let mut stream =
        UnixStream::connect(path).map_err(|error| Error::NotRunning(path.to_owned(), error))?;
    let failed = |error| Error::Io(path.to_owned(), error);
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream
        .write_all(format!("{}\n", request.word()).as_bytes())
        .map_err(failed)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| Error::Garbled(path.to_owned(), error))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(path, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                write!(f, "only root may ask the daemon at {}", path.display())
            }
            Self::NotRunning(path, _) => write!(
                f,
                "no srv6pipes runs with control socket {} (start one with `srv6pipes run`)",
                path.display()
            ),
            Self::Io(path, _) => write!(f, "ask the daemon at {}", path.display()),
            Self::Garbled(path, _) => write!(f, "the answer of the daemon at {}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotRunning(_, error) | Self::Io(_, error) => Some(error),
            Self::Garbled(_, error) => Some(error),
        }
    }
}
