//! The laboratory: client, proxies and server in a row, each in a network namespace of its own,
//! joined by veth pairs. `srv6pipes demo` and the tests in tests/ stand on it.
//!
//! ```text
//!  C to-p1──to-c P1 to-p2──to-p1 P2 to-s──to-p2 S
//!  fd00:c::1   ::2     fd00:1:1::/64     ::2   fd00:5::1      proxy i: locator fd00:99:i::/80
//! ```
//!
//! Nothing but stock iproute2 and the kernel's own forwarding: the client becomes a source of
//! segments by one route (ip-route(8), `encap seg6 mode inline`). The proxies are plain routers
//! until a daemon runs in them; their seg6 sysctls are the daemon's to set and to put back.

use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::demo::namespace::{self, Error, Namespace};
use crate::demo::program;

/// The client's address.
pub const CLIENT: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xc, 0, 0, 0, 0, 0, 1);
/// The server's address.
pub const SERVER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x5, 0, 0, 0, 0, 0, 1);

/// What a laboratory looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many proxies stand between client and server, 1 to 9.
    pub proxies: u8,
    /// MTU of every link, bytes; at least IPv6's 1280.
    pub mtu: u16,
    /// Whether the veths keep transmit checksum offload. Off by default: with it on, a wrong TCP
    /// checksum travels from namespace to namespace unnoticed, as would one that nft "repaired".
    pub checksum_offload: bool,
    /// Whether every link is cut in the middle, for somebody who carries its packets across:
    /// see [`Lab::cut`].
    pub cut: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            proxies: 1,
            mtu: 1500,
            checksum_offload: false,
            cut: false,
        }
    }
}

/// The namespaces of one chain. Dropping it removes all of them with everything inside, also
/// when a panic unwinds; what a killed process left is removed by the next one's first laboratory.
#[derive(Debug)]
pub struct Lab {
    /// Client, proxies, server.
    nodes: Vec<Namespace>,
    /// Where the links are cut, if they are.
    middle: Option<Namespace>,
}

impl Lab {
    /// Builds a chain; the namespaces are called `PREFIX-PID-N-NODE` with `NODE` one of `C`,
    /// `P1` …, `S`.
    ///
    /// # Errors
    /// When iproute2 or ethtool is missing, or this process may not make namespaces (needs root).
    pub fn new(prefix: &str, options: &Options) -> Result<Self, Error> {
        static SWEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        program::require(&["ip", "ethtool"])?;
        {
            let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
            if !swept.iter().any(|done| done == prefix) {
                namespace::remove_stale(prefix);
                swept.push(prefix.to_owned());
            }
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();

        let mut lab = Self {
            nodes: Vec::new(),
            middle: None,
        };
        if options.cut {
            let middle = Namespace::add(&format!("{prefix}-{pid}-{number}-W"))?;
            // It carries the others' packets and says nothing of its own.
            for which in ["all", "default"] {
                middle.set_sysctl(&format!("net/ipv6/conf/{which}/disable_ipv6"), "1")?;
            }
            lab.middle = Some(middle);
        }
        let last = usize::from(options.proxies) + 1;
        for node in 0..=last {
            let role = role(node, last);
            let namespace = Namespace::add(&format!("{prefix}-{pid}-{number}-{role}"))?;
            lab.nodes.push(namespace);
        }
        for link in 0..last {
            lab.connect(link, options)?;
        }
        for node in 0..=last {
            lab.nodes[node].settle()?;
            lab.route(node)?;
        }
        Ok(lab)
    }

    /// The client's namespace.
    pub fn client(&self) -> &Namespace {
        &self.nodes[0]
    }

    /// The namespace of proxy `i`, counted from 1.
    ///
    /// # Panics
    /// When there is no such proxy.
    pub fn proxy(&self, i: usize) -> &Namespace {
        assert!(
            (1..=self.proxies()).contains(&i),
            "no proxy {i} in this chain"
        );
        &self.nodes[i]
    }

    /// The server's namespace.
    pub fn server(&self) -> &Namespace {
        &self.nodes[self.last()]
    }

    /// How many proxies there are.
    pub fn proxies(&self) -> usize {
        self.last() - 1
    }

    /// Where wire `k`, counted from 0 at the client, ends on the client's side: namespace and
    /// device.
    pub fn wire(&self, k: usize) -> (&Namespace, String) {
        (&self.nodes[k], self.device(k + 1))
    }

    /// Where link `k`, counted from 0 at the client, is cut: a namespace, and the devices in it
    /// that lead to the link's client side and to its server side. Until somebody carries the
    /// packets from one to the other, the link is up and loses all of them.
    ///
    /// `None` unless [`Options::cut`] says so.
    pub fn cut(&self, k: usize) -> Option<(&Namespace, [String; 2])> {
        let middle = self.middle.as_ref()?;
        Some((middle, [format!("c{k}"), format!("s{k}")]))
    }

    /// The device of proxy `i` that looks towards the client.
    pub fn device_to_client(&self, i: usize) -> String {
        self.device(i - 1)
    }

    /// The device of proxy `i` that looks towards the server.
    pub fn device_to_server(&self, i: usize) -> String {
        self.device(i + 1)
    }

    /// From now on what the client sends to the server carries an SRH with `segments`, in the
    /// order of travel. Other destinations stay plain.
    ///
    /// # Errors
    /// When iproute2 refuses (for one, more segments than fit the MTU).
    pub fn steer(&self, segments: &[Ipv6Addr]) -> Result<(), Error> {
        let list: Vec<_> = segments.iter().map(Ipv6Addr::to_string).collect();
        self.client().ip(&format!(
            "route replace {SERVER}/128 encap seg6 mode inline segs {} via {} dev {}\n",
            list.join(","),
            self.address(1, 0),
            self.device(1)
        ))
    }

    /// Takes [`steer`](Self::steer) back.
    ///
    /// # Errors
    /// When there was nothing to take back.
    pub fn unsteer(&self) -> Result<(), Error> {
        self.client().ip(&format!("route delete {SERVER}/128\n"))
    }

    fn last(&self) -> usize {
        self.nodes.len() - 1
    }

    /// The device that leads to `neighbour`, in either node beside it.
    fn device(&self, neighbour: usize) -> String {
        format!("to-{}", role(neighbour, self.last()).to_lowercase())
    }

    /// The address of `node` on the link to its neighbour; the client is node 0, proxy `i` node `i`.
    pub fn address(&self, node: usize, neighbour: usize) -> Ipv6Addr {
        let link = node.min(neighbour);
        let side = if node < neighbour { 1 } else { 2 };
        if link == 0 {
            Ipv6Addr::from(CLIENT.to_bits() & !0xffff | side)
        } else if link == self.last() - 1 {
            // The server is 1 on its link, though it stands on the far side.
            Ipv6Addr::from(SERVER.to_bits() & !0xffff | (3 - side))
        } else {
            Ipv6Addr::from(0xfd00_0001_u128 << 96 | (link as u128) << 80 | side)
        }
    }

    /// Joins node `k` and `k + 1`.
    fn connect(&self, k: usize, options: &Options) -> Result<(), Error> {
        let ends = [(k, k + 1), (k + 1, k)];
        let [near, far] = ends.map(|(node, neighbour)| {
            let name = self.nodes[node].name();
            let device = self.device(neighbour);
            format!("name {device} netns {name} mtu {}", options.mtu)
        });
        let lines = match self.cut(k) {
            None => format!("link add {near} type veth peer {far}\n"),
            Some((middle, devices)) => {
                let [c, s] = devices.map(|device| {
                    format!("name {device} netns {} mtu {}", middle.name(), options.mtu)
                });
                format!("link add {near} type veth peer {c}\nlink add {far} type veth peer {s}\n")
            }
        };
        program::run_with_input(program::command("ip").args(["-batch", "-"]), &lines)?;
        if let Some((middle, devices)) = self.cut(k) {
            for device in devices {
                middle.ip(&format!("link set {device} up\n"))?;
            }
        }
        for (node, neighbour) in ends {
            let device = self.device(neighbour);
            if !options.checksum_offload {
                let mut ethtool = self.nodes[node].command("ethtool");
                program::run(ethtool.args(["-K", &device, "tx", "off"]))?;
            }
            self.nodes[node].ip(&format!(
                "address add {}/64 dev {device} nodad\nlink set {device} up\n",
                self.address(node, neighbour),
            ))?;
        }
        Ok(())
    }

    /// Forwarding, and a way from `node` to every other node's link and locator.
    fn route(&self, node: usize) -> Result<(), Error> {
        let namespace = &self.nodes[node];
        let last = self.last();
        let end_host = node == 0 || node == last;
        let key = if end_host {
            "seg6_enabled"
        } else {
            "forwarding"
        };
        let towards = if node == 0 { 1 } else { node - 1 };
        // An end host drops what carries an SRH, even a used-up one, unless both say so.
        let device = self.device(towards);
        let whichs: &[&str] = if end_host {
            &["all", "default", &device]
        } else {
            &["all"]
        };
        for which in whichs {
            namespace.set_sysctl(&format!("net/ipv6/conf/{which}/{key}"), "1")?;
        }
        if end_host {
            let gateway = self.address(towards, node);
            return namespace.ip(&format!("route add default via {gateway} dev {device}\n"));
        }
        let mut lines = String::new();
        for other in (1..last).filter(|other| *other != node) {
            lines += &self.route_line(node, other, &format!("{}/80", locator(other)));
        }
        for link in 0..last {
            let network = format!(
                "{}/64",
                Ipv6Addr::from(self.address(link, link + 1).to_bits() & !0xffff)
            );
            if link + 1 < node || link > node {
                lines += &self.route_line(node, link, &network);
            }
        }
        namespace.ip(&lines)
    }

    /// The route from `node` to `network`, which lies at `other`.
    fn route_line(&self, node: usize, other: usize, network: &str) -> String {
        let next = if other < node { node - 1 } else { node + 1 };
        let gateway = self.address(next, node);
        format!(
            "route add {network} via {gateway} dev {}\n",
            self.device(next)
        )
    }
}

/// `C`, `P1` …, `S`.
fn role(node: usize, last: usize) -> String {
    match node {
        0 => "C".to_owned(),
        n if n == last => "S".to_owned(),
        n => format!("P{n}"),
    }
}

/// The locator of proxy `i`, counted from 1: the address that its /80 begins with.
pub fn locator(i: usize) -> Ipv6Addr {
    sid(i, 0, 0)
}

/// The SID of function `function` with `argument` at proxy `i`, counted from 1.
pub fn sid(i: usize, function: u16, argument: u32) -> Ipv6Addr {
    let locator = 0xfd00_0099_u128 << 96 | (i as u128 & 0xffff) << 80;
    Ipv6Addr::from(locator | u128::from(function) << 32 | u128::from(argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_written_as_in_the_thesis() {
        assert_eq!(sid(1, 1, 0x2a).to_string(), "fd00:99:1::1:0:2a");
        assert_eq!(locator(2).to_string(), "fd00:99:2::");
        let taken_apart = crate::wire::sid::Sid::from(sid(3, 7, 0xdead_beef));
        assert_eq!(
            (taken_apart.function, taken_apart.argument),
            (7, 0xdead_beef)
        );
    }
}
