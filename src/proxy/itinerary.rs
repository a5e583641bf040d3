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

use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};

use crate::config::mark::PathNumber;
use crate::proxy::runtime::Map;
use crate::stats::Counters;
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
    /// The final destination is a SID of ours: there is no server behind it.
    OwnDestination(Ipv6Addr),
    /// No such function is configured.
    UnknownFunction(u16),
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
        let own_index = position.saturating_sub(itinerary.steps.len() - 1);
        itinerary.routing_header = srh.advance(own_index).map_err(Refusal::Malformed)?;
        Ok(itinerary)
    }

    /// The way that a policy of ours says, for a SYN without an SRH.
    pub fn of_policy(syn: &Syn, path: PathNumber, map: &Map) -> Result<Self, Refusal> {
        let way = map.policies.get(path.index()).ok_or(Refusal::NoSrh)?;
        let mut itinerary = Self::of_way(way, ends(syn), map)?;
        let remaining = way.get(itinerary.steps.len()..).unwrap_or(&[]);
        itinerary.routing_header = rthdr::build(remaining).map_err(Refusal::Malformed)?;
        Ok(itinerary)
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
            Self::OwnDestination(_) => counters.own_destination_flows.one(),
            Self::UnknownFunction(_) => counters.unknown_function_flows.one(),
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
                write!(f, "the final destination {address} is a SID of ours")
            }
            Self::UnknownFunction(id) => write!(f, "no function {id:#06x} is configured"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sid::Locator;

    const SERVER: &str = "fd00:5::1";

    fn map() -> Map {
        let locator = |text: &str| Locator::new(text.parse().unwrap()).unwrap();
        Map {
            locators: vec![locator("fd00:99:1::"), locator("fd00:99:3::")],
            policies: vec![vec![
                address("fd00:99:1::1:0:2a"),
                address("fd00:99:2::1:0:2a"),
            ]],
        }
    }

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// A SYN whose SRH has these segments in the order of travel, `behind` of them visited.
    fn syn(way: &[&str], behind: usize, seen: Seen, directly: bool) -> Syn {
        let segments: Vec<Ipv6Addr> = way.iter().rev().map(|text| address(text)).collect();
        let active = segments.len() - 1 - behind;
        let (segments_left, tag, destination) = match (seen, directly) {
            (Seen::Untouched, _) => (active, 0x1234, segments[active]),
            (Seen::Consumed, true) => (0, active << 8 | 0x34, segments[0]),
            (Seen::Consumed, false) => (0, 0x1234, segments[0]),
        };
        Syn {
            source: address("fd00:c::1"),
            destination,
            final_destination: segments[0],
            source_port: 4321,
            destination_port: 80,
            sequence_number: 1,
            mss: None,
            mp_capable: false,
            bare: true,
            srh: Some(SrhRepr {
                next_header: 6,
                segments_left: segments_left.try_into().unwrap(),
                flags: 0,
                tag: tag.try_into().unwrap(),
                segments,
                tlvs: Vec::new(),
            }),
            srh_directly_after_ipv6: directly,
        }
    }

    fn everywhere(way: &[&str], behind: usize) -> Itinerary {
        let [queue, saved, odd] = [
            (Seen::Untouched, true),
            (Seen::Consumed, true),
            (Seen::Consumed, false),
        ]
        .map(|(seen, directly)| {
            let syn = syn(way, behind, seen, directly);
            Itinerary::of_segments(&syn, seen, &map())
        });
        let saved = saved.unwrap();
        assert_eq!(odd.unwrap().steps, saved.steps);
        assert_eq!(queue.unwrap().steps, saved.steps);
        saved
    }

    fn steps(itinerary: &Itinerary) -> Vec<(u16, u32)> {
        itinerary
            .steps
            .iter()
            .map(|s| (s.function, s.argument))
            .collect()
    }

    #[test]
    fn one_function_then_the_next_proxy() {
        let way = ["fd00:99:1::1:0:2a", "fd00:99:2::1:0:2a", SERVER];
        let itinerary = everywhere(&way, 0);
        assert_eq!(steps(&itinerary), [(1, 0x2a)]);
        let header = itinerary.routing_header.unwrap();
        assert_eq!(header[24..], address("fd00:99:2::1:0:2a").octets());
        assert!(!itinerary.visits_again);
        assert_eq!(itinerary.server.to_string(), "[fd00:5::1]:80");
    }

    #[test]
    fn functions_in_a_row_run_here_in_order() {
        let way = [
            "fd00:99:9::",
            "fd00:99:1::7:0:1",
            "fd00:99:3::8:ffff:ffff",
            SERVER,
        ];
        let itinerary = everywhere(&way, 1);
        assert_eq!(steps(&itinerary), [(7, 1), (8, 0xffff_ffff)]);
        assert_eq!(itinerary.routing_header, None);
    }

    #[test]
    fn a_way_that_comes_back_is_told_by_its_position() {
        let way = [
            "fd00:99:1::1:0:1",
            "fd00:99:2::1:0:2",
            "fd00:99:1::1:0:3",
            SERVER,
        ];
        for seen in [Seen::Untouched, Seen::Consumed] {
            let first = Itinerary::of_segments(&syn(&way, 0, seen, true), seen, &map()).unwrap();
            assert_eq!(steps(&first), [(1, 1)]);
            assert!(first.visits_again);
            let second = Itinerary::of_segments(&syn(&way, 2, seen, true), seen, &map()).unwrap();
            assert_eq!(steps(&second), [(1, 3)]);
            assert!(!second.visits_again);
        }
        let hidden = syn(&way, 0, Seen::Consumed, false);
        let refusal = Itinerary::of_segments(&hidden, Seen::Consumed, &map());
        assert_eq!(refusal, Err(Refusal::Ambiguous));
    }

    #[test]
    fn the_tag_goes_on_without_what_was_stashed_in_it() {
        let way = ["fd00:99:1::1:0:1", "fd00:99:2::1:0:2", SERVER];
        let saved = everywhere(&way, 0).routing_header.unwrap();
        assert_eq!(saved[6..8], [0, 0x34]);
        let queued = syn(&way, 0, Seen::Untouched, true);
        let queued = Itinerary::of_segments(&queued, Seen::Untouched, &map()).unwrap();
        assert_eq!(queued.routing_header.unwrap()[6..8], [0x12, 0x34]);
    }

    #[test]
    fn a_policy_is_a_way_without_an_srh() {
        let mut plain = syn(&["fd00:99:1::1:0:1", SERVER], 0, Seen::Consumed, true);
        plain.srh = None;
        let path = PathNumber::from_index(0).unwrap();
        let itinerary = Itinerary::of_policy(&plain, path, &map()).unwrap();
        assert_eq!(steps(&itinerary), [(1, 0x2a)]);
        assert!(itinerary.routing_header.is_some());
        let unknown = PathNumber::from_index(1).unwrap();
        assert_eq!(
            Itinerary::of_policy(&plain, unknown, &map()),
            Err(Refusal::NoSrh)
        );
        let refusal = Itinerary::of_segments(&plain, Seen::Consumed, &map());
        assert_eq!(refusal, Err(Refusal::NoSrh));
    }

    #[test]
    fn what_is_not_for_us_is_refused() {
        let foreign = syn(&["fd00:99:2::1:0:1", SERVER], 0, Seen::Untouched, true);
        let refusal = Itinerary::of_segments(&foreign, Seen::Untouched, &map());
        assert_eq!(refusal, Err(Refusal::NotOurs(address("fd00:99:2::1:0:1"))));

        let own = syn(
            &["fd00:99:1::1:0:1", "fd00:99:1::1:0:2"],
            0,
            Seen::Untouched,
            true,
        );
        let refusal = Itinerary::of_segments(&own, Seen::Untouched, &map());
        assert_eq!(
            refusal,
            Err(Refusal::OwnDestination(address("fd00:99:1::1:0:2")))
        );

        let mut used_up = syn(&["fd00:99:1::1:0:1", SERVER], 0, Seen::Consumed, true);
        used_up.destination = address("fd00:99:1::1:0:1");
        let refusal = Itinerary::of_segments(&used_up, Seen::Consumed, &map());
        assert_eq!(refusal, Err(Refusal::OwnDestination(used_up.destination)));

        let mut beyond = syn(&["fd00:99:1::1:0:1", SERVER], 0, Seen::Consumed, true);
        if let Some(srh) = &mut beyond.srh {
            srh.tag = 0x0900;
        }
        let refusal = Itinerary::of_segments(&beyond, Seen::Consumed, &map());
        assert!(matches!(refusal, Err(Refusal::Malformed(_))));
    }
}
