//! The documents behind `status --json`, `flows --json` and `doctor --json`: the stable interface
//! for ubus, LuCI and monitoring.

use std::fs;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::proxy::Proxy;
use crate::proxy::runtime::Runtime;
use crate::proxy::snapshot::FlowSnapshot;
use crate::setup::doctor::{BUILT_IN, Finding};
use crate::vnf::Function;
use crate::vnf::counters::NamedCounter;

/// `status`: what runs, and all counters.
pub fn status(
    config: &Config,
    proxy: &Proxy,
    runtime: &Runtime,
    capture: &str,
    uptime: Duration,
) -> Value {
    let mut functions: Vec<_> = runtime.functions.iter().collect();
    functions.sort_by_key(|(id, _)| **id);
    let functions: Vec<Value> = functions
        .into_iter()
        .map(|(id, served)| {
            let mut entry = object(&served.counters.snapshot());
            entry.insert("id".into(), json!(format!("{id:#06x}")));
            entry.insert("name".into(), json!(served.function.name()));
            entry.insert("module".into(), json!(served.function.module()));
            entry.insert("version".into(), json!(served.function.version()));
            entry.insert("counters".into(), own_counters(&served.function));
            Value::Object(entry)
        })
        .collect();
    let locators: Vec<String> = config
        .locators
        .iter()
        .map(|l| l.prefix.to_string())
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime_seconds": uptime.as_secs(),
        "capture": capture,
        "workers": proxy.workers(),
        "locators": locators,
        "functions": functions,
        "counters": object(&proxy.shared().counters.snapshot()),
        "kernel": { "ip6_in_hdr_errors_packets": header_errors() },
    })
}

/// What a function counts itself, sorted by name and label.
fn own_counters(function: &Function) -> Value {
    let counters = function.counters().into_iter();
    counters
        .map(|NamedCounter { name, label, value }| {
            json!({ "name": name, "label": label, "value": value })
        })
        .collect()
}

/// `flows`: the live flows, oldest first.
pub fn flows(mut flows: Vec<FlowSnapshot>) -> Value {
    flows.sort_by_key(|flow| std::cmp::Reverse(flow.age));
    let flows: Vec<Value> = flows
        .iter()
        .map(|flow| {
            let functions: Vec<String> = flow
                .functions
                .iter()
                .map(|id| format!("{id:#06x}"))
                .collect();
            json!({
                "client": flow.client.to_string(),
                "server": flow.server.to_string(),
                "state": flow.state,
                "functions": functions,
                "age_seconds": flow.age.as_secs(),
                "upstream_in_bytes": flow.moved.upstream_in,
                "upstream_out_bytes": flow.moved.upstream_out,
                "downstream_in_bytes": flow.moved.downstream_in,
                "downstream_out_bytes": flow.moved.downstream_out,
                "spliced_bytes": flow.moved.spliced,
            })
        })
        .collect();
    json!({ "flows": flows })
}

/// `doctor`: every feature, and whether all that nothing works without are here.
pub fn doctor(findings: &[Finding]) -> Value {
    let package = |name: &str| (name != BUILT_IN).then(|| name.to_owned());
    let features: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "feature": finding.feature,
                "offered": finding.offered,
                "required": finding.required,
                "needed_for": finding.needed_for,
                "openwrt_package": package(finding.openwrt),
                "debian_package": package(finding.debian),
                "reason": finding.reason,
            })
        })
        .collect();
    let usable = findings.iter().all(|f| f.offered || !f.required);
    json!({ "usable": usable, "features": features })
}

fn object(counters: &[(&'static str, u64)]) -> Map<String, Value> {
    counters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect()
}

/// Packets of this network namespace that the kernel dropped for their headers: an SRH whose
/// `segments_left` lies beyond its list never reaches us (`ipv6_srh_rcv`, net/ipv6/exthdrs.c).
fn header_errors() -> Option<u64> {
    let table = fs::read_to_string("/proc/thread-self/net/snmp6").ok()?;
    let line = table
        .lines()
        .find(|line| line.starts_with("Ip6InHdrErrors "))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
