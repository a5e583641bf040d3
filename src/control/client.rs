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
    /// No answer came in this time.
    Silent(PathBuf, Duration),
    /// The conversation broke.
    Io(PathBuf, io::Error),
    /// The answer is no JSON document.
    Garbled(PathBuf, serde_json::Error),
}

/// Asks the daemon that listens at `path`.
pub fn ask(path: &Path, request: Request) -> Result<Value, Error> {
    ask_within(path, request, PATIENCE)
}

fn ask_within(path: &Path, request: Request, patience: Duration) -> Result<Value, Error> {
    let mut stream =
        UnixStream::connect(path).map_err(|error| Error::NotRunning(path.to_owned(), error))?;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Silent(path.to_owned(), patience),
        _ => Error::Io(path.to_owned(), error),
    };
    stream.set_read_timeout(Some(patience)).map_err(failed)?;
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
            Self::Silent(path, patience) => write!(
                f,
                "the daemon at {} does not answer within {} s",
                path.display(),
                patience.as_secs()
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
            Self::Silent(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn whoever_does_not_answer_is_said_to() {
        let name = format!("srv6pipes-{}-mute.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _mute = UnixListener::bind(&path).unwrap();
        let error = ask_within(&path, Request::Status, Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, Error::Silent(..)), "{error:?}");
        let words = Error::Silent(path.clone(), PATIENCE).to_string();
        assert!(words.ends_with("does not answer within 30 s"), "{words}");
        std::fs::remove_file(&path).unwrap();
    }
}
