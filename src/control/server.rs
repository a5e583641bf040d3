//! The daemon's end of the control socket.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, fs, io};

use serde_json::{Value, json};

use crate::control::proto::{Error as ProtoError, MAX_LINE, Request};

/// How long an operator's program may take over its line: the control thread waits that long.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long an operator is left alone who cannot be accepted: they keep the socket readable.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no control socket.
#[derive(Debug)]
pub enum Error {
    /// Another srv6pipes answers there.
    InUse(PathBuf),
    /// The kernel said no.
    Io(PathBuf, io::Error),
}

/// The listening control socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    /// A descriptor to be given up for an operator: when there are no others is when they ask.
    spare: Option<File>,
    path: PathBuf,
}

impl Server {
    /// Listens at `path`, for root only. A file that a killed daemon left there is replaced.
    pub fn bind(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::Io(path.to_owned(), error);
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        let server = Self {
            listener,
            spare: File::open("/dev/null").ok(),
            path: path.to_owned(),
        };
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        server.listener.set_nonblocking(true).map_err(failed)?;
        Ok(server)
    }

    /// To be called when an operator is gone: makes sure of a descriptor for the next.
    pub fn prepare(&mut self) {
        if self.spare.is_none() {
            self.spare = File::open("/dev/null").ok();
        }
    }

    /// One operator who waits, if there is one.
    pub fn accept(&mut self) -> Option<Operator> {
        let mut accepted = self.listener.accept();
        if let Err(error) = &accepted
            && matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
        {
            self.spare = None;
            accepted = self.listener.accept();
        }
        match accepted.and_then(|(stream, _)| Operator::new(stream)) {
            Ok(operator) => Some(operator),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => {
                log::debug!("accept on the control socket: {error}");
                std::thread::sleep(PAUSE);
                None
            }
        }
    }
}

/// Removes the socket file that a killed daemon left at `path`, and says whether there was one.
/// Another kind of file is not ours to remove: bind will say that something is in the way.
pub fn remove_stale(path: &Path) -> Result<bool, Error> {
    if UnixStream::connect(path).is_ok() {
        return Err(Error::InUse(path.to_owned()));
    }
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => fs::remove_file(path)
            .map(|()| true)
            .map_err(|error| Error::Io(path.to_owned(), error)),
        _ => Ok(false),
    }
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Operator {
    stream: UnixStream,
}

impl Operator {
    fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }

    /// What they ask; whoever asks nothing sensible is told so here.
    pub fn request(&mut self) -> Option<Request> {
        match read_request(&mut self.stream) {
            Ok(Ok(request)) => Some(request),
            Ok(Err(error)) => {
                self.answer(&json!({ "error": error.to_string() }));
                None
            }
            Err(error) => {
                log::debug!("read a request: {error}");
                None
            }
        }
    }

    /// The one answer they get.
    pub fn answer(&mut self, answer: &Value) {
        let mut text = answer.to_string();
        text.push('\n');
        if let Err(error) = self.stream.write_all(text.as_bytes()) {
            log::debug!("answer a request: {error}");
        }
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("remove {}: {error}", self.path.display());
        }
    }
}

fn read_request(stream: &mut UnixStream) -> io::Result<Result<Request, ProtoError>> {
    let mut line = [0; MAX_LINE + 1];
    let mut length = 0;
    loop {
        if let Some(request) = Request::parse(&line[..length]) {
            return Ok(request);
        }
        match stream.read(&mut line[length..])? {
            0 => return Ok(Err(ProtoError::Cut)),
            n => length += n,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(
                f,
                "another srv6pipes answers at {}; stop it, or give this one its own \
                 option control_socket",
                path.display()
            ),
            Self::Io(path, _) => write!(f, "control socket {}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse(_) => None,
            Self::Io(_, error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::client;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("srv6pipes-{}-{name}.sock", std::process::id()))
    }

    #[test]
    fn a_request_gets_its_answer() {
        let path = path("answer");
        let mut server = Server::bind(&path).unwrap();
        let asked = std::thread::spawn({
            let path = path.clone();
            move || client::ask(&path, Request::Flows)
        });
        while !asked.is_finished() {
            if let Some(mut operator) = server.accept() {
                let request = operator.request().unwrap();
                operator.answer(&json!({ "asked": request.word() }));
            }
        }
        assert_eq!(asked.join().unwrap().unwrap(), json!({ "asked": "flows" }));
        drop(server);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_daemon_is_told_and_a_dead_one_replaced() {
        let path = path("second");
        let server = Server::bind(&path).unwrap();
        assert!(matches!(Server::bind(&path), Err(Error::InUse(_))));
        let Server { listener, .. } = &server;
        let copy = listener.try_clone().unwrap();
        std::mem::forget(server);
        drop(copy);
        // The forgotten listener still listens; what a killed daemon leaves is a dead file.
        fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Server::bind(&path).unwrap());
    }

    #[test]
    fn a_file_in_the_way_stays() {
        let path = path("file");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Server::bind(&path), Err(Error::Io(..))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
    }
}
