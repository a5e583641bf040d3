//! The real daemon in a laboratory's proxy, with its configuration, log and modules.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Once;

use nix::sys::signal::Signal;

use srv6pipes::demo::daemon::Daemon;
use srv6pipes::demo::lab::{Lab, locator};
use srv6pipes::demo::workdir::Workdir;

use super::{PREFIX, chain, wait_for};

/// The binary under test: the one that cargo has just built, or where the build's environment says
/// that it will be installed (tests/arm runs tests on another machine).
pub const PROGRAM: &str = match option_env!("SRV6PIPES_TEST_PROGRAM") {
    Some(installed) => installed,
    None => env!("CARGO_BIN_EXE_srv6pipes"),
};

/// The folder of the stock modules, if they are installed too.
const MODULES: Option<&str> = option_env!("SRV6PIPES_TEST_MODULES");

/// The modules that every daemon finds in its folder.
const BASIC: [&str; 3] = ["libcopy.so", "libpasses.so", "libxor.so"];

/// A running daemon. Dropping it stops it; if the test is failing, its log is printed.
#[derive(Debug)]
pub struct Proxy {
    /// `None` only while it is being dropped or after [`stop`](Self::stop).
    daemon: Daemon,
    /// Which proxy of the chain.
    number: usize,
    /// Holds the configuration, log, control socket and modules.
    workdir: Workdir,
}

/// The configuration of proxy `i` up to its functions, with files in `workdir`: a locator on the
/// device towards the client, no function yet. More `options` of the main section are lines like
/// `option capture 'nfqueue'`.
pub fn base_config(lab: &Lab, i: usize, workdir: &Workdir, options: &str) -> String {
    let folder = workdir.path().display();
    format!(
        "config srv6pipes 'main'\n\
         option enabled '1'\n\
         option module_dir '{folder}/modules'\n\
         option control_socket '{folder}/control.sock'\n\
         {options}\n\n\
         config locator 'p{i}'\n\
         option prefix '{}/80'\n\
         list device '{}'\n\n",
        locator(i),
        lab.device_to_client(i)
    )
}

/// The section of a function out of the stock module `libNAME.so`, with more `options`.
pub fn function_config(id: u16, name: &str, options: &str) -> String {
    format!(
        "config function\n\
         option id '{id}'\n\
         option module 'lib{name}.so'\n\
         option name '{name}'\n\
         {options}\n\n"
    )
}

impl Proxy {
    /// Starts proxy `i` with function 1 `xor` and function 2 `copy`, and waits until it answers.
    pub fn start(lab: &Lab, i: usize) -> Self {
        let functions = function_config(1, "xor", "") + &function_config(2, "copy", "");
        Self::start_with(lab, i, "", &functions)
    }

    /// As [`start`](Self::start), with lines for the main section and further sections.
    pub fn start_with(lab: &Lab, i: usize, options: &str, sections: &str) -> Self {
        Self::start_as(lab, i, |workdir| {
            base_config(lab, i, workdir, options) + sections
        })
    }

    /// As [`start`](Self::start), with a configuration all of its own.
    pub fn start_as(lab: &Lab, i: usize, config: impl FnOnce(&Workdir) -> String) -> Self {
        let workdir = Workdir::new(PREFIX).unwrap();
        // All of them with their debugging information would be dozens of megabytes. What every
        // test may change its configuration to is there in any case, before it makes its own.
        let basic = |name: &str| BASIC.contains(&name);
        workdir.copy_modules(&modules(), basic).unwrap();
        let config = config(&workdir);
        let named = |name: &str| config.contains(name) && !basic(name);
        workdir.copy_modules(&modules(), named).unwrap();
        let config = workdir.write("proxy.conf", &config).unwrap();
        let daemon = Daemon::start(Path::new(PROGRAM), lab.proxy(i), &config).unwrap();
        let mut proxy = Self {
            daemon,
            number: i,
            workdir,
        };
        proxy.wait_until_ready();
        proxy
    }

    /// Starts it again with the configuration it had, after [`stop`](Self::stop) or
    /// [`kill_9`](Self::kill_9).
    pub fn restart(&mut self, lab: &Lab) {
        let config = self.config_path();
        self.daemon = Daemon::start(Path::new(PROGRAM), lab.proxy(self.number), &config).unwrap();
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let number = self.number;
        wait_for(&format!("proxy {number} to answer `status`"), || {
            let ready = self.daemon.is_ready();
            ready
                .unwrap_or_else(|error| panic!("{}", chain(&error)))
                .then_some(())
        });
    }

    /// The configuration file; write to it before a reload.
    pub fn config_path(&self) -> PathBuf {
        self.workdir.path().join("proxy.conf")
    }

    /// The folder with its files.
    pub fn workdir(&self) -> &Workdir {
        &self.workdir
    }

    /// What `srv6pipes WORD -c FILE --json` prints (`status`, `flows`).
    pub fn json(&self, word: &str) -> serde_json::Value {
        let mut command = self.daemon.control(word);
        let output = command.arg("--json").stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{word}: {}: {stderr}",
            output.status
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `srv6pipes WORD -c FILE`.
    pub fn command(&self, word: &str) -> Command {
        self.daemon.control(word)
    }

    /// All it has logged.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.daemon.signal(signal).unwrap();
    }

    /// `SIGTERM`, and waits for the end.
    pub fn stop(&mut self) -> ExitStatus {
        self.daemon
            .stop()
            .unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// `SIGKILL`: what it set up stays.
    pub fn kill_9(&mut self) -> ExitStatus {
        self.daemon.kill().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of proxy {}\n{}---", self.number, self.daemon.log());
        }
    }
}

/// The folder with the stock modules, as new as their sources: `cargo test` builds a cdylib only
/// for those who depend on it, and nobody does. A program with the modules inside wants no files.
pub fn modules() -> PathBuf {
    static BUILT: Once = Once::new();
    if let Some(installed) = MODULES {
        return installed.into();
    }
    let folder = Path::new(PROGRAM).parent().unwrap();
    if cfg!(feature = "builtin-modules") {
        return folder.to_owned();
    }
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args([
            "build",
            "--quiet",
            "--offline",
            "--workspace",
            "--exclude",
            "srv6pipes",
        ]);
        cargo.args(folder.ends_with("release").then_some("--release"));
        cargo.arg("--target-dir").arg(folder.parent().unwrap());
        let status = cargo.stdin(Stdio::null()).status().unwrap();
        assert!(status.success(), "the modules do not build: {status}");
    });
    folder.to_owned()
}
