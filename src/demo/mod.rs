//! `srv6pipes demo`: the chain of the thesis's figure 3.1 on this machine, with nothing but this
//! binary and stock programs. A flow goes client, P1, P2, server; both proxies run `xor`, so the
//! middle wire carries gibberish and the outer two the clear text. Or they run what the words name,
//! and whoever looks on judges.
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
pub mod function;
pub mod interrupt;
pub mod lab;
pub mod namespace;
pub mod picture;
mod play;
pub mod program;
pub mod sniff;
pub mod webserver;
pub mod workdir;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use crate::config::Quoted;
use crate::demo::daemon::Daemon;
use crate::demo::function::Function;
use crate::demo::interrupt::Interrupt;
use crate::demo::lab::Lab;
use crate::demo::play::Stage;
use crate::demo::webserver::Webserver;
use crate::demo::workdir::Workdir;

pub use crate::demo::error::Error;

/// Begins the names of our namespaces and of our folder.
const PREFIX: &str = "srv6p-demo";
/// The only function of each locator.
const FUNCTION: u16 = 1;
/// How long anything but the transfer may take; a loaded small machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);

/// What `srv6pipes demo` can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Where the stock modules are; without it, beside the running program.
    pub modules: Option<PathBuf>,
    /// What P1 runs, then what P2 runs, instead of `xor`.
    pub functions: Vec<Function>,
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
    let cast = function::cast(&options.functions)?;
    let files = cast.iter().map(|function| function.file(&folder));
    let files = files.collect::<Result<Vec<_>, _>>()?;

    say("Building the network: client, P1, P2 and server, one namespace each.")?;
    let workdir = Workdir::new(PREFIX)?;
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
    for ((function, file), i) in cast.iter().zip(&files).zip(1..) {
        let module = workdir.copy_module(file, &format!("p{i}"))?;
        let text = configuration(&lab, i, &workdir, &module, &function.name);
        let config = workdir.write(&format!("p{i}.conf"), &text)?;
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
    .and_then(|()| {
        let stage = Stage {
            lab: &lab,
            webserver: &webserver,
            interrupt,
        };
        if options.functions.is_empty() {
            stage.rehearsed(&cast)
        } else {
            stage.improvised(&cast, &daemons)
        }
    });
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

/// The configuration of proxy `i`.
fn configuration(lab: &Lab, i: usize, workdir: &Workdir, module: &Path, name: &str) -> String {
    let folder = workdir.path().display();
    let module = module.to_string_lossy();
    let (module, name) = (Quoted(&module), Quoted(name));
    let locator = lab::locator(i);
    let device = lab.device_to_client(i);
    format!(
        "config srv6pipes 'main'
\toption enabled '1'
\toption control_socket '{folder}/p{i}.sock'

config locator 'p{i}'
\toption prefix '{locator}/80'
\tlist device '{device}'

config function
\toption id '{FUNCTION}'
\toption module '{module}'
\toption name '{name}'
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
