//! What a daemon says of itself by `status`, and what /proc says of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::proxy::Proxy;
use super::wait_for;

/// The most that is copied of a direction though no function wants it: 64 KiB, to which the last
/// read of them may add nearly as much.
pub const COPIED: u64 = 2 * 65_536;

/// One `status --json`.
#[derive(Debug)]
pub struct Status(pub Value);

impl Status {
    /// Of `proxy`, now.
    pub fn of(proxy: &Proxy) -> Self {
        Self(proxy.json("status"))
    }

    /// One of all flows' counters.
    pub fn counter(&self, name: &str) -> u64 {
        number(&self.0["counters"][name], name)
    }

    /// One of a function's counters.
    pub fn function(&self, id: u16, name: &str) -> u64 {
        let id = format!("{id:#06x}");
        let functions = self.0["functions"].as_array().unwrap();
        let function = functions.iter().find(|function| function["id"] == id);
        number(&function.unwrap_or(&Value::Null)[name], name)
    }

    /// One of the counters that a function keeps itself; `None` if it is not shown.
    pub fn own(&self, id: u16, name: &str, label: &str) -> Option<u64> {
        let id = format!("{id:#06x}");
        let functions = self.0["functions"].as_array().unwrap();
        let function = functions.iter().find(|function| function["id"] == id)?;
        let counters = function["counters"].as_array().unwrap();
        let wanted = |counter: &&Value| counter["name"] == name && counter["label"] == label;
        let counter = counters.iter().find(wanted)?;
        Some(number(&counter["value"], name))
    }

    /// Fails unless every flow that was accepted is accounted for: it lives, or one counter says
    /// how it ended.
    pub fn assert_adds_up(&self) {
        // What happened to a flow on its way, not how it ended.
        let others = [
            "accepted_flows",
            "cookie_flows",
            "piped_flows",
            "rerouted_flows",
            "other_port_flows",
            "abandoned_flows",
        ];
        let counters = self.0["counters"].as_object().unwrap();
        let ends = counters
            .keys()
            .filter(|name| name.ends_with("_flows") && !others.contains(&name.as_str()));
        let sum: u64 = ends.map(|name| self.counter(name)).sum();
        assert_eq!(self.counter("accepted_flows"), sum, "{:#}", self.0);
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no number {name}: {value}"))
}

/// Waits until `proxy` has counted `expected`, no more and no less, and returns that status.
pub fn counted(proxy: &Proxy, expected: &[(&str, u64)]) -> Status {
    let mut last = None;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for(&format!("{expected:?}"), || {
            let status = Status::of(proxy);
            let right = expected
                .iter()
                .all(|(name, value)| status.counter(name) == *value);
            last = Some(status.0.clone());
            right.then_some(status)
        })
    }));
    found.unwrap_or_else(|_| panic!("waited for {expected:?}, but:\n{:#}", last.unwrap()))
}

/// The file descriptors that the daemon has open, when the last operator has gone.
pub fn descriptors(proxy: &Proxy) -> BTreeSet<usize> {
    // proc_net(5): state 03 is a connected socket.
    wait_for("the last operator to go", || {
        let sockets = fs::read_to_string(proc(proxy, "net/unix")).unwrap();
        let operator = |line: &str| line.ends_with("control.sock") && line.contains(" 03 ");
        (!sockets.lines().any(operator)).then_some(())
    });
    let entries = fs::read_dir(proc(proxy, "fd")).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).to_str().unwrap().parse().unwrap())
        .collect()
}

/// Resident memory, KiB.
pub fn resident_kib(proxy: &Proxy) -> u64 {
    let status = fs::read_to_string(proc(proxy, "status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let mut words = line.unwrap().split_whitespace();
    words.nth(1).unwrap().parse().unwrap()
}

/// Processor time it has used so far, clock ticks of 10 ms (proc_pid_stat(5): utime and stime).
pub fn ticks(proxy: &Proxy) -> u64 {
    let stat = fs::read_to_string(proc(proxy, "stat")).unwrap();
    // The name in brackets may hold anything; what follows it may not.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<u64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    fields.iter().sum()
}

fn proc(proxy: &Proxy, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{file}", proxy.pid()))
}

/// The states of its threads, as proc_pid_stat(5) names them.
pub fn threads(proxy: &Proxy) -> Vec<char> {
    let folder = format!("/proc/{}/task", proxy.pid());
    let state = |entry: fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap();
        // Behind the name, which may hold anything.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.chars().next().unwrap()
    };
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| state(entry.unwrap())).collect()
}
