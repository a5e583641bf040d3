//! Both ends of one flow in the test's own hands: to speak, to hold still, to break off.
//!
//! `peer` has servers with habits; here the test says itself what each end does, and when.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sha2::{Digest, Sha256};
use socket2::SockRef;

use srv6pipes::demo::lab::SERVER;
use srv6pipes::demo::namespace::Namespace;

use super::noise::{Noise, Sum, drain};
use super::{PATIENCE, wait_for};

/// Bytes of one write; a multiple of eight, see [`Noise`].
const PIECE: usize = 64 << 10;
/// So long nothing may have been taken for a stream to count as jammed.
const JAM: Duration = Duration::from_millis(300);

/// A listener that accepts when the test says so.
#[derive(Debug)]
pub struct Host {
    listener: TcpListener,
    address: SocketAddrV6,
}

impl Host {
    /// Listens on the laboratory's server address.
    pub fn listen(namespace: &Namespace, port: u16) -> Self {
        let address = SocketAddrV6::new(SERVER, port, 0, 0);
        let listener = namespace
            .run(|| TcpListener::bind(address))
            .unwrap()
            .unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddrV6 {
        self.address
    }

    /// The next connection, and where it says it comes from.
    pub fn accept(&self) -> (TcpStream, SocketAddr) {
        wait_for("a connection at the server", || {
            match self.listener.accept() {
                Ok((stream, client)) => {
                    stream.set_nonblocking(false).unwrap();
                    impatient(&stream);
                    Some((stream, client))
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(error) => panic!("accept: {error}"),
            }
        })
    }

    /// Whether nobody waits to be accepted.
    pub fn is_alone(&self) -> bool {
        let mut wanted = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut wanted, PollTimeout::ZERO).unwrap() == 0
    }

    /// A flow from `namespace`, both ends of it.
    pub fn meet(&self, namespace: &Namespace) -> Ends {
        let client = super::peer::connect(namespace, self.address).unwrap();
        let (server, from) = self.accept();
        Ends {
            client,
            server,
            from,
        }
    }
}

/// The two sockets of one flow, blocking. Whatever they wait for fails after [`PATIENCE`].
#[derive(Debug)]
pub struct Ends {
    /// Who opened it.
    pub client: TcpStream,
    /// Who accepted it.
    pub server: TcpStream,
    /// Who the server believes to speak with.
    pub from: SocketAddr,
}

fn impatient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
}

/// What one end said and heard, to the end of both directions.
#[derive(Debug, PartialEq, Eq)]
pub struct Trade {
    /// SHA-256 of what it sent.
    pub said: Sum,
    /// How much it heard.
    pub length: u64,
    /// SHA-256 of that.
    pub heard: Sum,
}

/// Sends `length` bytes of the noise of `seed` and end of stream, while it reads to the end.
pub fn trade(stream: &TcpStream, seed: u64, length: u64) -> io::Result<Trade> {
    trade_all(stream, Noise::new(seed).take(length))
}

/// Sends all that `source` gives and end of stream, while it reads to the end.
pub fn trade_all(stream: &TcpStream, source: impl Read + Send) -> io::Result<Trade> {
    thread::scope(|scope| {
        let saying = scope.spawn(move || say_all(stream, source));
        let (length, heard, end) = drain(&mut &*stream);
        let said = saying.join().unwrap()?;
        end.map(|()| Trade {
            said,
            length,
            heard,
        })
    })
}

/// Sends `length` bytes of the noise of `seed` and end of stream; the SHA-256 of what it sent.
pub fn say(stream: &TcpStream, seed: u64, length: u64) -> io::Result<Sum> {
    say_all(stream, Noise::new(seed).take(length))
}

/// Sends all that `source` gives and end of stream; the SHA-256 of what it sent.
pub fn say_all(mut stream: &TcpStream, mut source: impl Read) -> io::Result<Sum> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        let n = source.read(&mut piece)?;
        if n == 0 {
            break;
        }
        hasher.update(&piece[..n]);
        stream.write_all(&piece[..n])?;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(hasher.finalize().into())
}

/// Exactly `length` bytes.
pub fn hear(mut stream: &TcpStream, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// All bytes to the end of the stream.
pub fn hear_out(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Closes with a reset, whatever was on its way (`SO_LINGER` of no time, socket(7)).
pub fn abort(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Writes noise until nothing has been taken for a while: every buffer up to the other end, which
/// does not read, is full. How much was written.
pub fn jam(mut stream: &TcpStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let piece = super::noise::bytes(7, PIECE);
    let mut written = 0;
    let mut last = Instant::now();
    let deadline = last + PATIENCE;
    while last.elapsed() < JAM {
        assert!(Instant::now() < deadline, "{written} bytes, and no jam");
        match stream.write(&piece) {
            Ok(n) => {
                written += n;
                last = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("write: {error}"),
        }
    }
    stream.set_nonblocking(false).unwrap();
    written
}

/// The error that reading ends with, after whatever bytes are still to come.
///
/// # Panics
/// When the stream ends in order.
pub fn breaks(stream: &TcpStream) -> ErrorKind {
    let (length, _, end) = drain(&mut &*stream);
    match end {
        Err(error) => error.kind(),
        Ok(()) => panic!("an orderly end after {length} bytes"),
    }
}

/// Bytes that [`warm`] sends each way: more than a proxy copies before it splices.
pub const WARM: usize = 140_000;

/// Says something both ways: the flow has been used then, and what follows goes by splice where no
/// function wants it.
pub fn warm(ends: &Ends) {
    let bytes = super::noise::bytes(6, WARM);
    for (mut from, to) in [(&ends.client, &ends.server), (&ends.server, &ends.client)] {
        thread::scope(|scope| {
            scope.spawn(|| from.write_all(&bytes).unwrap());
            assert!(hear(to, WARM).unwrap() == bytes);
        });
    }
}
