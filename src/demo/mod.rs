//! `srv6pipes demo`: the chain of the thesis's figure 3.1 on this machine, with nothing but this
//! binary and stock programs. A flow goes client, P1, P2, server; both proxies run `xor`, so the
//! middle wire carries gibberish and the outer two the clear text.
//!
//! ```text
//!  run ─▶ lab (namespaces, veths, routes) ─▶ daemon ×2, webserver ─▶ fetch + sniff ─▶ picture
//! ```
//!
//! The laboratory is here and not in tests/ because both use it: see [`lab`].

pub mod daemon;
pub mod error;
pub mod fetch;
pub mod frame;
pub mod interrupt;
pub mod lab;
pub mod namespace;
pub mod picture;
pub mod program;
pub mod sniff;
pub mod webserver;
pub mod workdir;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use crate::demo::daemon::Daemon;
use crate::demo::error::Finding;
use crate::demo::interrupt::Interrupt;
use crate::demo::lab::{CLIENT, Lab};
use crate::demo::picture::Wire;
use crate::demo::sniff::Tap;
use crate::demo::webserver::{ADDRESS, Webserver};
use crate::demo::workdir::Workdir;

pub use crate::demo::error::Error;

/// Begins the names of our namespaces and of our folder.
const PREFIX: &str = "srv6p-demo";
/// Which function of the locators is `xor`.
const XOR: u16 = 1;
/// The argument of both xor functions.
const KEY: u32 = 0x2a;
/// Length of the large file.
const LARGE: u64 = 64 << 20;
/// How long anything but the transfer may take; a loaded small machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);

/// What `srv6pipes demo` can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Where `libxor.so` is; without it, beside the running program.
    pub modules: Option<PathBuf>,
}

/// Runs the demo and prints what happens to standard output.
///
/// # Errors
/// When this is not root, something is missing, a transfer shows a mistake, or somebody
/// interrupts. Nothing stays behind in any case.
pub fn run(options: &Options) -> Result<(), Error> {
    if !geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let interrupt = Interrupt::block().map_err(|errno| Error::Signals(errno.into()))?;
    let result = on_stage(options, &interrupt);
    if result.is_ok() {
        say("Done; namespaces, daemons and files are gone again.")?;
    }
    result
}

/// Everything it makes is gone when it returns; what was made last goes first.
fn on_stage(options: &Options, interrupt: &Interrupt) -> Result<(), Error> {
    program::require(&["ip", "nft", "ethtool", "curl", "nginx", "sha256sum"])?;
    let program = std::env::current_exe().map_err(Error::Output)?;
    let folder = match &options.modules {
        Some(folder) => folder.clone(),
        None => program.parent().unwrap_or(Path::new("/")).to_owned(),
    };
    let module = folder.join("libxor.so");
    if !module.is_file() {
        return Err(Error::NoModule(module));
    }

    say("Building the network: client, P1, P2 and server, one namespace each.")?;
    let workdir = Workdir::new(PREFIX)?;
    let modules = workdir.copy_modules(&folder, |_| true)?;
    let lab = Lab::new(
        PREFIX,
        &lab::Options {
            proxies: 2,
            ..lab::Options::default()
        },
    )?;
    say("Starting nginx at the server and srv6pipes on both proxies.")?;
    let mut webserver = Webserver::start(lab.server(), &workdir)?;
    let mut daemons = Vec::new();
    for i in 1..=lab.proxies() {
        let config = workdir.write(&format!("p{i}.conf"), &configuration(&lab, i, &modules))?;
        daemons.push(Daemon::start(&program, lab.proxy(i), &config)?);
    }
    let result = until(interrupt, "nginx to listen", || {
        webserver.is_ready(lab.server())
    })
    .and_then(|()| {
        daemons.iter_mut().try_for_each(|daemon| {
            until(interrupt, "a proxy to answer `status`", || {
                daemon.is_ready()
            })
        })
    })
    .and_then(|()| play(&lab, &webserver, interrupt));
    match &result {
        Ok(()) => daemons
            .iter_mut()
            .try_for_each(|daemon| daemon.stop().map(drop))?,
        // An ended daemon's log is in the error already.
        Err(Error::Interrupted | Error::Daemon(_)) => {}
        Err(_) => {
            for (daemon, i) in daemons.iter().zip(1..) {
                say(&format!("P{i} had logged:\n{}", daemon.log()))?;
            }
        }
    }
    result
}

/// The play itself: a small file to look at, a large one to measure.
fn play(lab: &Lab, webserver: &Webserver, interrupt: &Interrupt) -> Result<(), Error> {
    let segments = [1, 2].map(|i| lab::sid(i, XOR, KEY));
    lab.steer(&segments)?;
    say(&picture::path())?;
    say(&format!(
        "The client's only SRv6 configuration is one route:\n  ip -6 route add {}/128 encap seg6 mode inline segs {} ...\n",
        ADDRESS.ip(),
        segments.map(|sid: Ipv6Addr| sid.to_string()).join(",")
    ))?;

    let hello = webserver.root().join("hello.txt");
    fs::write(&hello, "Hello from the far end of the pipe.\n").map_err(Error::Output)?;
    let wires = look(lab, interrupt)?;
    for (wire, k) in wires.iter().zip(1..) {
        say(&format!("wire {k}:\n{}", wire.draw()))?;
    }
    if let Some(finding) = judge(&wires) {
        return Err(Error::Wrong(finding));
    }

    say(&format!(
        "Sending {} MiB of noise through both proxies.",
        LARGE >> 20
    ))?;
    let large = webserver.root().join("large.bin");
    noise(&large)?;
    let sent = fetch::sha256(&large)?;
    let fetched = fetch::fetch(
        lab.client(),
        &format!("http://{ADDRESS}/large.bin"),
        interrupt,
    )?;
    say(&format!("  SHA-256 at the server  {sent}"))?;
    say(&format!("  SHA-256 curl received  {}", fetched.sha256))?;
    say(&format!(
        "  {} bytes, {:.0} Mbit/s (checksums in software, everything on this machine)",
        fetched.bytes,
        fetched.speed * 8e-6
    ))?;
    if sent != fetched.sha256 {
        return Err(Error::Wrong(Finding::Content(sent, fetched.sha256)));
    }

    let mut clients = Vec::new();
    until(interrupt, "nginx to log two requests", || {
        clients = webserver.clients().map_err(Error::Output)?;
        Ok::<_, Error>(clients.len() >= 2)
    })?;
    if let Some(stranger) = clients.iter().find(|client| **client != CLIENT.to_string()) {
        return Err(Error::Wrong(Finding::Address(stranger.clone())));
    }
    say(&format!(
        "  nginx saw the client as {CLIENT}: the proxies kept its address.\n"
    ))
}

/// Fetches the small file with a tap on every wire.
fn look(lab: &Lab, interrupt: &Interrupt) -> Result<Vec<Wire>, Error> {
    let taps = (0..=lab.proxies())
        .map(|k| {
            let (namespace, device) = lab.wire(k);
            Tap::start(namespace, &device)
        })
        .collect::<Result<Vec<_>, _>>()?;
    fetch::fetch(
        lab.client(),
        &format!("http://{ADDRESS}/hello.txt"),
        interrupt,
    )?;
    let mut wires = Vec::new();
    until(
        interrupt,
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

/// Random bytes that neither the kernel nor nginx can have seen before.
fn noise(path: &Path) -> Result<(), Error> {
    let copied = File::open("/dev/urandom")
        .and_then(|random| io::copy(&mut random.take(LARGE), &mut File::create(path)?));
    copied.map(drop).map_err(Error::Output)
}

/// The configuration of proxy `i`.
fn configuration(lab: &Lab, i: usize, modules: &Path) -> String {
    let folder = modules.parent().unwrap_or(modules).display();
    let modules = modules.display();
    let locator = lab::locator(i);
    let device = lab.device_to_client(i);
    format!(
        "config srv6pipes 'main'
\toption enabled '1'
\toption module_dir '{modules}'
\toption control_socket '{folder}/p{i}.sock'

config locator 'p{i}'
\toption prefix '{locator}/80'
\tlist device '{device}'

config function
\toption id '{XOR}'
\toption module 'libxor.so'
\toption name 'xor'
"
    )
}

/// Waits until `happened`, for [`PATIENCE`] at most.
fn until<E>(
    interrupt: &Interrupt,
    what: &'static str,
    mut happened: impl FnMut() -> Result<bool, E>,
) -> Result<(), Error>
where
    Error: From<E>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        if happened()? {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Late {
                what,
                after: PATIENCE,
            });
        }
        interrupt.pause(LOOK)?;
    }
}

fn say(line: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(Error::Output)
}
