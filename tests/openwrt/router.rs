//! A router as far as an init script sees it: a root folder with busybox, the real daemon and `nft`,
//! what the package installs, and stand-ins for the parts of OpenWrt that call and are called.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use srv6pipes::demo::lab::Lab;
use srv6pipes::demo::workdir::Workdir;

use crate::files::{below, root};
use crate::harness::ended::{Ended, to_end};
use crate::harness::proxy::{PROGRAM, modules};
use crate::harness::{PREFIX, wait_for};

/// What may interpret an init script: OpenWrt's shell, and a stricter one.
pub const SHELLS: [&str; 2] = ["busybox", "dash"];

/// Programs of busybox that scripts call.
const APPLETS: &[&str] = &[
    "cat", "chmod", "env", "logger", "ls", "mkdir", "mv", "rm", "sed",
];

/// `ip netns exec` has given the shell mounts of its own.
/// `$2` are commands for it, with `$1` the root folder.
const ENTER: &str = "set -e; for folder in proc sys dev; do mount --rbind /$folder \"$1/$folder\"; done; \
    eval \"$2\"; root=$1; shift 2; exec chroot \"$root\" /bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \"$@\"";

/// Proxy `number` of a laboratory, as a router.
#[derive(Debug)]
pub struct Router<'a> {
    lab: &'a Lab,
    number: usize,
    root: Workdir,
}

impl<'a> Router<'a> {
    /// With `shell` as `/bin/sh`; the shipped configuration and no jail.
    pub fn new(lab: &'a Lab, number: usize, shell: &str) -> Self {
        let router = Self {
            lab,
            number,
            root: Workdir::new(PREFIX).unwrap(),
        };
        for folder in ["proc", "sys", "dev", "tmp", "var/run", "usr/lib/srv6pipes"] {
            fs::create_dir_all(router.path(folder)).unwrap();
        }
        router.install(Path::new("/bin/busybox"), "bin/busybox");
        for applet in APPLETS {
            symlink("busybox", router.path(&format!("bin/{applet}"))).unwrap();
        }
        if shell == "dash" {
            router.install(Path::new("/bin/dash"), "bin/dash");
        }
        symlink(shell, router.path("bin/sh")).unwrap();
        router.install(&which("nft"), "usr/sbin/nft");
        // Large with its debugging information, and nobody writes to it.
        fs::create_dir_all(router.path("usr/sbin")).unwrap();
        let _ = fs::hard_link(PROGRAM, router.path("usr/sbin/srv6pipes"));
        router.install(Path::new(PROGRAM), "usr/sbin/srv6pipes");
        router.stand_in("rc.common", "etc/rc.common");
        router.stand_in("functions.sh", "lib/functions.sh");
        router.stand_in("procd.sh", "lib/functions/procd.sh");
        router.stand_in("fw4", "sbin/fw4");
        router.stand_in("fw4.nft", "etc/fw4.nft");
        router.stand_in("uci", "sbin/uci");
        router.write("etc/flow_offloading", "0\n");
        // glibc's nft looks names up there.
        copy(Path::new("/etc/protocols"), &router.path("etc/protocols"));
        let shipped = root().join("files");
        for file in below(&shipped) {
            let to = file.strip_prefix(&shipped).unwrap().to_str().unwrap();
            copy(&file, &router.path(to));
        }
        router
    }

    /// A file's path outside of the router.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside)
    }

    /// Writes a file.
    pub fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes the configuration, in the form of `uci export`.
    pub fn configure(&self, text: &str) {
        self.write("etc/config/srv6pipes", text);
    }

    /// Installs a stock module where the daemon looks for them.
    pub fn add_module(&self, name: &str) {
        let file = modules().join(format!("lib{name}.so"));
        copy(
            &file,
            &self.path(&format!("usr/lib/srv6pipes/lib{name}.so")),
        );
    }

    /// A jail: procd looks whether the program is there.
    pub fn add_ujail(&self) {
        self.write("sbin/ujail", "#!/bin/sh\n");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path("sbin/ujail"), mode).unwrap();
    }

    /// A program in the router, with its words.
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_after("", words)
    }

    /// As [`command`](Self::command), after commands of the shell that see the root folder as `$1`,
    /// and whose mounts nobody else sees.
    pub fn command_after(&self, prepare: &str, words: &[&str]) -> Command {
        let mut command = self.lab.proxy(self.number).command("sh");
        command.args(["-c", ENTER, "enter"]).arg(self.root.path());
        command.arg(prepare).args(words);
        command
    }

    /// Runs a program in the router to its end.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Ended {
        to_end(&mut self.command(words))
    }

    /// `service srv6pipes WORD`: what it said, and what procd was told, line by line.
    #[track_caller]
    pub fn service(&self, word: &str) -> (Ended, Vec<String>) {
        self.service_after("", word)
    }

    /// The same, prepared as by [`command_after`](Self::command_after).
    #[track_caller]
    pub fn service_after(&self, prepare: &str, word: &str) -> (Ended, Vec<String>) {
        let _ = fs::remove_file(self.path("record"));
        let words = ["/bin/sh", "/etc/rc.common", "/etc/init.d/srv6pipes", word];
        let ended = to_end(&mut self.command_after(prepare, &words));
        let record = fs::read_to_string(self.path("record")).unwrap_or_default();
        (ended, record.lines().map(str::to_owned).collect())
    }

    /// Does what procd would with the instance that it has been told of.
    pub fn procd(&self, record: &[String]) -> Service<'_> {
        self.procd_after("", record)
    }

    /// The same, prepared as by [`command_after`](Self::command_after).
    pub fn procd_after(&self, prepare: &str, record: &[String]) -> Service<'_> {
        let line = record
            .iter()
            .find_map(|line| line.strip_prefix("procd_set_param [command] "))
            .unwrap_or_else(|| panic!("no instance in {record:#?}"));
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| word.trim_matches(['[', ']']))
            .collect();
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = self.command_after(prepare, &words);
        command
            .stdin(Stdio::null())
            .stderr(log)
            .stdout(Stdio::null());
        let service = Service {
            router: self,
            child: command.spawn().unwrap(),
        };
        wait_for("the service to answer `status`", || {
            self.is_running().then_some(())
        });
        service
    }

    /// Whether a daemon answers.
    pub fn is_running(&self) -> bool {
        self.run(&["srv6pipes", "status"]).code == Some(0)
    }

    /// All that the service has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn stand_in(&self, name: &str, to: &str) {
        let from = root().join("tests/fixtures/openwrt").join(name);
        copy(&from, &self.path(to));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path(to), mode).unwrap();
    }

    /// A program with the libraries that it is linked with, at the same paths.
    fn install(&self, program: &Path, to: &str) {
        copy(program, &self.path(to));
        let libraries = to_end(Command::new("ldd").arg(program)).with(0).stdout;
        for word in libraries.split_whitespace().filter(|w| w.starts_with('/')) {
            copy(Path::new(word), &self.path(&word[1..]));
        }
    }
}

/// A daemon that runs in a router. Dropping it stops it.
#[derive(Debug)]
pub struct Service<'a> {
    router: &'a Router<'a>,
    child: Child,
}

impl Service<'_> {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal and waits for the end.
    pub fn end(&mut self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let _ = kill(Pid::from_raw(pid), signal);
        self.child.wait().unwrap();
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the service\n{}---", self.router.log());
        }
        self.end(Signal::SIGTERM);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    if !to.exists() {
        fs::copy(from, to).unwrap_or_else(|error| panic!("copy {}: {error}", from.display()));
    }
}

fn which(program: &str) -> PathBuf {
    let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(program));
    paths.find(|path| path.exists()).unwrap()
}
