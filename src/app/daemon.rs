//! `run`: up, serve, down.
//!
//! ```text
//!  up    configuration → modules → control socket → listeners and threads → kernel
//!  down  threads (flows reset) → control socket → modules → kernel put back
//! ```
//! The kernel comes last, so that no SYN is sent to a listener that is not there; on the way
//! down flows are reset while their routes still stand, so that both ends hear of it.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde_json::{Value, json};

use crate::app::down::Undo;
use crate::app::watch::Watch;
use crate::app::{Told, limits, load, ready, rights, status, tell};
use crate::config::model::{Capture, Main};
use crate::config::{self, Config};
use crate::control::proto::Request;
use crate::control::server::Server;
use crate::proxy::runtime::{Map, Runtime};
use crate::proxy::{Options, Proxy};
use crate::report::Chain;
use crate::setup::plan::{self, CaptureWay};
use crate::setup::{self, Setup};
use crate::vnf::Registry;

/// A running daemon. The order of the fields is the order of the way down.
#[derive(Debug)]
struct Daemon {
    path: PathBuf,
    config: Config,
    began: Instant,
    runtime: Arc<Runtime>,
    proxy: Proxy,
    server: Server,
    registry: Registry,
    watch: Watch,
    undo: Undo,
}

/// Which capture a configuration gets: the cheapest it allows. Nothing it can say today needs
/// more than the saved SYN.
pub fn capture_way(config: &Config) -> CaptureWay {
    match config.main.capture {
        Capture::Auto | Capture::SavedSyn => CaptureWay::SavedSyn,
        Capture::Nfqueue => CaptureWay::Nfqueue,
    }
}

/// Where what must be undone is written down: beside the control socket, on a file system that a
/// reboot empties together with the kernel.
pub fn journal_path(control_socket: &Path) -> PathBuf {
    let mut path = control_socket.to_owned().into_os_string();
    path.push(".undo");
    PathBuf::from(path)
}

/// The whole life of the daemon.
pub fn run(path: &Path) -> Result<(), Told> {
    let config = load(path)?;
    if !config.main.enabled {
        log::error!(
            "{}: option enabled is '0'; set it to '1' to run",
            path.display()
        );
        return Err(Told);
    }
    rights::require(capture_way(&config))?;
    let signals = block_signals().map_err(|errno| tell(&errno))?;
    limits::raise_descriptors(config.main.max_flows);
    let mut daemon = Daemon::up(path, config)?;
    ready::tell(ready::READY);
    daemon.serve(&signals)?;
    ready::tell(ready::STOPPING);
    let failed = daemon.proxy.shared().has_failed();
    if failed {
        log::error!("a thread of the proxy failed; stopping, all flows are reset");
    } else {
        log::info!("stopping: {} flows are reset", daemon.live_flows());
    }
    let stuck = daemon.proxy.stop();
    for thread in &stuck {
        log::error!(
            "{thread} does not return from a function; its flows end with the process, when the \
             kernel is put back"
        );
    }
    if failed || !stuck.is_empty() {
        return Err(Told);
    }
    Ok(())
}

impl Daemon {
    fn up(path: &Path, config: Config) -> Result<Self, Told> {
        let began = Instant::now();
        let registry = modules(path, &config, None).map_err(|text| {
            eprintln!("{text}");
            Told
        })?;
        let runtime = Arc::new(Runtime::new(&config, &registry, None));
        let way = capture_way(&config);
        let options = Options {
            workers: workers(&config.main),
            port: config.main.port,
            queue: (way == CaptureWay::Nfqueue).then_some(config.main.queue),
        };
        let server = Server::bind(&config.main.control_socket).map_err(|e| tell(&e))?;
        let proxy = Proxy::start(options, &runtime).map_err(|e| tell(&e))?;
        // Before the kernel is set up, so that no change after that is missed.
        let watch = Watch::open().map_err(|e| tell(&e))?;
        let journal = journal_path(&config.main.control_socket);
        let setup = Setup::apply(plan::plan(&config, way), &journal).map_err(|e| {
            log::error!("{}", placed(path, &e));
            Told
        })?;
        for locator in &config.locators {
            log::info!(
                "serving {}, functions: {}",
                locator.prefix,
                runtime.functions.len()
            );
        }
        log::info!("ready: {} workers, capture {}", options.workers, name(way));
        let path = path.to_owned();
        let undo = Undo(Some(setup));
        Ok(Self {
            path,
            config,
            began,
            runtime,
            proxy,
            server,
            registry,
            watch,
            undo,
        })
    }

    /// Until SIGTERM or SIGINT.
    fn serve(&mut self, signals: &SignalFd) -> Result<(), Told> {
        loop {
            let now = Instant::now();
            let (mut waiting, patience) = self.server.waiting(now);
            let patience = patience.into_iter().chain(self.watch.patience(now)).min();
            let more = [signals.as_fd(), self.watch.as_fd()];
            waiting.extend(more.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            let timeout = patience.map_or(PollTimeout::NONE, |patience| {
                // A millisecond more, since the timeout is rounded down.
                PollTimeout::try_from(patience + Duration::from_millis(1))
                    .unwrap_or(PollTimeout::MAX)
            });
            match poll(&mut waiting, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(tell(&errno)),
            }
            match signals.read_signal() {
                Ok(Some(signal)) if signal.ssi_signo == libc::SIGHUP.unsigned_abs() => {
                    // Its failure is logged, and the old configuration goes on.
                    let _ = self.reload();
                }
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {}
                Err(errno) => return Err(tell(&errno)),
            }
            for (operator, request) in self.server.requests(Instant::now()) {
                operator.answer(&self.answer(request));
            }
            self.server.prepare();
            if let Some(setup) = &mut self.undo.0 {
                let said = |error: &setup::Error| placed(&self.path, error);
                self.watch.repair(setup, said, Instant::now());
            }
        }
    }

    fn answer(&mut self, request: Request) -> Value {
        match request {
            Request::Status => {
                // What functions make of their reports is part of it.
                self.proxy.report();
                status::status(
                    &self.config,
                    &self.proxy,
                    &self.runtime,
                    name(capture_way(&self.config)),
                    self.began.elapsed(),
                )
            }
            Request::Flows => status::flows(self.proxy.flows()),
            Request::Reload => match self.reload() {
                Ok(()) => json!({ "reloaded": true }),
                Err(text) => json!({ "error": text }),
            },
        }
    }

    fn live_flows(&self) -> u64 {
        self.proxy.shared().counters.live_flows.value()
    }

    fn reload(&mut self) -> Result<(), String> {
        let done = self.take_over();
        match &done {
            Ok(()) => log::info!("reloaded {}", self.path.display()),
            Err(text) => log::error!("not reloaded, the old configuration goes on:\n{text}"),
        }
        done
    }

    /// New configuration and modules for new flows; either all of it, or nothing.
    fn take_over(&mut self) -> Result<(), String> {
        let config = config::load(&self.path).map_err(|problems| problems.to_string())?;
        let config = config.following(&self.config);
        let fixed = needs_restart(&self.config.main, &config.main);
        if !fixed.is_empty() {
            return Err(format!(
                "{}: only a restart changes option {}",
                self.path.display(),
                fixed.join(", ")
            ));
        }
        let registry = modules(&self.path, &config, Some(&self.registry))?;
        let mut next = Runtime::new(&config, &registry, Some(&self.runtime));
        // The kernel goes over in steps, and SYNs do not wait: whatever it may mark them with, the
        // workers must know what that means.
        self.proxy
            .reload(&Arc::new(self.runtime.on_the_way_to(&next)));
        if let Some(setup) = &mut self.undo.0
            && let Err(error) = setup.transition(plan::plan(&config, capture_way(&config)))
        {
            self.proxy.reload(&self.runtime);
            return Err(placed(&self.path, &error));
        }
        limits::raise_descriptors(config.main.max_flows);
        next.map = next.map.with_policies_of(&Map::new(&self.config));
        self.runtime = Arc::new(next);
        self.proxy.reload(&self.runtime);
        self.registry = registry;
        self.config = config;
        Ok(())
    }
}

/// All functions of a configuration, ready; the text has a line for each mistake, with its file and
/// line.
pub fn modules(path: &Path, config: &Config, old: Option<&Registry>) -> Result<Registry, String> {
    Registry::load(&config.functions, &config.main.module_dir, old).map_err(|errors| {
        let lines: Vec<String> = errors
            .iter()
            .map(|error| format!("{}:{}: {}", path.display(), error.line, Chain(error)))
            .collect();
        lines.join("\n")
    })
}

/// An error of the set-up; if a line of the configuration is to blame, it stands in front.
fn placed(path: &Path, error: &setup::Error) -> String {
    match error {
        setup::Error::NoDevice { device, line } => {
            format!("{}:{line}: there is no device {device}", path.display())
        }
        other => Chain(other).to_string(),
    }
}

/// Options that the listeners, the queue, the socket and the journal hold on to; and those that
/// would take the rules away that deliver live flows' packets to us. Without them, be it for a
/// moment, the kernel would carry these packets on, unprocessed.
fn needs_restart(old: &Main, new: &Main) -> Vec<&'static str> {
    [
        ("enabled", old.enabled == new.enabled),
        ("threads", old.threads == new.threads),
        ("capture", old.capture == new.capture),
        ("control_socket", old.control_socket == new.control_socket),
        ("port", old.port == new.port),
        ("queue", old.queue == new.queue),
        ("mark", old.mark == new.mark),
        ("table", old.table == new.table),
        ("preference", old.preference == new.preference),
    ]
    .into_iter()
    .filter_map(|(name, same)| (!same).then_some(name))
    .collect()
}

/// `threads '0'`: one per core. The thesis found two best (section 3.4.4, figure 3.19), but here they
/// cost a sixth of the throughput at 100 KB (docs/performance.md): each wakes for half as much.
fn workers(main: &Main) -> u16 {
    if main.threads > 0 {
        return main.threads;
    }
    let cores = available_parallelism().map_or(1, |cores| cores.get());
    u16::try_from(cores).unwrap_or(u16::MAX)
}

fn name(way: CaptureWay) -> &'static str {
    match way {
        CaptureWay::SavedSyn => "saved_syn",
        CaptureWay::Nfqueue => "nfqueue",
    }
}

/// Signals become readable; every thread inherits that they do nothing else.
fn block_signals() -> nix::Result<SignalFd> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]
        .into_iter()
        .collect();
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}
