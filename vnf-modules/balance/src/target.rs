//! What can be chosen: the servers or the proxies that the operator lists.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::ops::RangeInclusive;

use srv6pipes_vnf::{Given, Route, Setup};

/// Most lines of either list: each is a bit of the argument.
pub const MOST: usize = 32;
/// What a weight may be.
const WEIGHTS: RangeInclusive<u32> = 1..=1000;
/// Octets of a locator: 80 bits (RFC 8986 section 3.1; the host's `option prefix`).
const LOCATOR: usize = 10;

/// One line of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub place: Place,
    /// Its share, beside those of the others.
    pub weight: u32,
}

/// Where a flow can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// To this server; without a port, to the one that the client asked for.
    Server(Ipv6Addr, Option<u16>),
    /// To the function and argument of the next segment, but at this proxy.
    Proxy([u8; LOCATOR]),
}

impl Target {
    /// All that the two lists say; what is wrong with them is complained of.
    pub fn listed(setup: &Setup) -> Vec<Self> {
        let (servers, proxies) = (setup.list("server"), setup.list("proxy"));
        if let ([_, ..], [first, ..]) = (&servers[..], &proxies[..]) {
            setup.complain(
                first,
                "cannot stand beside list server: make it a function of its own",
            );
        }
        let mut targets: Vec<Self> = Vec::new();
        let servers = servers.iter().map(|given| (given, server as Reader));
        let proxies = proxies.iter().map(|given| (given, proxy as Reader));
        for (index, (given, read)) in servers.chain(proxies).enumerate() {
            if index == MOST {
                setup.complain(given, format!("is one line too many: at most {MOST}"));
            }
            match target(given, read) {
                Err(wrong) => setup.complain(given, wrong),
                Ok(target) if targets.iter().any(|known| known.place == target.place) => {
                    setup.complain(given, "stands there twice: give one line the larger weight");
                }
                Ok(target) => targets.push(target),
            }
        }
        targets
    }
}

/// Reads a place.
type Reader = fn(&str) -> Result<Place, String>;

/// `PLACE` or `PLACE WEIGHT`.
fn target(given: &Given, read: Reader) -> Result<Target, String> {
    let words: Vec<&str> = given.value.split_whitespace().collect();
    let (place, weight) = match words[..] {
        [place] => (place, 1),
        [place, weight] => {
            let weight = weight.parse().ok().filter(|w| WEIGHTS.contains(w));
            let (least, most) = (WEIGHTS.start(), WEIGHTS.end());
            let wrong = || format!("must have a weight from {least} to {most}");
            (place, weight.ok_or_else(wrong)?)
        }
        _ => return Err("must be an address, and perhaps a weight behind it".to_owned()),
    };
    let place = read(place)?;
    Ok(Target { place, weight })
}

/// `ADDRESS` or `[ADDRESS]:PORT`.
fn server(text: &str) -> Result<Place, String> {
    let (address, port) = match (text.parse::<SocketAddrV6>(), text.parse::<Ipv6Addr>()) {
        (Ok(socket), _) if socket.port() != 0 => (*socket.ip(), Some(socket.port())),
        (_, Ok(address)) => (address, None),
        _ => {
            let wrong = "must be an IPv6 address, or [address]:port with a port from 1 to 65535";
            return Err(wrong.to_owned());
        }
    };
    let is_host = !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address.to_ipv4_mapped().is_some());
    match is_host {
        true => Ok(Place::Server(address, port)),
        false => Err("is no address of one other host".to_owned()),
    }
}

/// `ADDRESS/80`.
fn proxy(text: &str) -> Result<Place, String> {
    let wrong = || "must be a locator: a prefix of 80 bits, like 2001:db8:99::/80".to_owned();
    let address = text.strip_suffix("/80").ok_or_else(wrong)?;
    let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
    let octets = address.octets();
    let (locator, rest) = octets.split_at(LOCATOR);
    if rest.iter().any(|octet| *octet != 0) {
        return Err("has bits behind the 80 of a locator: they must be 0".to_owned());
    }
    locator.try_into().map(Place::Proxy).map_err(|_| wrong())
}

impl Place {
    /// Sends a flow here.
    ///
    /// # Errors
    /// When a proxy is to be chosen and the flow goes to none.
    pub fn send(&self, route: &mut Route) -> Result<(), &'static str> {
        match self {
            Self::Server(address, port) => {
                let port = port.unwrap_or(route.server.port());
                route.server = SocketAddrV6::new(*address, port, 0, 0);
            }
            Self::Proxy(locator) => {
                let next = route.next_segment.as_mut();
                let next = next.ok_or("no segment follows: there is no proxy to choose")?;
                let mut octets = next.octets();
                octets[..LOCATOR].copy_from_slice(locator);
                *next = Ipv6Addr::from(octets);
            }
        }
        Ok(())
    }

    /// The address it begins with, for hashing.
    pub fn address(&self) -> Ipv6Addr {
        match self {
            Self::Server(address, _) => *address,
            Self::Proxy(locator) => {
                let mut octets = [0; 16];
                octets[..LOCATOR].copy_from_slice(locator);
                Ipv6Addr::from(octets)
            }
        }
    }

    /// What its counters are labelled with.
    pub fn label(&self) -> String {
        match self {
            Self::Server(..) => format!("server={self}"),
            Self::Proxy(_) => format!("proxy={self}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(address, None) => address.fmt(f),
            Self::Server(address, Some(port)) => write!(f, "[{address}]:{port}"),
            Self::Proxy(_) => write!(f, "{}/80", self.address()),
        }
    }
}
