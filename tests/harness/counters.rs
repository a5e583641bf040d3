//! The daemon's counters, descriptors and flows as conditions to wait for.

use serde_json::Value;

use srv6pipes::control::client::ask;
use srv6pipes::control::proto::Request;

use super::proxy::Proxy;
use super::{status as daemon_status, wait_for};

/// `status --json`, asked without a process in between.
pub fn status(proxy: &Proxy) -> Value {
    let socket = proxy.workdir().path().join("control.sock");
    ask(&socket, Request::Status).unwrap()
}

/// One of `counters`.
pub fn counter(proxy: &Proxy, name: &str) -> u64 {
    let value = &status(proxy)["counters"][name];
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no counter {name}"))
}

/// `kernel.ip6_in_hdr_errors_packets`.
pub fn header_errors(proxy: &Proxy) -> u64 {
    let errors = &status(proxy)["kernel"]["ip6_in_hdr_errors_packets"];
    errors.as_u64().unwrap()
}

/// Waits until a counter is `value` or more, and says what it is then.
pub fn wait_counter(proxy: &Proxy, name: &str, value: u64) -> u64 {
    wait_for(&format!("{name} to reach {value}"), || {
        Some(counter(proxy, name)).filter(|now| *now >= value)
    })
}

/// How many descriptors the daemon has open, those of operators aside.
pub fn descriptors(proxy: &Proxy) -> usize {
    daemon_status::descriptors(proxy).len()
}

/// Waits until the daemon has as many descriptors as `before` and no live flow: nothing of what
/// was tried since then is left.
pub fn wait_until_nothing_is_left(proxy: &Proxy, before: usize) {
    wait_for("live_flows to be 0", || {
        (counter(proxy, "live_flows") == 0).then_some(())
    });
    wait_for(&format!("descriptors to be {before} again"), || {
        (descriptors(proxy) == before).then_some(())
    });
}
