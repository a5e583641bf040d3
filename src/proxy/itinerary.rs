//! Where a flow goes: which of our functions it meets here, and which segments remain.
//!
//! RFC 8754 section 4.3, but for bytestreams: the active segment is one of ours, and so may be
//! the following ones, which then run in this process one after the other.
//!
//! ```text
//!  of the SYN   [P1:xor:2a] [P1:copy:0] [P2:xor:2a] [S]       the client's way
//!  steps         xor(0x2a)   copy(0)                          run here
//!  routing header                       [P2:xor:2a] [S]       for the outbound socket
//! ```

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};

use crate::config::mark::PathNumber;
use crate::proxy::runtime::Map;
use crate::stats::Counters;
use crate::sys::own_address::OwnAddress;
use crate::vnf::Route;
use crate::wire::ipv6::is_host;
use crate::wire::sid::Sid;
use crate::wire::srh::SrhRepr;
use crate::wire::syn::Syn;
use crate::wire::{self, rthdr};

/// One of our functions on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The function bits of the SID.
    pub function: u16,
    /// Its argument bits.
    pub argument: u32,
}

/// What this proxy does with a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Itinerary {
    /// Who opened it.
    pub client: SocketAddrV6,
    /// Where it ends.
    pub server: SocketAddrV6,
    /// The SID of ours that the client's packets come to; `None` if a policy of ours brought the
    /// flow here, without an SRH.
    pub came_to: Option<Ipv6Addr>,
    /// Our functions, in the order of travel.
    pub steps: Vec<Step>,
    /// For the outbound socket; `None` when only the server remains.
    pub routing_header: Option<Vec<u8>>,
    /// Whether the remaining way visits us again: the flow must go on from another port then, or
    /// its second visit could not be told from its first.
    pub visits_again: bool,
}

/// Why a flow cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has no SRH, and no policy gives it one.
    NoSrh,
    /// Its headers cannot be read.
    Malformed(wire::Error),
    /// The active segment is not ours.
    NotOurs(Ipv6Addr),
    /// Several of the segments are ours, not in a row, and nothing tells which one is active.
    Ambiguous,
    /// The final destination is ours, a SID or an address of this machine: no server is behind
    /// the one, and nobody shall come to the other from inside.
    OwnDestination(Ipv6Addr),
    /// The final destination is no host's address: loopback, link-local, multicast, IPv4-mapped.
    NoHost(Ipv6Addr),
    /// No such function is configured.
    UnknownFunction(u16),
    /// This function will not take it.
    NotSpawned(u16),
    /// This function has nowhere to send it.
    NowhereToGo(u16),
    /// This function chose a way that cannot be gone.
    BadRoute(u16),
}

/// How much of the SRH the kernel has changed before we see the SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// NFQUEUE: nothing, the SYN is as it came in.
    Untouched,
    /// `TCP_SAVED_SYN`: our nft rules wrote `segments_left` into the tag's high byte before they
    /// set it to 0, if the SRH is where they look for it; else the kernel consumed the segments.
    Consumed,
}

impl Itinerary {
    /// The way that a SYN's own SRH says.
    pub fn of_segments(syn: &Syn, seen: Seen, map: &Map) -> Result<Self, Refusal> {
        let mut srh = syn.srh.clone().ok_or(Refusal::NoSrh)?;
        if seen == Seen::Consumed && syn.destination != syn.final_destination {
            // The segments were used up before they reached us, and yet it came to a SID.
            return Err(Refusal::OwnDestination(syn.destination));
        }
        let position = match seen {
            Seen::Untouched => srh.active_index(),
            Seen::Consumed if syn.srh_directly_after_ipv6 => {
                let [segments_left, low] = srh.tag.to_be_bytes();
                srh.tag = u16::from(low);
                usize::from(segments_left)
            }
            Seen::Consumed => sole_run(&srh, map)?,
        };
        let active = srh.segments.get(position).ok_or(Refusal::Malformed(
            wire::Error::SegmentsLeftBeyondLast {
                segments_left: u8::try_from(position).unwrap_or(u8::MAX),
                last_entry: u8::try_from(srh.segments.len().saturating_sub(1)).unwrap_or(u8::MAX),
            },
        ))?;
        if !map.owns(*active) {
            return Err(Refusal::NotOurs(*active));
        }
        let travelled: Vec<Ipv6Addr> = srh.segments[..=position].iter().rev().copied().collect();
        let (way, _) = travelled.split_at(position);
        let mut itinerary = Self::of_way(way, ends(syn), map)?;
        itinerary.came_to = Some(*active);
        let own_index = position.saturating_sub(itinerary.steps.len() - 1);
        itinerary.routing_header = srh.advance(own_index).map_err(Refusal::Malformed)?;
        Ok(itinerary)
    }

    /// The way that a policy of ours says, for a SYN without an SRH.
    pub fn of_policy(syn: &Syn, path: PathNumber, map: &Map) -> Result<Self, Refusal> {
        let way = map.policies.get(&path).ok_or(Refusal::NoSrh)?;
        let mut itinerary = Self::of_way(way, ends(syn), map)?;
        let remaining = way.get(itinerary.steps.len()..).unwrap_or(&[]);
        itinerary.routing_header = rthdr::build(remaining).map_err(Refusal::Malformed)?;
        Ok(itinerary)
    }

    /// The next segment, if the server is not next.
    pub fn next_segment(&self) -> Option<Ipv6Addr> {
        let header = self.routing_header.as_deref()?;
        rthdr::segments(header).first().copied()
    }

    /// Goes where a function has chosen: to another server, by another next segment; what comes
    /// behind that stays. What the function left as it was is not judged again.
    ///
    /// # Errors
    /// The address chosen, if it is ours, a SID or one of this machine: the flow would come back
    /// to us, or to the router's own services from inside. Nothing has changed then.
    pub fn redirect(&mut self, route: &Route, map: &Map, own: &OwnAddress) -> Result<(), Ipv6Addr> {
        let is_ours = |address| map.owns(address) || own.is(address);
        let server = *route.server.ip();
        if server != *self.server.ip() && is_ours(server) {
            return Err(server);
        }
        if let (Some(next), Some(header)) = (route.next_segment, self.routing_header.as_mut()) {
            let mut segments = rthdr::segments(header);
            if segments.first() != Some(&next) {
                if is_ours(next) {
                    return Err(next);
                }
                rthdr::set_next_segment(header, next).map_err(|_| next)?;
                segments = rthdr::segments(header);
            }
            self.visits_again = segments.iter().any(|segment| map.owns(*segment));
        }
        self.server = route.server;
        Ok(())
    }

    /// `way` in the order of travel, without the final destination, beginning with a SID of ours.
    fn of_way(
        way: &[Ipv6Addr],
        (client, server): (SocketAddrV6, SocketAddrV6),
        map: &Map,
    ) -> Result<Self, Refusal> {
        if map.owns(*server.ip()) {
            return Err(Refusal::OwnDestination(*server.ip()));
        }
        if !is_host(*server.ip()) {
            return Err(Refusal::NoHost(*server.ip()));
        }
        let here = way.iter().take_while(|segment| map.owns(**segment)).count();
        let (ours, rest) = way.split_at(here);
        let step = |segment: &Ipv6Addr| {
            let Sid {
                function, argument, ..
            } = Sid::from(*segment);
            Step { function, argument }
        };
        let steps: Vec<Step> = ours.iter().map(step).collect();
        if steps.is_empty() {
            return Err(Refusal::NoSrh);
        }
        let visits_again = rest.iter().any(|segment| map.owns(*segment));
        Ok(Self {
            client,
            server,
            came_to: None,
            steps,
            routing_header: None,
            visits_again,
        })
    }
}

fn ends(syn: &Syn) -> (SocketAddrV6, SocketAddrV6) {
    (
        SocketAddrV6::new(syn.source, syn.source_port, 0, 0),
        SocketAddrV6::new(syn.final_destination, syn.destination_port, 0, 0),
    )
}

/// Our position when `segments_left` is lost: the first in the order of travel of our SIDs, if
/// they stand in one row.
fn sole_run(srh: &SrhRepr, map: &Map) -> Result<usize, Refusal> {
    let ours: Vec<usize> = srh
        .segments
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, segment)| map.owns(**segment))
        .map(|(index, _)| index)
        .collect();
    match ours.as_slice() {
        [] => Err(Refusal::NoSrh),
        [first, .., last] if last - first + 1 != ours.len() => Err(Refusal::Ambiguous),
        [.., last] => Ok(*last),
    }
}

impl Refusal {
    /// Counts it.
    pub fn count(&self, counters: &Counters) {
        match self {
            Self::NoSrh => counters.no_srh_flows.one(),
            Self::Malformed(_) | Self::NotOurs(_) => counters.malformed_srh_flows.one(),
            Self::Ambiguous => counters.ambiguous_position_flows.one(),
            Self::OwnDestination(_) | Self::NoHost(_) => counters.bad_destination_flows.one(),
            Self::UnknownFunction(_) => counters.unknown_function_flows.one(),
            Self::NotSpawned(_) => counters.spawn_refused_flows.one(),
            Self::NowhereToGo(_) => counters.route_refused_flows.one(),
            Self::BadRoute(_) => counters.bad_route_flows.one(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSrh => write!(f, "no SRH, and no policy for it"),
            Self::Malformed(error) => write!(f, "malformed headers: {error}"),
            Self::NotOurs(sid) => write!(f, "the active segment {sid} is not ours"),
            Self::Ambiguous => write!(
                f,
                "several segments are ours and extension headers before the SRH hide which one is \
                 active; capture 'nfqueue' can tell"
            ),
            Self::OwnDestination(address) => {
                write!(f, "the final destination {address} is ours")
            }
            Self::NoHost(address) => {
                write!(f, "the final destination {address} is no host's address")
            }
            Self::UnknownFunction(id) => write!(f, "no function {id:#06x} is configured"),
            Self::NotSpawned(id) => write!(f, "function {id:#06x} will not take it"),
            Self::NowhereToGo(id) => write!(f, "function {id:#06x} has nowhere to send it"),
            Self::BadRoute(id) => {
                write!(f, "function {id:#06x} chose a way that cannot be gone")
            }
        }
    }
}
