//! The headend: plain traffic of a client that knows nothing of segments gets its SRH here, by
//! `config policy`.

mod harness;

use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6};

use harness::noise::{bytes, sha256};
use harness::peer::{Habit, Server, connect, exchange};
use harness::proxy::{Proxy, function_config};
use harness::talk::{Talk, xored};
use harness::{kernel, lab};
use srv6pipes::demo::lab::{Lab, SERVER, sid};
use srv6pipes::demo::sniff::Tap;

/// Both ways to learn a SYN's SRH.
const CAPTURES: [&str; 2] = ["option capture 'saved_syn'", "option capture 'nfqueue'"];

/// Policies that begin with us, by both captures, and those that begin elsewhere.
const KINDS: [(&str, bool); 3] = [(CAPTURES[0], true), (CAPTURES[1], true), ("", false)];

/// The segments of what has no SRH.
const PLAIN: [Ipv6Addr; 0] = [];

/// A policy section for what comes in from the client, with more `lines`.
fn policy(lab: &Lab, lines: &str, segments: &[Ipv6Addr]) -> String {
    let list: String = segments
        .iter()
        .map(|s| format!("list segment '{s}'\n"))
        .collect();
    let device = lab.device_to_client(1);
    format!("config policy\nlist device '{device}'\n{lines}\n{list}\n")
}

fn xor() -> String {
    function_config(1, "xor", "")
}

/// To `server` and back: what the server saw was XORed with `key`, and the client saw itself.
#[track_caller]
fn arrives(lab: &Lab, server: &Server, text: &[u8], key: u8) {
    let stream = connect(lab.client(), server.address()).unwrap();
    let echo = exchange(&stream, text).unwrap();
    assert!(echo == text, "the echo differs");
    let report = server.report();
    report.end.unwrap();
    assert_eq!(report.client, stream.local_addr().unwrap());
    assert_eq!(report.received, text.len() as u64);
    assert_eq!(
        report.sum,
        sha256(&xored(text, key)),
        "wanted the key {key:#x}"
    );
}

/// The segments that upstream packets with data carry on wire `k`, each list once, and the
/// longest payload.
fn carried(tap: &Tap) -> (Vec<Vec<Ipv6Addr>>, usize) {
    tap.frames(|frames| {
        let upstream = frames
            .iter()
            .filter(|f| f.source.ip() != &SERVER && !f.payload.is_empty());
        let mut lists = Vec::new();
        let mut longest = 0;
        for frame in upstream {
            assert!(frame.checksum_ok);
            let list = frame
                .routing
                .as_ref()
                .map_or(Vec::new(), |r| r.segments.clone());
            if !lists.contains(&list) {
                lists.push(list);
            }
            longest = longest.max(frame.payload.len());
        }
        (lists, longest)
    })
}

#[test]
fn a_policy_that_begins_with_us_starts_the_chain_here() {
    for capture in CAPTURES {
        let Some(lab) = lab(2) else { return };
        let segments = [sid(1, 1, 0x11), sid(2, 1, 0x22)];
        let first = Proxy::start_with(&lab, 1, capture, &(policy(&lab, "", &segments) + &xor()));
        let next = Proxy::start_with(&lab, 2, capture, &xor());
        let taps = [0, 1, 2].map(|k| {
            let (node, device) = lab.wire(k);
            Tap::start(node, &device).unwrap()
        });
        let server = Server::start(lab.server(), 7, Habit::Echo);
        arrives(&lab, &server, &bytes(1, 400_000), 0x33);
        let [plain, between, last] = taps.each_ref().map(|tap| carried(tap).0);
        assert_eq!(plain, [PLAIN]);
        assert_eq!(between, [[SERVER, segments[1]]]);
        assert_eq!(last, [PLAIN]);
        for proxy in [first, next] {
            assert_eq!(proxy.json("status")["counters"]["accepted_flows"], 1);
        }
    }
}

#[test]
fn several_functions_of_ours_run_here_and_nothing_goes_on_with_an_srh() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let segments = [sid(1, 1, 0x11), sid(1, 2, 0), sid(1, 1, 0x44)];
        let sections = policy(&lab, "", &segments) + &xor() + &function_config(2, "copy", "");
        let _proxy = Proxy::start_with(&lab, 1, capture, &sections);
        let (node, device) = lab.wire(1);
        let tap = Tap::start(node, &device).unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        arrives(&lab, &server, &bytes(2, 400_000), 0x55);
        assert_eq!(carried(&tap).0, [PLAIN]);
    }
}

#[test]
fn a_policy_that_begins_elsewhere_only_inserts_the_srh_and_leaves_room_for_it() {
    for capture in CAPTURES {
        let Some(lab) = lab(2) else { return };
        let segments = [sid(2, 1, 0x2a), sid(2, 2, 0)];
        let mut headend = Proxy::start_with(&lab, 1, capture, &policy(&lab, "", &segments));
        // It needs no locator of its own.
        let text = fs::read_to_string(headend.config_path()).unwrap();
        let (main, rest) = text.split_once("config locator").unwrap();
        let (_, policy) = rest.split_once("config policy").unwrap();
        fs::write(
            headend.config_path(),
            format!("{main}config policy{policy}"),
        )
        .unwrap();
        headend.stop();
        headend.restart(&lab);
        let functions = xor() + &function_config(2, "copy", "");
        let next = Proxy::start_with(&lab, 2, capture, &functions);
        let [client_side, between] = [0, 1].map(|k| {
            let (node, device) = lab.wire(k);
            Tap::start(node, &device).unwrap()
        });
        let server = Server::start(lab.server(), 7, Habit::Echo);
        arrives(&lab, &server, &bytes(3, 3_000_000), 0x2a);
        let (lists, longest) = carried(&client_side);
        assert_eq!(lists, [PLAIN]);
        // IPv6, the SRH with two segments and the destination, TCP with its timestamps.
        assert_eq!(longest, 1500 - 40 - (8 + 3 * 16) - (20 + 12));
        let (lists, longest) = carried(&between);
        assert_eq!(lists, [[SERVER, segments[1], segments[0]]]);
        assert_eq!(longest, 1500 - 40 - (8 + 3 * 16) - (20 + 12));
        assert_eq!(headend.json("status")["counters"]["accepted_flows"], 0);
        assert_eq!(next.json("status")["counters"]["accepted_flows"], 1);

        // The kernel does this alone: a dead daemon does not stop it.
        headend.kill_9();
        arrives(&lab, &server, b"nobody at the headend", 0x2a);
    }
}

#[test]
fn only_what_a_policy_names_is_touched() {
    for (capture, begins_here) in KINDS {
        let Some(lab) = lab(2) else { return };
        let segment = [sid(if begins_here { 1 } else { 2 }, 1, 0x2a)];
        let other = Ipv6Addr::from(SERVER.to_bits() + 8);
        lab.server()
            .ip(&format!("address add {other}/64 dev to-p2 nodad\n"))
            .unwrap();
        let filters = format!("list dest '{SERVER}'\nlist port '7'\nlist port '9000-9010'");
        let sections = policy(&lab, &filters, &segment) + &xor();
        let first = Proxy::start_with(&lab, 1, capture, &sections);
        let next = Proxy::start_with(&lab, 2, capture, &xor());
        let text = bytes(4, 100_000);
        let expected = [
            (7, 0x2a),
            (8, 0),
            (8999, 0),
            (9000, 0x2a),
            (9010, 0x2a),
            (9011, 0),
        ];
        for (port, key) in expected {
            let server = Server::start(lab.server(), port, Habit::Echo);
            arrives(&lab, &server, &text, key);
        }
        let elsewhere = SocketAddrV6::new(other, 7, 0, 0);
        let server = Server::start_at(lab.server(), elsewhere, Habit::Echo);
        arrives(&lab, &server, &text, 0);
        let accepted =
            [&first, &next].map(|p| p.json("status")["counters"]["accepted_flows"].as_u64());
        let expected = if begins_here { [3, 0] } else { [0, 3] };
        assert_eq!(accepted, expected.map(Some));
    }
}

#[test]
fn the_first_policy_that_matches_wins() {
    for capture in CAPTURES {
        let Some(lab) = lab(2) else { return };
        let sections = policy(&lab, "list port '7'", &[sid(1, 1, 0x11)])
            + &policy(&lab, "list port '7-8'", &[sid(2, 1, 0x22)])
            + &policy(&lab, "", &[sid(1, 1, 0x44)])
            + &xor();
        let _first = Proxy::start_with(&lab, 1, capture, &sections);
        let _next = Proxy::start_with(&lab, 2, capture, &xor());
        for (port, key) in [(7, 0x11), (8, 0x22), (9, 0x44)] {
            let server = Server::start(lab.server(), port, Habit::Echo);
            arrives(&lab, &server, &bytes(5, 100_000), key);
        }
    }
}

#[test]
fn a_policy_for_everything_spares_the_router_itself_and_what_has_an_srh() {
    for (capture, begins_here) in KINDS {
        let Some(lab) = lab(2) else { return };
        let segment = [sid(if begins_here { 1 } else { 2 }, 1, 0x11)];
        let _first = Proxy::start_with(&lab, 1, capture, &(policy(&lab, "", &segment) + &xor()));
        let _next = Proxy::start_with(&lab, 2, capture, &xor());
        // The router's own address on the client's link.
        let router = SocketAddrV6::new("fd00:c::2".parse().unwrap(), 22, 0, 0);
        let shell = Server::start_at(lab.proxy(1), router, Habit::Echo);
        arrives(&lab, &shell, &bytes(6, 100_000), 0);
        let server = Server::start(lab.server(), 7, Habit::Echo);
        arrives(&lab, &server, &bytes(7, 100_000), 0x11);
        lab.steer(&[sid(2, 1, 0x22)]).unwrap();
        arrives(&lab, &server, &bytes(8, 100_000), 0x22);
        lab.unsteer().unwrap();
        arrives(&lab, &server, &bytes(9, 100_000), 0x11);
    }
}

#[test]
fn a_stopped_daemon_leaves_plain_traffic_plain() {
    for capture in CAPTURES {
        let Some(lab) = lab(2) else { return };
        let sections = policy(&lab, "list port '7'", &[sid(1, 1, 0x11)])
            + &policy(&lab, "", &[sid(2, 1, 0x22)])
            + &xor();
        let before = kernel::state(lab.proxy(1));
        let mut first = Proxy::start_with(&lab, 1, capture, &sections);
        let _next = Proxy::start_with(&lab, 2, capture, &xor());
        let servers = [7, 8].map(|port| Server::start(lab.server(), port, Habit::Echo));
        let text = bytes(10, 100_000);
        for _ in 0..2 {
            arrives(&lab, &servers[0], &text, 0x11);
            arrives(&lab, &servers[1], &text, 0x22);
            assert_eq!(first.stop().code(), Some(0));
            let after = kernel::state(lab.proxy(1));
            assert_eq!(kernel::difference(&before, &after), [""; 0]);
            for server in &servers {
                arrives(&lab, server, &text, 0);
            }
            first.restart(&lab);
        }
    }
}

#[test]
fn a_plain_flow_that_was_there_before_a_policy_to_us_goes_on() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let mut talk = Talk::begin(&lab, &server).unwrap();
        talk.say(b"before").unwrap();
        let sections = policy(&lab, "", &[sid(1, 1, 0x11)]) + &xor();
        let _proxy = Proxy::start_with(&lab, 1, capture, &sections);
        talk.say(b"after").unwrap();
        let (_, said) = talk.end();
        assert_eq!(server.report().sum, sha256(&said));
    }
}
