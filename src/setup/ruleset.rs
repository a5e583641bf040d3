//! Our one nft table as text; pure.
//!
//! `plan` renders it, `nft` loads it. The packets it sees: a client's SYN with an SRH for one of
//! our SIDs, the rest of such a flow, what the other side answers, and plain traffic that a
//! policy gives an SRH. Read first: nft(8), RFC 8754 section 2 for the offsets, and
//! [`crate::config::mark`].
//!
//! # What had to be found out
//! - `tproxy` only for SYNs and for what is rewritten as they are: nft looks established sockets up
//!   by the packet's outer address, the SID, and would hand data to the listener.
//! - A SYN is rewritten to its final destination before a second `tproxy`, which then sees the
//!   flow's true addresses and ends a TIME_WAIT socket in its way; without that such SYNs are
//!   dropped for 60 s. What the rewriting would lose, `segments_left`, is put in the tag's
//!   high byte first.
//! - The rewriting is raw on purpose: `ip6 daddr set` makes nft "repair" the TCP checksum, which
//!   was right for the final destination all along. Never load what `nft list` prints: it shows
//!   the raw write as `ip6 daddr set`.
//! - `tproxy` breaks off its rule when nobody listens: the rules behind it are what happens then.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::config::Config;
use crate::config::mark::{MarkMask, PathNumber};
use crate::config::model::{Device, Locator, OnFailure, PathKind, Policy};
use crate::setup::plan::{CaptureWay, is_local_first};
use crate::setup::quoted;
use crate::setup::selector::{self, NOT_FOR_US, from, networks, plain};
use crate::setup::statement::{
    ACK, CLEAR_SEGMENTS_LEFT, FLOW, NOT_SYN, RESET, SHORT, SRH_IN_PLACE, STASH_SEGMENTS_LEFT, SYN,
    SYN_ACK, TO_FINAL_DESTINATION,
};

/// Our table, in both spellings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// As nft's language says it.
    pub text: String,
    /// What takes its place on a kernel without nft's `queue`.
    pub by_xtables: Option<ByXtables>,
}

/// Our table for a kernel that has xtables' NFQUEUE only: SYNs jump to a chain whose one rule
/// nft's language cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByXtables {
    /// The number of the queue.
    pub queue: u16,
    /// The chain; its name has the number, so that it never has to be filled anew.
    pub chain: String,
    /// The table, with the chain empty.
    pub text: String,
}

/// Our table's name; its family is `ip6`.
pub const TABLE: &str = "srv6pipes";

impl Ruleset {
    /// Renders the table.
    pub fn new(config: &Config, way: CaptureWay) -> Self {
        let queue = config.main.queue;
        if way == CaptureWay::SavedSyn {
            return Self {
                text: render(config, None),
                by_xtables: None,
            };
        }
        let chain = xtables_chain(queue);
        Self {
            text: render(config, Some(&Hold::Queue(queue))),
            by_xtables: Some(ByXtables {
                queue,
                text: render(config, Some(&Hold::Jump(chain.clone()))),
                chain,
            }),
        }
    }
}

/// The name of the chain that holds the xtables rule for `queue`.
pub fn xtables_chain(queue: u16) -> String {
    format!("xt_queue_{queue}")
}

/// How a SYN gets into the queue.
enum Hold {
    Queue(u16),
    Jump(String),
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(queue) => write!(f, "queue num {queue} bypass"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
        }
    }
}

fn render(config: &Config, hold: Option<&Hold>) -> String {
    let rules = Rules {
        config,
        mark: config.main.mark,
        tproxy: format!("tproxy to [::1]:{}", config.main.port),
    };
    let mut text = format!("table ip6 {TABLE} {{\n");
    if config.locators.iter().any(bypasses) {
        // The timeout stands in the rules: a set whose default timeout changes could not be
        // kept across a reload.
        text.push_str(
            "\tset bypassed {\n\
             \t\ttype ipv6_addr . inet_service . ipv6_addr . inet_service\n\
             \t\tsize 65535\n\
             \t\tflags dynamic,timeout\n\
             \t}\n",
        );
    }
    if let Some(Hold::Jump(name)) = hold {
        chain(&mut text, name, None, &[]);
    }
    if let Some(hold) = hold {
        let hook = "type filter hook prerouting priority mangle - 1";
        chain(&mut text, "hold", Some(hook), &rules.hold(hold));
    }
    let to_us = rules.set(rules.mark.local());
    chain(&mut text, quoted::CHAIN, None, &quoted::rules(&to_us));
    let hook = "type filter hook prerouting priority mangle";
    let prerouting = rules.prerouting(hold.is_some());
    chain(&mut text, "prerouting", Some(hook), &prerouting);
    let clamp = rules.clamp();
    if !clamp.is_empty() {
        let hook = "type filter hook forward priority mangle";
        chain(&mut text, "clamp", Some(hook), &clamp);
    }
    text.push_str("}\n");
    text
}

fn chain(text: &mut String, name: &str, hook: Option<&str>, rules: &[String]) {
    let _ = writeln!(text, "\tchain {name} {{");
    if let Some(hook) = hook {
        let _ = writeln!(text, "\t\t{hook}; policy accept;");
    }
    for rule in rules {
        let _ = writeln!(text, "\t\t{rule}");
    }
    text.push_str("\t}\n");
}

struct Rules<'a> {
    config: &'a Config,
    mark: MarkMask,
    tproxy: String,
}

impl Rules<'_> {
    /// SYNs that the capture of `nfqueue` wants to see before anything else happens to them.
    fn hold(&self, hold: &Hold) -> Vec<String> {
        let mut list = Vec::new();
        for locator in &self.config.locators {
            list.extend(stranger(locator));
            let (from, prefix) = (from(&locator.devices), locator.prefix);
            list.push(format!("{from} ip6 daddr {prefix} rt type 4 {SYN} {hold}"));
        }
        for (path, policy) in self.policies() {
            let plain = plain(policy);
            // The first policy that matches wins: a remote one ends the search.
            list.push(if is_local_first(self.config, policy) {
                let mark = self.set(self.mark.path(path));
                format!("{plain} {SYN} {NOT_FOR_US} {mark} {hold}")
            } else {
                format!("{plain} {SYN} accept")
            });
        }
        list
    }

    fn prerouting(&self, holds: bool) -> Vec<String> {
        let mut list = Vec::new();
        if holds {
            list.extend(self.refused());
        }
        for locator in &self.config.locators {
            list.extend(stranger(locator));
            self.data_to_us(locator, &mut list);
            self.syn_to_us(locator, &mut list);
            nobody_listens(locator, self.timeout(), &mut list);
            self.rest_of_flow(locator, &mut list);
        }
        for (path, policy) in self.policies() {
            let plain = plain(policy);
            list.push(if is_local_first(self.config, policy) {
                let mark = self.set(self.mark.local_path(path));
                format!("{plain} {SYN} {NOT_FOR_US} {} {mark} accept", self.tproxy)
            } else {
                format!("{plain} {SYN} {} accept", self.set(self.mark.path(path)))
            });
        }
        // Replies, and plain packets of flows we own. Not SYNs: a socket in TIME_WAIT would
        // swallow a new connection that has nothing to do with us.
        let local = self.set(self.mark.local());
        list.push(format!("{NOT_SYN} socket transparent 1 {local} accept"));
        list.push(quoted::JUMP.to_owned());
        for (path, policy) in self.policies() {
            if !is_local_first(self.config, policy) {
                let mark = self.set(self.mark.path(path));
                list.push(format!("{} {mark} accept", plain(policy)));
            }
        }
        list
    }

    /// The capture said no: the answer has to come from the address the client wanted.
    fn refused(&self) -> [String; 3] {
        let refused = format!(
            "meta mark & {:#x} == {:#x} {SYN}",
            self.mark.mask(),
            self.mark.refused()
        );
        [
            format!("{refused} {SRH_IN_PLACE} {TO_FINAL_DESTINATION} {RESET}"),
            format!("{refused} exthdr rt missing {RESET}"),
            format!("{refused} drop"),
        ]
    }

    fn syn_to_us(&self, locator: &Locator, list: &mut Vec<String>) {
        let prefix = locator.prefix;
        let tproxy = &self.tproxy;
        for (from, mark) in self.arrivals(locator) {
            list.push(format!(
                "{from} ip6 daddr {prefix} rt type 4 {SYN} {tproxy} {mark}"
            ));
        }
        let local = self.mark.local();
        let ours = format!("{SYN} meta mark & {local:#x} == {local:#x}");
        let forget = if bypasses(locator) {
            format!("delete @bypassed {{ {FLOW} }} ")
        } else {
            String::new()
        };
        list.push(format!(
            "ip6 daddr {prefix} {SRH_IN_PLACE} rt seg-left >= 1 {ours} {forget}\
             {STASH_SEGMENTS_LEFT} {TO_FINAL_DESTINATION} {CLEAR_SEGMENTS_LEFT} {tproxy} accept"
        ));
        // Other headers before the SRH, or nothing left to rewrite.
        list.push(format!(
            "ip6 daddr {prefix} rt type 4 {ours} {forget}accept"
        ));
    }

    /// By which devices flows come in, and their mark: those with a return path one by one.
    fn arrivals(&self, locator: &Locator) -> Vec<(String, String)> {
        let (mut list, mut others) = (Vec::new(), Vec::new());
        for device in &locator.devices {
            match self.return_of(device) {
                Some(path) => {
                    let mark = self.set(self.mark.local_path(path));
                    list.push((from(std::slice::from_ref(device)), mark));
                }
                None => others.push(device.clone()),
            }
        }
        if !others.is_empty() {
            list.push((from(&others), self.set(self.mark.local())));
        }
        list
    }

    /// What brings a SYN cookie back belongs to no socket yet: `tproxy` takes it to the listener,
    /// if there is none by the flow's true addresses. The mark stands before it, so that without
    /// a listener the packet is answered here, as all data is.
    fn cookies(&self, locator: &Locator, list: &mut Vec<String>) {
        let (prefix, tproxy) = (locator.prefix, &self.tproxy);
        for (from, mark) in self.arrivals(locator) {
            list.push(format!(
                "ip6 daddr {prefix} {SHORT} {from} {SRH_IN_PLACE} rt seg-left >= 1 {ACK} {mark} \
                 {STASH_SEGMENTS_LEFT} {TO_FINAL_DESTINATION} {CLEAR_SEGMENTS_LEFT} {tproxy} accept"
            ));
        }
    }

    /// Data of our flows: nearly all packets, so they leave before the rules for SYNs.
    fn data_to_us(&self, locator: &Locator, list: &mut Vec<String>) {
        if bypasses(locator) {
            return;
        }
        self.cookies(locator, list);
        let prefix = locator.prefix;
        let local = self.set(self.mark.local());
        list.push(format!(
            "ip6 daddr {prefix} {NOT_SYN} rt type 4 {local} accept"
        ));
    }

    /// Whatever else is of our flows, outbound and back: the kernel's own SRH processing consumes
    /// what is left of the segment list and delivers.
    fn rest_of_flow(&self, locator: &Locator, list: &mut Vec<String>) {
        let prefix = locator.prefix;
        if bypasses(locator) {
            let refresh = refresh(self.timeout());
            list.push(format!(
                "ip6 daddr {prefix} rt type 4 meta l4proto tcp {FLOW} @bypassed {refresh} accept"
            ));
            self.cookies(locator, list);
        }
        let local = self.set(self.mark.local());
        list.push(format!(
            "ip6 daddr {prefix} rt type 4 meta l4proto tcp {local} accept"
        ));
    }

    /// The client's packets grow by the SRH after the server has learnt how large they may be.
    /// nft's `maxseg size set` only ever lowers (`nft_exthdr_tcp_set_eval`).
    fn clamp(&self) -> Vec<String> {
        self.policies()
            .filter(|(_, policy)| !is_local_first(self.config, policy))
            .map(|(_, policy)| {
                let back = selector::back(policy);
                let size = largest_segment(policy);
                format!("{back} {SYN_ACK} tcp option maxseg size set {size} accept")
            })
            .collect()
    }

    fn policies(&self) -> impl Iterator<Item = (PathNumber, &Policy)> {
        self.config.paths().filter_map(|(number, kind)| match kind {
            PathKind::Policy(policy) => Some((number, policy)),
            PathKind::Return(_) => None,
        })
    }

    fn return_of(&self, device: &Device) -> Option<PathNumber> {
        self.config.paths().find_map(|(number, kind)| match kind {
            PathKind::Return(path) if path.device == *device => Some(number),
            _ => None,
        })
    }

    fn set(&self, value: u32) -> String {
        let others = !self.mark.mask();
        format!("meta mark set meta mark & {others:#x} | {value:#x}")
    }

    fn timeout(&self) -> Duration {
        self.config.main.idle_timeout
    }
}

/// Whoever may not name our SIDs gets no answer. Not only SYNs: the kernel would carry on the
/// rest.
fn stranger(locator: &Locator) -> Option<String> {
    let friends = networks(&locator.sources)?;
    let prefix = locator.prefix;
    Some(format!(
        "ip6 daddr {prefix} rt type 4 ip6 saddr != {friends} drop"
    ))
}

/// Never deliver locally without `tproxy`: a listener of this router, its web server say, would
/// answer for the server.
fn nobody_listens(locator: &Locator, timeout: Duration, list: &mut Vec<String>) {
    let prefix = locator.prefix;
    list.push(match locator.on_failure {
        OnFailure::Refuse => {
            format!("ip6 daddr {prefix} {SRH_IN_PLACE} {SYN} {TO_FINAL_DESTINATION} {RESET}")
        }
        // Unmarked: the kernel's own SRH processing carries it on.
        OnFailure::Bypass => {
            let remember = refresh(timeout);
            format!("ip6 daddr {prefix} rt type 4 {SYN} {remember} accept")
        }
    });
    // Headers we cannot rewrite, or @bypassed is full.
    list.push(format!("ip6 daddr {prefix} rt type 4 {SYN} drop"));
}

fn refresh(timeout: Duration) -> String {
    format!(
        "update @bypassed {{ {FLOW} timeout {}s }}",
        timeout.as_secs()
    )
}

fn bypasses(locator: &Locator) -> bool {
    locator.on_failure == OnFailure::Bypass
}

/// What fits beside the IPv6 header (40), the SRH (8 and 16 per segment, the final destination
/// being one more) and the TCP header (20).
fn largest_segment(policy: &Policy) -> u16 {
    let segments = u16::try_from(policy.segments.len()).unwrap_or(u16::MAX);
    let srh = segments
        .saturating_add(1)
        .saturating_mul(16)
        .saturating_add(8);
    policy.mtu.saturating_sub(40 + 20).saturating_sub(srh)
}
