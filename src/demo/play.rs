//! What the demo shows on its chain: a small file, for people to look at every wire, and a large
//! one, to compare and to measure.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::demo::daemon::Daemon;
use crate::demo::error::{Error, Finding};
use crate::demo::function::Function;
use crate::demo::interrupt::Interrupt;
use crate::demo::lab::{self, CLIENT, Lab};
use crate::demo::picture::{self, Wire};
use crate::demo::sniff::Tap;
use crate::demo::webserver::{ADDRESS, Webserver};
use crate::demo::{FUNCTION, fetch, program, say, until};

/// What the small file says.
const HELLO: &str = "Hello from the far end of the pipe.\n";
/// Length of the large file.
const LARGE: u64 = 64 << 20;
/// Lines shown of what a wire carries each way.
const ROWS: usize = 1;
/// The same where we do not know what there is to see.
const MORE_ROWS: usize = 4;

/// The chain, with everything on it running.
pub struct Stage<'a> {
    /// Who is where.
    pub lab: &'a Lab,
    /// At the server.
    pub webserver: &'a Webserver,
    /// Ends it early.
    pub interrupt: &'a Interrupt,
}

impl Stage<'_> {
    /// Both proxies run `xor`, and everything comes out as it must.
    ///
    /// # Errors
    /// When it does not, or somebody interrupts.
    pub fn rehearsed(&self, cast: &[Function; 2]) -> Result<(), Error> {
        self.begin(cast)?;
        let wires = self.look()?;
        draw(&wires, ROWS)?;
        if let Some(finding) = judge(&wires) {
            return Err(Error::Wrong(finding));
        }
        let (sent, received) = self.measure()?;
        if sent != received {
            return Err(Error::Wrong(Finding::Content(sent, received)));
        }
        self.end(2)
    }

    /// The proxies run what we do not know: all that must be is that curl and nginx understand
    /// each other.
    ///
    /// # Errors
    /// When they do not, or somebody interrupts.
    pub fn improvised(&self, cast: &[Function; 2], daemons: &[Daemon]) -> Result<(), Error> {
        self.begin(cast)?;
        draw(&self.look()?, MORE_ROWS)?;
        let url = format!("http://{ADDRESS}/hello.txt");
        let body = fetch::body(self.lab.client(), &url, self.interrupt)?;
        say(&format!(
            "nginx sent    {HELLO:?}\ncurl received {body:?}\n"
        ))?;
        let (sent, received) = self.measure()?;
        say(if sent == received {
            "  Byte for byte what nginx sent."
        } else {
            "  Not what nginx sent: the functions have changed it."
        })?;
        self.end(3)?;
        for (daemon, i) in daemons.iter().zip(1..) {
            let status = program::run(&mut daemon.control("status"))?;
            let status = String::from_utf8_lossy(&status).into_owned();
            say(&format!("P{i} counted:\n{}", own_lines(&status)))?;
        }
        Ok(())
    }

    /// The path, and the route that makes the client take it.
    fn begin(&self, cast: &[Function; 2]) -> Result<(), Error> {
        let [p1, p2] = cast;
        let segments = [(1, p1), (2, p2)];
        let segments = segments.map(|(i, function)| lab::sid(i, FUNCTION, function.argument));
        self.lab.steer(&segments)?;
        say(&picture::path())?;
        say(&format!("P1 runs {p1}, P2 runs {p2}."))?;
        say(&format!(
            "The client's only SRv6 configuration is one route:\n  ip -6 route add {}/128 encap seg6 mode inline segs {} ...\n",
            ADDRESS.ip(),
            segments.map(|sid| sid.to_string()).join(",")
        ))?;
        fs::write(self.webserver.root().join("hello.txt"), HELLO).map_err(Error::Output)
    }

    /// Fetches the small file with a tap on every wire.
    fn look(&self) -> Result<Vec<Wire>, Error> {
        let taps = (0..=self.lab.proxies())
            .map(|k| {
                let (namespace, device) = self.lab.wire(k);
                Tap::start(namespace, &device)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let url = format!("http://{ADDRESS}/hello.txt");
        fetch::fetch(self.lab.client(), &url, self.interrupt)?;
        let mut wires = Vec::new();
        until(
            self.interrupt,
            "the taps to hear the request and its answer",
            || {
                wires = taps
                    .iter()
                    .filter_map(|tap| tap.frames(|frames| Wire::new(frames, ADDRESS.port())))
                    .collect();
                Ok::<_, Error>(wires.len() == taps.len())
            },
        )?;
        let wrong = |tap: &Tap| tap.frames(|frames| frames.iter().any(|frame| !frame.checksum_ok));
        match taps.iter().position(wrong) {
            Some(k) => Err(Error::Wrong(Finding::Checksum(k + 1))),
            None => Ok(wires),
        }
    }

    /// Fetches the large file; SHA-256 of what was sent and of what was received.
    fn measure(&self) -> Result<(String, String), Error> {
        say(&format!(
            "Sending {} MiB of noise through both proxies.",
            LARGE >> 20
        ))?;
        let large = self.webserver.root().join("large.bin");
        noise(&large)?;
        let sent = fetch::sha256(&large)?;
        let url = format!("http://{ADDRESS}/large.bin");
        let fetched = fetch::fetch(self.lab.client(), &url, self.interrupt)?;
        say(&format!("  SHA-256 at the server  {sent}"))?;
        say(&format!("  SHA-256 curl received  {}", fetched.sha256))?;
        say(&format!(
            "  {} bytes, {:.0} Mbit/s (checksums in software, everything on this machine)",
            fetched.bytes,
            fetched.speed * 8e-6
        ))?;
        Ok((sent, fetched.sha256))
    }

    /// Whose `requests` nginx thinks they were.
    fn end(&self, requests: usize) -> Result<(), Error> {
        let mut clients = Vec::new();
        until(self.interrupt, "nginx to log the requests", || {
            clients = self.webserver.clients().map_err(Error::Output)?;
            Ok::<_, Error>(clients.len() >= requests)
        })?;
        if let Some(stranger) = clients.iter().find(|client| **client != CLIENT.to_string()) {
            return Err(Error::Wrong(Finding::Address(stranger.clone())));
        }
        say(&format!(
            "  nginx saw the client as {CLIENT}: the proxies kept its address.\n"
        ))
    }
}

fn draw(wires: &[Wire], rows: usize) -> Result<(), Error> {
    let mut wires = wires.iter().zip(1..);
    wires.try_for_each(|(wire, k)| say(&format!("wire {k}:\n{}", wire.draw(rows))))
}

/// The outer wires carry HTTP, the middle one does not.
fn judge(wires: &[Wire]) -> Option<Finding> {
    let clear =
        |wire: &Wire| wire.request.starts_with(b"GET ") && wire.answer.starts_with(b"HTTP/");
    let wrong = |(k, wire): (usize, &Wire)| clear(wire) == (k == 1);
    wires
        .iter()
        .enumerate()
        .position(wrong)
        .map(|k| Finding::Text(k + 1))
}

/// What `status` says of the functions, and of nothing else.
fn own_lines(status: &str) -> String {
    // A function's own counters stand below it, further to the right than the proxy's.
    let own = |line: &&str| line.starts_with("function ") || line.starts_with("             ");
    let lines: Vec<_> = status.lines().filter(own).collect();
    format!("  {}\n", lines.join("\n  "))
}

/// Random bytes that neither the kernel nor nginx can have seen before.
fn noise(path: &Path) -> Result<(), Error> {
    let copied = File::open("/dev/urandom")
        .and_then(|random| io::copy(&mut random.take(LARGE), &mut File::create(path)?));
    copied.map(drop).map_err(Error::Output)
}
