//! What this kernel offers and lacks for us, feature by feature; leaves nothing behind.
//!
//! `srv6pipes doctor` prints it. What can only be found out by doing it is done in a network
//! namespace that exists for as long as the question. The OpenWrt packages are those of 24.10
//! and later; Debian's kernel package has all of it.

use std::fmt;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::model::{Device, Network};
use crate::netlink::link::{self, Kind};
use crate::netlink::route::Route;
use crate::netlink::{self, nf};
use crate::setup::expression::{self, Expression};
use crate::setup::nft;
use crate::setup::plan::nfv0;
use crate::setup::ruleset::{TABLE, xtables_chain};
use crate::setup::sysctl;
use crate::sys::capability::{Capability, NET_ADMIN, NET_BIND_SERVICE, NET_RAW};
use crate::sys::option;

/// One feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub feature: &'static str,
    /// Whether it is here.
    pub offered: bool,
    /// Whether nothing works without it.
    pub required: bool,
    /// What needs it.
    pub needed_for: &'static str,
    /// OpenWrt's package that brings it, or several of them.
    pub openwrt: &'static str,
    /// Debian's package that brings it.
    pub debian: &'static str,
    /// Why it is not here: what the kernel, or `nft`, said.
    pub reason: Option<String>,
}

/// Asks everything.
pub fn probe() -> Vec<Finding> {
    let mut findings = privileges();
    findings.extend(in_fresh_namespace(firewall));
    findings.extend(in_fresh_namespace(routing));
    findings.extend(in_fresh_namespace(sockets));
    findings.push(forwarding());
    findings
}

/// Prints `findings` as a table, one line each.
pub fn table(findings: &[Finding]) -> Table<'_> {
    Table(findings)
}

/// See [`table`].
#[derive(Debug)]
pub struct Table<'a>(&'a [Finding]);

/// What is asked for, before it is known.
#[derive(Debug, Clone, Copy)]
struct Feature {
    name: &'static str,
    required: bool,
    needed_for: &'static str,
    openwrt: &'static str,
    debian: &'static str,
}

/// Nothing to install: it is a privilege, a setting, or part of every kernel of that system.
pub const BUILT_IN: &str = "-";
const KERNEL: &str = "linux-image";

impl Feature {
    const fn new(name: &'static str, needed_for: &'static str, openwrt: &'static str) -> Self {
        Self {
            name,
            required: true,
            needed_for,
            openwrt,
            debian: KERNEL,
        }
    }

    const fn optional(self) -> Self {
        Self {
            required: false,
            ..self
        }
    }

    const fn on_debian(self, debian: &'static str) -> Self {
        Self { debian, ..self }
    }

    fn found<T, E: fmt::Display>(self, result: Result<T, E>) -> Finding {
        Finding {
            feature: self.name,
            offered: result.is_ok(),
            required: self.required,
            needed_for: self.needed_for,
            openwrt: self.openwrt,
            debian: self.debian,
            reason: result.err().map(|error| error.to_string()),
        }
    }
}

/// Runs `ask` on a thread of its own in a network namespace of its own; in ours when we may not
/// have one, where `ask` must not do anything then.
fn in_fresh_namespace(ask: fn(fresh: bool) -> Vec<Finding>) -> Vec<Finding> {
    std::thread::spawn(move || ask(unshare(CloneFlags::CLONE_NEWNET).is_ok()))
        .join()
        .unwrap_or_default()
}

fn not_tried<T>(fresh: bool, attempt: impl FnOnce() -> Result<T, netlink::Error>) -> Attempt {
    if !fresh {
        return Err("not tried: no permission for a network namespace".to_owned());
    }
    attempt().map(|_| ()).map_err(|error| error.to_string())
}

type Attempt = Result<(), String>;

fn privileges() -> Vec<Finding> {
    let feature = |capability: Capability, needed_for| {
        let here = capability.is_here();
        Feature::new(capability.name, needed_for, BUILT_IN)
            .on_debian(BUILT_IN)
            .found(here.then_some(()).ok_or("run as root"))
    };
    vec![
        feature(NET_ADMIN, "set-up, transparent sockets"),
        feature(NET_RAW, "answers in the server's name"),
        Finding {
            required: false,
            ..feature(NET_BIND_SERVICE, "clients with ports below 1024")
        },
    ]
}

const NFT: Feature =
    Feature::new("nft", "the firewall table", "nftables-json").on_debian("nftables");

fn firewall(fresh: bool) -> Vec<Finding> {
    let program = match nft::probe("accept") {
        Err(nft::Error::Refused(_)) | Ok(()) => Ok(()),
        other => other,
    };
    let mut findings = vec![NFT.found(program)];
    findings.extend(expression::ALL.iter().map(|expression| {
        let Expression {
            name,
            needed_for,
            openwrt,
            ..
        } = *expression;
        Feature {
            required: expression.required,
            ..Feature::new(name, needed_for, openwrt)
        }
        .found(nft::probe(expression.rule))
    }));
    findings.push(
        Feature::new(
            "xtables NFQUEUE in nft",
            "capture nfqueue without nft queue",
            "kmod-nft-compat kmod-ipt-nfqueue",
        )
        .optional()
        .found(not_tried(fresh, xtables_queue)),
    );
    findings.push(
        Feature::new("nfnetlink_queue", "capture nfqueue", "kmod-nfnetlink-queue")
            .optional()
            .found(not_tried(fresh, || {
                let bound = nfq::Queue::open().and_then(|mut queue| queue.bind(0));
                bound.map_err(|errno| netlink::Error {
                    op: "bind to queue 0".to_owned(),
                    errno,
                    reason: None,
                })
            })),
    );
    findings
}

fn xtables_queue() -> Result<(), netlink::Error> {
    let chain = xtables_chain(0);
    // If this fails the next one does, and says more.
    let _ = nft::load(&format!(
        "table ip6 {TABLE} {{\n\tchain {chain} {{\n\t}}\n}}\n"
    ));
    nf::append_queue(&mut netlink::Socket::netfilter()?, TABLE, &chain, 0)
}

fn routing(fresh: bool) -> Vec<Finding> {
    let seg6 = sysctl::read("net/ipv6/conf/all/seg6_enabled");
    let dummy = not_tried(fresh, || make(Kind::Dummy));
    let bridge = not_tried(fresh, || make(Kind::Bridge));
    let encapsulation = not_tried(fresh, || {
        let mut socket = netlink::Socket::route()?;
        let device = Device::new("probe").unwrap_or_else(nfv0);
        link::create(&mut socket, &device, Kind::Bridge)
            .or_else(|_| link::create(&mut socket, &device, Kind::Dummy))?;
        link::up(&mut socket, &device)?;
        Route {
            local: false,
            destination: Network {
                address: [0; 16].into(),
                length: 0,
            },
            gateway: None,
            segments: vec![[0xfd; 16].into()],
            device,
            table: 1,
        }
        .add(&mut socket)
    });
    // Either will do for nfv0.
    let device = |name, openwrt, other: &Attempt| Feature {
        required: other.is_err(),
        ..Feature::new(name, "nfv0, where the SIDs are seen", openwrt)
    };
    vec![
        Feature::new("seg6", "everything", BUILT_IN).found(seg6),
        Feature::new("seg6 routes", "policies to other routers", BUILT_IN)
            .optional()
            .found(encapsulation),
        device("dummy", "kmod-dummy", &bridge).found(dummy.clone()),
        device("bridge", BUILT_IN, &dummy).found(bridge),
    ]
}

fn make(kind: Kind) -> Result<(), netlink::Error> {
    let mut socket = netlink::Socket::route()?;
    link::create(&mut socket, &nfv0(), kind)?;
    link::delete(&mut socket, &nfv0())
}

fn sockets(_fresh: bool) -> Vec<Finding> {
    let open = |protocol| Socket::new(Domain::IPV6, Type::STREAM, Some(protocol));
    let saved = || -> io::Result<()> {
        let socket = open(Protocol::TCP)?;
        setsockopt(&socket, sockopt::IpTransparent, &true)?;
        option::save_syn(&socket)
    };
    vec![
        Feature::new("TCP_SAVE_SYN", "capture saved_syn", BUILT_IN).found(saved()),
        Feature::new("MPTCP", "bonding", BUILT_IN)
            .optional()
            .found(open(Protocol::MPTCP)),
    ]
}

/// In the namespace we run in: this one is a setting.
fn forwarding() -> Finding {
    let on = match sysctl::read("net/ipv6/conf/all/forwarding") {
        Ok(value) if value == "0" => Err("net.ipv6.conf.all.forwarding=0".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    Feature::new("IPv6 forwarding", "on_failure bypass, policies", BUILT_IN)
        .optional()
        .on_debian(BUILT_IN)
        .found(on)
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["feature", "here", "needed for", "OpenWrt", "Debian"];
        let rows: Vec<[&str; 5]> = self.0.iter().map(Finding::row).collect();
        let width = |column: usize| {
            let lengths = rows.iter().map(|row| row[column].len());
            lengths.fold(head[column].len(), usize::max)
        };
        let widths = [width(0), width(1), width(2), width(3)];
        let reasons = self.0.iter().map(|finding| finding.reason.as_deref());
        for (row, reason) in std::iter::once((&head, None)).chain(rows.iter().zip(reasons)) {
            for (text, width) in row.iter().zip(widths) {
                write!(f, "{text:width$}  ")?;
            }
            writeln!(f, "{}", row[4])?;
            // Of several lines the first says what, the others show where.
            if let Some(reason) = reason.and_then(|text| text.lines().next()) {
                writeln!(f, "  {reason}")?;
            }
        }
        Ok(())
    }
}

impl Finding {
    fn row(&self) -> [&str; 5] {
        let here = match (self.offered, self.required) {
            (true, _) => "yes",
            (false, true) => "NO",
            (false, false) => "no",
        };
        [
            self.feature,
            here,
            self.needed_for,
            self.openwrt,
            self.debian,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let queue = Feature::new("nft queue", "capture nfqueue", "kmod-nft-queue").optional();
        let findings = [
            NFT.found(Ok::<(), String>(())),
            queue.found(Err::<(), _>("No such file\n^^^")),
        ];
        assert_eq!(
            table(&findings).to_string(),
            "feature    here  needed for          OpenWrt         Debian\n\
             nft        yes   the firewall table  nftables-json   nftables\n\
             nft queue  no    capture nfqueue     kmod-nft-queue  linux-image\n  No such file\n"
        );
        assert!(findings.iter().all(|f| !f.required || f.offered));
    }
}
