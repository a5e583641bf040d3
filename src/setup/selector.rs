//! Which packets a rule of our table is about, in nft's words; pure.
//!
//! `ruleset` puts what becomes of them behind these. Read first: nft(8), "payload expressions".

use std::fmt::Write as _;

use crate::config::model::{Device, Network, Policy, PortRange};

/// The router's own addresses stay reachable under a policy without destinations.
pub const NOT_FOR_US: &str = "fib daddr type unicast";

/// Packets that a policy is about and that do not have an SRH.
pub fn plain(policy: &Policy) -> String {
    let packets = packets("iifname", policy, "daddr", "dport");
    format!("{packets} exthdr rt missing")
}

/// What comes back from where a policy's packets go.
pub fn back(policy: &Policy) -> String {
    packets("oifname", policy, "saddr", "sport")
}

fn packets(device: &str, policy: &Policy, address: &str, port: &str) -> String {
    let mut text = format!("{device} {}", names(&policy.devices));
    if let Some(networks) = networks(&policy.dests) {
        let _ = write!(text, " ip6 {address} {networks}");
    }
    if policy.ports.is_empty() {
        text.push_str(" meta l4proto tcp");
    } else {
        let list = joined(policy.ports.iter().map(PortRange::to_string));
        let _ = write!(text, " tcp {port} {{ {list} }}");
    }
    text
}

/// A set of networks, if there are any; nft merges those that overlap.
pub fn networks(networks: &[Network]) -> Option<String> {
    let list = joined(networks.iter().map(Network::to_string));
    (!networks.is_empty()).then(|| format!("{{ {list} }}"))
}

/// Packets that came in by one of `devices`.
pub fn from(devices: &[Device]) -> String {
    format!("iifname {}", names(devices))
}

fn names(devices: &[Device]) -> String {
    let list = joined(devices.iter().map(|device| format!("\"{device}\"")));
    format!("{{ {list} }}")
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
