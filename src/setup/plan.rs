//! What the kernel has to be told for a configuration, as a list of steps; pure.
//!
//! `app` plans, prints the plan for `check`, or hands it to `apply`. Each step prints itself as
//! the command that would do the same by hand. Read first: [`crate::config::mark`], ip-rule(8).
//!
//! # How packets find their way
//! The nft table marks them (see `ruleset`); the rules here act on the marks, `b` being
//! `Main::preference`, `T` `Main::table`, `n` the index of a policy or return:
//!
//! | preference | rule |
//! |---|---|
//! | b | `iif lo goto b+2`: the sockets of marked flows carry the mark too (`tcp_fwmark_accept`), and what they send must not come back |
//! | b+1 | `fwmark LOCAL lookup T`, where everything is local |
//! | b+2 | `nop` |
//! | b+3+2n | policy to another router's SID: `fwmark path to FIRST SID goto b+300`, or the packet that has its SRH by now would get another one |
//! | b+4+2n | the same: `fwmark path lookup T+1+n`, whose default route inserts the SRH |
//! | b+4+2n | return: `iif lo fwmark LOCAL+path lookup T+1+n`, whose default route is the gateway |
//! | b+300 | `nop` |

use std::fmt;
use std::net::Ipv6Addr;

use crate::config::Config;
use crate::config::mark::PathNumber;
use crate::config::model::{Device, Network, PathKind, Policy};
use crate::netlink::route::Route;
use crate::netlink::rule::{Action, Masked, Rule};
use crate::setup::ruleset::Ruleset;
use crate::setup::sysctl::Sysctl;
use crate::wire::sid::Locator;

/// How the SRH of a SYN is learnt, once `auto` is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureWay {
    /// `TCP_SAVED_SYN` at accept.
    SavedSyn,
    /// The SYN is held in an NFQUEUE.
    Nfqueue,
}

/// One thing to tell the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Set a sysctl.
    Sysctl(Sysctl),
    /// Make the device that the SIDs are seen on, and switch it on.
    Link(Device),
    /// Add a route.
    Route(Route),
    /// Add a routing rule.
    Rule(Rule),
    /// Load our nft table.
    Ruleset(Ruleset),
}

/// Everything the kernel has to be told for one configuration, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps; undone in reverse.
    pub steps: Vec<Step>,
    /// Devices that must exist, with the line of the configuration that names each.
    pub devices: Vec<(Device, u32)>,
}

/// Plans for `config`.
pub fn plan(config: &Config, way: CaptureWay) -> Plan {
    let mut steps = sysctls(config);
    let routes = routes(config);
    if routes.iter().any(|route| route.device == nfv0()) {
        steps.push(Step::Link(nfv0()));
    }
    steps.extend(routes.into_iter().map(Step::Route));
    steps.extend(rules(config).into_iter().map(Step::Rule));
    steps.push(Step::Ruleset(Ruleset::new(config, way)));
    Plan {
        steps,
        devices: devices(config),
    }
}

/// The device the SIDs are seen on.
pub fn nfv0() -> Device {
    Device::new("nfv0").expect("four letters are a name")
}

/// The loopback device.
pub fn lo() -> Device {
    Device::new("lo").expect("two letters are a name")
}

/// Whether the first segment of `policy` is ours: then its flows start in our own proxy.
pub fn is_local_first(config: &Config, policy: &Policy) -> bool {
    policy
        .segments
        .first()
        .is_some_and(|first| config.locators.iter().any(|l| l.prefix.contains(*first)))
}

fn sysctls(config: &Config) -> Vec<Step> {
    let mut list: Vec<Sysctl> = Vec::new();
    if !config.locators.is_empty() {
        list.push(Sysctl::seg6_enabled("all"));
        list.push(Sysctl::tcp_mtu_probing());
    }
    for device in config.locators.iter().flat_map(|l| &l.devices) {
        let sysctl = Sysctl::seg6_enabled(device.as_str());
        if !list.contains(&sysctl) {
            list.push(sysctl);
        }
    }
    // Accepted sockets have to carry the mark of their SYN: it names the policy or the return.
    if !config.returns.is_empty() || config.policies.iter().any(|p| is_local_first(config, p)) {
        list.push(Sysctl::tcp_fwmark_accept());
    }
    if config.main.tuning {
        list.extend(Sysctl::tuning());
    }
    list.into_iter().map(Step::Sysctl).collect()
}

fn routes(config: &Config) -> Vec<Route> {
    let mut list: Vec<Route> = config
        .locators
        .iter()
        .map(|locator| Route {
            destination: Network {
                address: locator.prefix.address(),
                length: Locator::PREFIX_LENGTH,
            },
            ..local(nfv0(), Route::TABLE_LOCAL)
        })
        .collect();
    list.push(local(lo(), config.main.table));
    for (number, kind) in config.paths() {
        let table = table(config, number);
        list.push(match kind {
            // Its flows start in our own proxy: the mark is for that to read.
            PathKind::Policy(policy) if is_local_first(config, policy) => continue,
            PathKind::Policy(policy) => Route {
                local: false,
                segments: policy.segments.clone(),
                ..local(nfv0(), table)
            },
            PathKind::Return(path) => Route {
                local: false,
                gateway: Some(path.gateway),
                ..local(path.device.clone(), table)
            },
        });
    }
    list
}

fn local(device: Device, table: u32) -> Route {
    Route {
        local: true,
        destination: EVERYTHING,
        gateway: None,
        segments: Vec::new(),
        device,
        table,
    }
}

const EVERYTHING: Network = Network {
    address: Ipv6Addr::UNSPECIFIED,
    length: 0,
};

/// Where a remote policy's packets go on once they carry their SRH; above the last path's rule.
const END: u32 = 300;

fn rules(config: &Config) -> Vec<Rule> {
    let mark = config.main.mark;
    let base = config.main.preference;
    let rule = |offset: u32, action| Rule {
        preference: base.saturating_add(offset),
        device: None,
        mark: None,
        destination: None,
        action,
    };
    let end = base.saturating_add(END);
    let mut list = vec![
        Rule {
            device: Some(lo()),
            ..rule(0, Action::Goto(base.saturating_add(2)))
        },
        Rule {
            mark: Some(Masked {
                value: mark.local(),
                mask: mark.local(),
            }),
            ..rule(1, Action::Lookup(config.main.table))
        },
        rule(2, Action::Nop),
    ];
    let mut jumps = false;
    for (number, kind) in config.paths() {
        let lookup = rule(4 + 2 * index(number), Action::Lookup(table(config, number)));
        match kind {
            PathKind::Policy(policy) if is_local_first(config, policy) => {}
            PathKind::Policy(policy) => {
                let masked = Some(Masked {
                    value: mark.path(number),
                    mask: mark.mask(),
                });
                jumps = true;
                list.push(Rule {
                    mark: masked,
                    destination: policy.segments.first().map(|first| Network {
                        address: *first,
                        length: 128,
                    }),
                    ..rule(3 + 2 * index(number), Action::Goto(end))
                });
                list.push(Rule {
                    mark: masked,
                    ..lookup
                });
            }
            PathKind::Return(_) => list.push(Rule {
                device: Some(lo()),
                mark: Some(Masked {
                    value: mark.local_path(number),
                    mask: mark.mask(),
                }),
                ..lookup
            }),
        }
    }
    if jumps {
        list.push(rule(END, Action::Nop));
    }
    list
}

fn table(config: &Config, path: PathNumber) -> u32 {
    config.main.table.saturating_add(1 + index(path))
}

fn index(path: PathNumber) -> u32 {
    u32::try_from(path.index()).expect("a path's index is below PathNumber::MAX")
}

fn devices(config: &Config) -> Vec<(Device, u32)> {
    let locators = config
        .locators
        .iter()
        .flat_map(|l| l.devices.iter().map(|d| (d.clone(), l.line)));
    let policies = config
        .policies
        .iter()
        .flat_map(|p| p.devices.iter().map(|d| (d.clone(), p.line)));
    let returns = config.returns.iter().map(|r| (r.device.clone(), r.line));
    locators.chain(policies).chain(returns).collect()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysctl(sysctl) if sysctl.at_least => {
                write!(f, "sysctl -w {sysctl}    # each number that is not higher")
            }
            Self::Sysctl(sysctl) => write!(f, "sysctl -w {sysctl}"),
            Self::Link(device) => write!(
                f,
                "ip link add {device} type dummy    # a bridge where the kernel has no dummy\n\
                 ip link set {device} addrgenmode none\n\
                 ip link set {device} up"
            ),
            Self::Route(route) => write!(f, "ip -6 route add {route}"),
            Self::Rule(rule) => write!(f, "ip -6 rule add {rule}"),
            Self::Ruleset(ruleset) => {
                if ruleset.by_xtables.is_some() {
                    f.write_str(
                        "# where the kernel has no nft queue: a chain with xtables' NFQUEUE\n",
                    )?;
                }
                write!(f, "nft -f - <<'END'\n{}END", ruleset.text)
            }
        }
    }
}

/// One command per line, in order: a script that does by hand what `run` does.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
