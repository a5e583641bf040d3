//! Ways as SYNs and policies say them, in both captures.

use std::collections::HashMap;

use super::*;
use crate::wire::sid::Locator;

const SERVER: &str = "fd00:5::1";

fn map() -> Map {
    let locator = |text: &str| Locator::new(text.parse().unwrap()).unwrap();
    Map {
        locators: vec![locator("fd00:99:1::"), locator("fd00:99:3::")],
        policies: HashMap::from([(
            PathNumber::from_index(0).unwrap(),
            vec![address("fd00:99:1::1:0:2a"), address("fd00:99:2::1:0:2a")],
        )]),
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

    for nobody in ["::", "::1", "ff02::1", "fe80::1", "::ffff:192.0.2.1"] {
        let syn = syn(&["fd00:99:1::1:0:1", nobody], 0, Seen::Untouched, true);
        let refusal = Itinerary::of_segments(&syn, Seen::Untouched, &map());
        assert_eq!(refusal, Err(Refusal::NoHost(address(nobody))));
    }

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

/// Where a function sends an itinerary, or the address it may not be sent to.
fn redirected(
    itinerary: &Itinerary,
    server: &str,
    next_segment: Option<&str>,
) -> Result<Itinerary, Ipv6Addr> {
    let own = OwnAddress::open().unwrap();
    let route = Route {
        attempt: 0,
        server: server.parse().unwrap(),
        next_segment: next_segment.map(address),
        choice: 0,
    };
    let mut itinerary = itinerary.clone();
    let before = itinerary.clone();
    let answer = itinerary.redirect(&route, &map(), &own);
    if let Err(address) = answer {
        assert_eq!(itinerary, before);
        return Err(address);
    }
    Ok(itinerary)
}

#[test]
fn a_function_may_choose_another_server() {
    let last = everywhere(&["fd00:99:1::1:0:2a", SERVER], 0);
    let chosen = redirected(&last, "[fd00:5::2]:8080", None).unwrap();
    assert_eq!(chosen.server.to_string(), "[fd00:5::2]:8080");
    let server = chosen.server;
    assert_eq!(chosen, Itinerary { server, ..last });

    // The header leaves its last place, the final destination's, to the socket.
    let way = ["fd00:99:1::1:0:2a", "fd00:99:2::1:0:2a", SERVER];
    let further = everywhere(&way, 0);
    let next = Some("fd00:99:2::1:0:2a");
    let chosen = redirected(&further, "[fd00:5::2]:80", next).unwrap();
    assert_eq!(chosen.next_segment(), further.next_segment());
    assert_eq!(chosen.routing_header, further.routing_header);
    assert_eq!(chosen.server.to_string(), "[fd00:5::2]:80");
}

#[test]
fn a_function_may_choose_another_next_segment() {
    let way = [
        "fd00:99:1::1:0:1",
        "fd00:99:2::1:0:2",
        "fd00:99:1::1:0:3",
        SERVER,
    ];
    let seen = Seen::Untouched;
    let itinerary = Itinerary::of_segments(&syn(&way, 0, seen, true), seen, &map()).unwrap();
    let server = "[fd00:5::1]:80";
    let chosen = redirected(&itinerary, server, Some("fd00:99:9::1:0:2")).unwrap();
    assert_eq!(chosen.next_segment(), Some(address("fd00:99:9::1:0:2")));
    let segments = rthdr::segments(chosen.routing_header.as_deref().unwrap());
    let expected = ["fd00:99:9::1:0:2", "fd00:99:1::1:0:3"].map(address);
    assert_eq!(segments, expected);
    // What comes behind that still visits us again.
    assert!(chosen.visits_again);
    assert_eq!(chosen.steps, itinerary.steps);

    // Where the server is next there is nothing to replace.
    let last = everywhere(&["fd00:99:1::1:0:2a", SERVER], 0);
    let chosen = redirected(&last, server, Some("fd00:99:9::1:0:2")).unwrap();
    assert_eq!(chosen, last);
}

#[test]
fn a_function_sends_no_flow_back_to_us() {
    let way = ["fd00:99:1::1:0:2a", "fd00:99:2::1:0:2a", SERVER];
    let itinerary = everywhere(&way, 0);
    let next = "fd00:99:2::1:0:2a";
    for ours in ["fd00:99:1::2:0:0", "fd00:99:3::1:0:0", "::1"] {
        let server = redirected(&itinerary, &format!("[{ours}]:80"), Some(next));
        assert_eq!(server, Err(address(ours)));
        let next = redirected(&itinerary, "[fd00:5::1]:80", Some(ours));
        assert_eq!(next, Err(address(ours)));
    }
}
