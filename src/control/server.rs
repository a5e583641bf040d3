//! The daemon's end of the control socket.

use std::collections::VecDeque;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, fs, io, iter};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use crate::control::proto::{Error as ProtoError, MAX_LINE, Request};

/// How long an operator's program may take over its line.
const LINE: Duration = Duration::from_millis(500);
/// How long it may take to read its answer: the control thread waits that long.
const ANSWER: Duration = Duration::from_secs(2);
/// Operators listened to at once; whoever has been silent for longest makes room for one more.
const CROWD: usize = 128;
/// How long an operator is left alone who cannot be accepted: they keep the socket readable.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no control socket.
#[derive(Debug)]
pub enum Error {
    /// Another srv6pipes answers there.
    InUse(PathBuf),
    /// Something that is not a socket is there: not ours to remove.
    InTheWay(PathBuf),
    /// The kernel said no.
    Io(PathBuf, io::Error),
}

/// The listening control socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    /// A descriptor to be given up for an operator: when there are no others is when they ask.
    spare: Option<File>,
    /// Those whose line is not complete, the oldest first.
    asking: VecDeque<Operator>,
}

impl Server {
    /// Listens at `path`, for root only. A file that a killed daemon left there is replaced.
    pub fn bind(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::Io(path.to_owned(), error);
        remove_stale(path)?;
        let listener =
            UnixListener::bind(path).map_err(|error| match fs::symlink_metadata(path) {
                Ok(meta) if !meta.file_type().is_socket() => Error::InTheWay(path.to_owned()),
                _ => failed(error),
            })?;
        let server = Self {
            listener,
            path: path.to_owned(),
            spare: File::open("/dev/null").ok(),
            asking: VecDeque::new(),
        };
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        server.listener.set_nonblocking(true).map_err(failed)?;
        Ok(server)
    }

    /// What to wait for before the next [`requests`](Self::requests), and for how long at most.
    pub fn waiting(&self, now: Instant) -> (Vec<PollFd<'_>>, Option<Duration>) {
        let asking = self.asking.iter().map(|operator| operator.stream.as_fd());
        let fds = iter::once(self.listener.as_fd()).chain(asking);
        let first = self.asking.front();
        (
            fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect(),
            first.map(|operator| operator.until.saturating_duration_since(now)),
        )
    }

    /// All complete requests. Nobody is waited for; whoever asks nothing sensible is told so here.
    pub fn requests(&mut self, now: Instant) -> Vec<(Operator, Request)> {
        let mut requests = Vec::new();
        for operator in std::mem::take(&mut self.asking) {
            requests.extend(self.hear(operator, now));
        }
        self.prepare();
        loop {
            match self.accept() {
                Ok((stream, _)) => {
                    if let Some(operator) = Operator::new(stream, now) {
                        requests.extend(self.hear(operator, now));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return requests,
                Err(error) => {
                    log::debug!("accept on the control socket: {error}");
                    if requests.is_empty() {
                        std::thread::sleep(PAUSE);
                    }
                    return requests;
                }
            }
        }
    }

    /// To be called when operators have been answered: the descriptor that one of them had was the
    /// spare one, perhaps, and a flow will take it if we do not.
    pub fn prepare(&mut self) {
        if self.spare.is_none() {
            self.spare = File::open("/dev/null").ok();
        }
    }

    /// One more operator. When there are no descriptors, the spare one is given up for them, and
    /// then whoever has been silent for longest.
    fn accept(&mut self) -> io::Result<(UnixStream, SocketAddr)> {
        loop {
            match self.listener.accept() {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    // The kernel looks for a descriptor before it looks whether somebody waits.
                    if !self.somebody_waits() {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                    if self.spare.take().is_none() && self.asking.pop_front().is_none() {
                        return Err(error);
                    }
                }
                answer => return answer,
            }
        }
    }

    fn somebody_waits(&self) -> bool {
        let mut listener = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut listener, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    fn hear(&mut self, mut operator: Operator, now: Instant) -> Option<(Operator, Request)> {
        match operator.listen() {
            None if operator.until > now => {
                if self.asking.len() >= CROWD {
                    self.asking.pop_front();
                }
                self.asking.push_back(operator);
                return None;
            }
            None => operator.answer_error(ProtoError::Cut),
            Some(Ok(request)) => return Some((operator, request)),
            Some(Err(error)) => operator.answer_error(error),
        }
        None
    }
}

/// Removes the socket file that a killed daemon left at `path`, and says whether there was one.
/// Another kind of file is not ours to remove: `bind` will say that it is in the way.
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
    /// What has come of the line.
    line: Vec<u8>,
    until: Instant,
}

impl Operator {
    fn new(stream: UnixStream, now: Instant) -> Option<Self> {
        if let Err(error) = stream.set_nonblocking(true) {
            log::debug!("listen to an operator: {error}");
            return None;
        }
        Some(Self {
            stream,
            line: Vec::new(),
            until: now + LINE,
        })
    }

    /// What they ask, once that is complete.
    fn listen(&mut self) -> Option<Result<Request, ProtoError>> {
        loop {
            if let Some(request) = Request::parse(&self.line) {
                return Some(request);
            }
            let mut bytes = [0; MAX_LINE + 1];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Some(Err(ProtoError::Cut)),
                Ok(n) => self.line.extend(&bytes[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("read a request: {error}");
                    return Some(Err(ProtoError::Cut));
                }
            }
        }
    }

    /// The one answer they get.
    pub fn answer(self, answer: &Value) {
        let mut text = answer.to_string();
        text.push('\n');
        if let Err(error) = write_within(&self.stream, text.as_bytes(), ANSWER) {
            log::debug!("answer a request: {error}");
        }
    }

    fn answer_error(self, error: ProtoError) {
        self.answer(&json!({ "error": error.to_string() }));
    }
}

/// Writes everything, or fails after `patience`; a reader who takes a byte now and then does not
/// prolong it.
fn write_within(mut stream: &UnixStream, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
    let until = Instant::now() + patience;
    stream.set_nonblocking(false)?;
    while !bytes.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("remove {}: {error}", self.path.display());
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
            Self::InTheWay(path) => write!(
                f,
                "control socket {}: something that is not a socket is in the way; remove it, or \
                 choose another option control_socket",
                path.display()
            ),
            Self::Io(path, _) => write!(f, "control socket {}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse(_) | Self::InTheWay(_) => None,
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
            for (operator, request) in server.requests(Instant::now()) {
                operator.answer(&json!({ "asked": request.word() }));
            }
        }
        assert_eq!(asked.join().unwrap().unwrap(), json!({ "asked": "flows" }));
        drop(server);
        assert!(!path.exists());
    }

    #[test]
    fn whoever_is_silent_holds_up_nobody_and_is_told_in_the_end() {
        let path = path("silent");
        let mut server = Server::bind(&path).unwrap();
        let now = Instant::now();
        let mut silent: Vec<UnixStream> = (0..CROWD + 3)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        let mut asks = UnixStream::connect(&path).unwrap();
        asks.write_all(b"sta").unwrap();
        assert!(server.requests(now).is_empty());
        asks.write_all(b"tus\n").unwrap();
        let requests = server.requests(now);
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].1, Request::Status);
        assert_eq!(server.waiting(now).1, Some(LINE));
        assert!(server.requests(now + LINE).is_empty());
        assert_eq!(server.waiting(now).0.len(), 1);
        let mut said = String::new();
        silent.pop().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("ends before its newline"), "{said}");
        said.clear();
        silent.remove(0).read_to_string(&mut said).unwrap();
        assert_eq!(said, "", "the oldest had to make room");
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
        assert!(matches!(Server::bind(&path), Err(Error::InTheWay(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
    }
}
