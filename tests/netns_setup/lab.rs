//! Network namespaces, each a thread's own, and a picture of all that set-up touches.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use srv6pipes::config::Config;
use srv6pipes::config::mark::MarkMask;
use srv6pipes::config::model::{
    Capture, Device, Locator, Main, Network, OnFailure, Policy, PortRange, ReturnPath,
};
use srv6pipes::config::numbers::Numbers;
use srv6pipes::setup::{CaptureWay, Plan, Setup, plan};
use srv6pipes::wire::sid;

use crate::harness::{is_root, wait_for};

/// A network namespace: a thread that lives in one. It goes away with this.
pub struct Namespace {
    jobs: Sender<Box<dyn FnOnce() + Send>>,
    path: String,
}

impl Namespace {
    /// A fresh one, with nothing but `lo`.
    pub fn new() -> Self {
        let (jobs, queue) = channel::<Box<dyn FnOnce() + Send>>();
        std::thread::spawn(move || {
            for job in queue {
                job();
            }
        });
        let mut namespace = Self {
            jobs,
            path: String::new(),
        };
        namespace.path = namespace.within(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            run("ip link set lo up");
            let (process, thread) = (nix::unistd::getpid(), nix::unistd::gettid());
            format!("/proc/{process}/task/{thread}/ns/net")
        });
        namespace
    }

    /// One with the devices `p0` and `p1.2`, both up and silent.
    pub fn with_devices() -> Self {
        let namespace = Self::new();
        namespace.within(|| {
            for (device, peer) in [("p0", "q0"), ("p1.2", "q1")] {
                run(&format!("ip link add {device} type veth peer name {peer}"));
                run(&format!("ip link set {device} addrgenmode none up"));
                run(&format!("ip link set {peer} addrgenmode none up"));
            }
            run("ip -6 addr add fd00:1::1/64 dev p0 nodad");
            // The kernel notices a new carrier in its own time, and pictures show it.
            wait_for("four devices up", || {
                (run("ip -o link").matches("state UP").count() == 4).then_some(())
            });
            // And makes the address usable, by a worker of its own, some time after it was given.
            wait_for("the address in use", || {
                let routes = run("ip -6 route show table local");
                routes.contains("local fd00:1::1 ").then_some(())
            });
        });
        namespace
    }

    /// Runs `job` in the namespace; a panic is the caller's.
    pub fn within<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        self.jobs
            .send(Box::new(move || {
                let _ = done.send(catch_unwind(AssertUnwindSafe(job)));
            }))
            .unwrap();
        result
            .recv()
            .unwrap()
            .unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Client `c0` fd00:1::2 — `p0` fd00:1::1, proxy, `p1.2` fd00:5::ff — `s0` fd00:5::1, server.
/// What the client sends to the server goes by the SID fd00:99::1:0:2a.
pub struct Line {
    pub client: Namespace,
    pub proxy: Namespace,
    pub server: Namespace,
}

impl Line {
    /// `None` where the test has to be skipped.
    pub fn new() -> Option<Self> {
        is_root().then(Self::build)
    }

    fn build() -> Self {
        let [client, proxy, server] = [(); 3].map(|()| Namespace::new());
        let (left, right) = (client.path.clone(), server.path.clone());
        proxy.within(move || {
            run("ip link add p0 type veth peer name c0");
            run("ip link add p1.2 type veth peer name s0");
            run(&format!("ip link set c0 netns {left}"));
            run(&format!("ip link set s0 netns {right}"));
            for (device, address) in [("p0", "fd00:1::1"), ("p1.2", "fd00:5::ff")] {
                run(&format!("ip -6 addr add {address}/64 dev {device} nodad"));
                run(&format!("ip link set {device} up"));
            }
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        });
        client.within(|| {
            run("ip -6 addr add fd00:1::2/64 dev c0 nodad");
            run("ip link set c0 up");
            run("ip -6 route add default via fd00:1::1");
            run(
                "ip -6 route add fd00:5::1/128 encap seg6 mode inline segs fd00:99::1:0:2a \
                 via fd00:1::1 dev c0",
            );
        });
        server.within(|| {
            run("ip -6 addr add fd00:5::1/64 dev s0 nodad");
            run("ip link set s0 up");
            run("ip -6 route add default via fd00:5::ff");
            // It gets an SRH with segments_left 0 where the proxy let the flow pass.
            for device in ["all", "s0"] {
                let file = format!("/proc/sys/net/ipv6/conf/{device}/seg6_enabled");
                std::fs::write(file, "1").unwrap();
            }
        });
        Self {
            client,
            proxy,
            server,
        }
    }
}

/// Runs `test` in a fresh namespace with the devices `p0` and `p1.2`; skips it without root.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if is_root() {
        Namespace::with_devices().within(test);
    }
}

/// Runs a command line without quoting and returns what it prints.
pub fn run(line: &str) -> String {
    let (ok, text) = try_run(line);
    assert!(ok, "{line}: {text}");
    text
}

pub fn try_run(line: &str) -> (bool, String) {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Everything set-up may change, as the tools show it.
pub fn picture() -> String {
    [
        "nft list ruleset",
        "ip -6 rule",
        "ip -6 route show table all",
        "ip -o link",
        "sysctl net.ipv4.tcp_fwmark_accept",
        "sysctl -a -r seg6_enabled",
    ]
    .map(|line| format!("# {line}\n{}", run(line)))
    .join("")
}

/// A folder that goes away with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "srv6pipes-setup-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    pub fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn device(name: &str) -> Device {
    Device::new(name).unwrap()
}

/// One locator on both devices, refusing; a policy to ourselves, one to another router, a return.
pub fn config() -> Config {
    Config {
        main: Main {
            enabled: true,
            threads: 0,
            capture: Capture::Auto,
            module_dir: PathBuf::new(),
            control_socket: PathBuf::new(),
            max_flows: 16,
            idle_timeout: Duration::from_secs(7440),
            connect_timeout: Duration::from_secs(10),
            tuning: false,
            port: 5000,
            queue: 7,
            mark: MarkMask { shift: 8 },
            table: 5000,
            preference: 1000,
        },
        locators: vec![locator("fd00:99::", OnFailure::Refuse)],
        functions: Vec::new(),
        policies: vec![policy("fd00:99::1:0:1"), policy("fd00:77::1:0:1")],
        returns: vec![ReturnPath {
            device: device("p0"),
            gateway: "fd00:1::2".parse().unwrap(),
            line: 30,
        }],
        numbers: Numbers::default(),
    }
}

pub fn locator(prefix: &str, on_failure: OnFailure) -> Locator {
    Locator {
        name: "home".to_owned(),
        prefix: sid::Locator::new(prefix.parse().unwrap()).unwrap(),
        devices: vec![device("p0"), device("p1.2")],
        sources: Vec::new(),
        on_failure,
        line: 10,
    }
}

pub fn policy(segment: &str) -> Policy {
    Policy {
        name: "policy".to_owned(),
        devices: vec![device("p1.2")],
        dests: vec![Network {
            address: "fd00:5::".parse().unwrap(),
            length: 48,
        }],
        ports: vec![PortRange {
            first: 80,
            last: 443,
        }],
        segments: vec![segment.parse().unwrap()],
        mtu: 1500,
        line: 20,
    }
}

/// What the configuration's reader never lets through and nft refuses: the last step fails.
pub const BACKWARDS: PortRange = PortRange {
    first: 443,
    last: 80,
};

pub fn saved_syn(config: &Config) -> Plan {
    plan(config, CaptureWay::SavedSyn)
}

pub fn apply(config: &Config, folder: &Folder) -> Setup {
    Setup::apply(saved_syn(config), &folder.journal()).unwrap_or_else(|error| panic!("{error}"))
}

/// A picture without what differs between two devices of the same name: index and address.
pub fn without_numbers(picture: &str) -> String {
    let mut lines: Vec<&str> = picture
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => {
                rest.split_once("link/ether").map_or(rest, |(kept, _)| kept)
            }
            _ => line,
        })
        .collect();
    // nft lists chains and sets in the order they were made, devices stand in that order too.
    lines.sort_unstable();
    lines.join("\n")
}
