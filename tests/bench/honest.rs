//! Honest clients in an open loop: so many new flows a second, each asking for 1 KB, and none of
//! them waits for another one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, SocketAddrV6, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use srv6pipes::demo::lab::SERVER;
use srv6pipes::demo::namespace::Namespace;

const REQUEST: &[u8] = b"GET /1000 HTTP/1.0\r\n\r\n";
/// Bytes of the object.
const OBJECT: usize = 1000;
/// How long a client waits for the whole answer. Two repetitions of a SYN fit in.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// For a thread that reads a kilobyte.
const STACK: usize = 128 << 10;

/// What became of all flows.
#[derive(Debug)]
pub struct Fates {
    /// From when a flow was to begin to its answer's first byte, ascending; who got no whole
    /// answer counts with [`PATIENCE`].
    times: Vec<Duration>,
    answered: usize,
}

impl Fates {
    /// Per cent of the flows that got a whole answer.
    pub fn success(&self) -> f64 {
        100.0 * self.answered as f64 / self.times.len() as f64
    }

    /// Milliseconds within which `part` per cent of all flows had their first byte.
    pub fn within(&self, part: usize) -> f64 {
        let index = (self.times.len() * part / 100).min(self.times.len() - 1);
        self.times[index].as_secs_f64() * 1000.0
    }
}

/// Opens `rate` flows a second for some `seconds`, and waits until each has its answer or no
/// patience any more.
pub fn visit(client: &Namespace, rate: u32, seconds: u32) -> Fates {
    let began = Instant::now();
    let flows = || {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..rate * seconds)
                .map(|n| {
                    let due = began + Duration::from_secs(1) / rate * n;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let builder = thread::Builder::new().stack_size(STACK);
                    builder.spawn_scoped(scope, move || flow(due)).unwrap()
                })
                .collect();
            let ended = threads.into_iter().map(|thread| thread.join().unwrap());
            ended.collect::<Vec<io::Result<Duration>>>()
        })
    };
    let fates = client.run(flows).unwrap();
    let answered = fates.iter().filter(|fate| fate.is_ok()).count();
    let patience = |fate: io::Result<Duration>| fate.unwrap_or(PATIENCE);
    let mut times: Vec<Duration> = fates.into_iter().map(patience).collect();
    times.sort();
    Fates { times, answered }
}

fn flow(due: Instant) -> io::Result<Duration> {
    let left = || {
        let left = PATIENCE.saturating_sub(due.elapsed());
        match left.is_zero() {
            true => Err(io::Error::from(ErrorKind::TimedOut)),
            false => Ok(left),
        }
    };
    let server = SocketAddr::from(SocketAddrV6::new(SERVER, 80, 0, 0));
    let mut stream = TcpStream::connect_timeout(&server, left()?)?;
    stream.write_all(REQUEST)?;
    stream.set_read_timeout(Some(left()?))?;
    let mut buffer = [0; 4096];
    let mut length = stream.read(&mut buffer)?;
    let first = due.elapsed();
    while length < buffer.len() {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    match length > OBJECT {
        true => Ok(first),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}
