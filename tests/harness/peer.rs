//! The two ends of a flow, on ordinary `std` sockets: servers that echo, swallow or give, and a
//! client's connection.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use srv6pipes::demo::lab::SERVER;
use srv6pipes::demo::namespace::Namespace;

use super::PATIENCE;
use super::noise::{Noise, Sum, drain};

/// What a server does with every connection.
#[derive(Debug, Clone, Copy)]
pub enum Habit {
    /// Sends back what comes, then ends its side.
    Echo,
    /// Reads to the end, then ends its side.
    Swallow,
    /// Sends so many bytes of the noise of a seed and ends its side, then reads to the end.
    Give {
        /// How many.
        length: u64,
        /// Of which noise.
        seed: u64,
    },
}

/// What a server has seen of one connection, after its end.
#[derive(Debug)]
pub struct Report {
    /// The address the connection came from.
    pub client: SocketAddr,
    /// How many bytes came.
    pub received: u64,
    /// Their SHA-256.
    pub sum: Sum,
    /// How it ended: `Ok` is an orderly end of stream.
    pub end: io::Result<()>,
}

/// A server in a namespace, one thread per connection; dropping it ends its listening.
#[derive(Debug)]
pub struct Server {
    address: SocketAddrV6,
    reports: Mutex<Receiver<Report>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on the laboratory's server address, on `port`; when it returns, it listens.
    pub fn start(namespace: &Namespace, port: u16, habit: Habit) -> Self {
        Self::start_at(namespace, SocketAddrV6::new(SERVER, port, 0, 0), habit)
    }

    /// As [`start`](Self::start), on any address of `namespace`.
    pub fn start_at(namespace: &Namespace, address: SocketAddrV6, habit: Habit) -> Self {
        let listener = namespace
            .run(|| TcpListener::bind(address))
            .unwrap()
            .unwrap();
        listener.set_nonblocking(true).unwrap();
        let (sender, reports) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || listen(&listener, habit, &sender, &stop)
        });
        Self {
            address,
            reports: Mutex::new(reports),
            stop,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddrV6 {
        self.address
    }

    /// The next connection that has ended.
    pub fn report(&self) -> Report {
        let reports = self.reports.lock().unwrap();
        reports
            .recv_timeout(PATIENCE)
            .expect("the server saw no connection end")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A connection from inside `namespace`. Whatever it waits for fails after [`PATIENCE`].
pub fn connect(namespace: &Namespace, server: SocketAddrV6) -> io::Result<TcpStream> {
    let stream = namespace
        .run(|| TcpStream::connect_timeout(&server.into(), PATIENCE))
        .unwrap()?;
    impatient(&stream)?;
    Ok(stream)
}

/// Sends `bytes` and end of stream from a second thread while it reads what comes back, to the
/// end.
pub fn exchange(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    thread::scope(|scope| {
        let sending = scope.spawn(move || {
            stream.write_all(bytes)?;
            stream.shutdown(Shutdown::Write)
        });
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        sending.join().unwrap()?;
        read.map(|_| answer)
    })
}

/// Reads until the connection breaks, which must be by a reset.
pub fn assert_reset(mut stream: &TcpStream) {
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// As [`assert_reset`], for a reset that may come right behind the SYN-ACK.
pub fn assert_reset_soon(connected: io::Result<TcpStream>) {
    match connected {
        Ok(stream) => assert_reset(&stream),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

fn impatient(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

fn listen(listener: &TcpListener, habit: Habit, reports: &Sender<Report>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, client)) => {
                let reports = reports.clone();
                thread::spawn(move || {
                    // The test may be over and its receiver gone.
                    let _unheard = reports.send(serve(&stream, client, habit));
                });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut wanted = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
                let _again = poll(&mut wanted, PollTimeout::from(20_u8));
            }
            Err(error) => panic!("accept: {error}"),
        }
    }
}

fn serve(stream: &TcpStream, client: SocketAddr, habit: Habit) -> Report {
    let mut heard = Tee {
        stream,
        back: matches!(habit, Habit::Echo),
    };
    let given = stream
        .set_nonblocking(false)
        .and_then(|()| impatient(stream))
        .and_then(|()| {
            if let Habit::Give { length, seed } = habit {
                io::copy(&mut Noise::new(seed).take(length), &mut { stream })?;
                stream.shutdown(Shutdown::Write)?;
            }
            Ok(())
        });
    let (received, sum, read) = drain(&mut heard);
    // After a giver's end of stream, or when all is over: nothing is left to say.
    let _closed = stream.shutdown(Shutdown::Write);
    Report {
        client,
        received,
        sum,
        end: given.and(read),
    }
}

/// A stream that can send back what it reads.
struct Tee<'a> {
    stream: &'a TcpStream,
    back: bool,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        if self.back {
            self.stream.write_all(&buffer[..n])?;
        }
        Ok(n)
    }
}
