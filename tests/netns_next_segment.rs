//! What a client sees of a next segment that refuses, cannot be reached or is silent, beside what
//! it would see without a proxy. Each test is a row of docs/what-the-client-sees.md.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;

use std::net::{Ipv6Addr, SocketAddrV6};

use nix::errno::Errno;

use harness::counters::{counter, descriptors, wait_counter, wait_until_nothing_is_left};
use harness::peer::{Habit, Server, connect, exchange};
use harness::proxy::{Proxy, function_config};
use harness::sight::{Attempt, Sight};
use harness::{lab, noise};
use srv6pipes::demo::frame::flag;
use srv6pipes::demo::lab::{Lab, SERVER, locator, sid};
use srv6pipes::demo::sniff::Tap;

const PORT: u16 = 7;

/// Seconds. An error that comes back before connect(2) has let go of its socket is lost
/// (`LockDroppedIcmps`), as happens on wires without delay; it comes again with the next SYN, a
/// second later. A neighbour is given up after three.
const PATIENT: u8 = 10;
const IMPATIENT: u8 = 1;

/// A row of the table: what a client sees, and what the first proxy counts.
struct Row {
    plain: Sight,
    nfqueue: Sight,
    saved_syn: Sight,
    counter: &'static str,
    connect_timeout: u8,
}

impl Row {
    /// As without a proxy with `nfqueue`; connected and then reset with `saved_syn`.
    fn like_plain(sight: Sight, counter: &'static str) -> Self {
        Self {
            plain: sight,
            nfqueue: sight,
            saved_syn: Sight::ConnectsThenReset,
            counter,
            connect_timeout: PATIENT,
        }
    }

    /// Looks without a proxy, and then in both capture modes with one at P1 that sends flows on
    /// by `further` segments. No flow and no descriptor stays behind.
    fn holds(&self, lab: &Lab, further: &[Ipv6Addr]) {
        assert_eq!(
            look(lab, self.plain, || true),
            self.plain,
            "without a proxy"
        );
        self.holds_with_proxy(lab, further);
    }

    fn holds_with_proxy(&self, lab: &Lab, further: &[Ipv6Addr]) {
        lab.steer(&[&[sid(1, 1, 0x2a)], further].concat()).unwrap();
        for (mode, expected) in [("nfqueue", self.nfqueue), ("saved_syn", self.saved_syn)] {
            let proxy = start(lab, 1, mode, self.connect_timeout);
            let before = descriptors(&proxy);
            let counted = || counter(&proxy, self.counter) > 0;
            assert_eq!(look(lab, expected, counted), expected, "{mode}");
            wait_counter(&proxy, self.counter, 1);
            wait_until_nothing_is_left(&proxy, before);
        }
    }
}

fn start(lab: &Lab, i: usize, mode: &str, connect_timeout: u8) -> Proxy {
    let options = format!("option capture '{mode}'\noption connect_timeout '{connect_timeout}'");
    // Not `copy`: for that, a worker may keep pipes for splice(2), and descriptors count here.
    Proxy::start_with(lab, i, &options, &function_config(1, "xor", ""))
}

/// One attempt from the client. Silence is when it has sent its SYN twice, and four times, which
/// is seven seconds, if something else is `expected`; and when that was `counted`.
fn look(lab: &Lab, expected: Sight, mut counted: impl FnMut() -> bool) -> Sight {
    let enough = if expected == Sight::Silence { 2 } else { 4 };
    let (client, device) = lab.wire(0);
    let tap = Tap::start(client, &device).unwrap();
    let attempt = Attempt::begin(client, SocketAddrV6::new(SERVER, PORT, 0, 0));
    attempt.sight(|| {
        let syns = tap.frames(|frames| frames.iter().filter(|f| f.has(flag::SYN)).count());
        syns >= enough && (counted() || enough > 2)
    })
}

/// `ip -6 route replace KIND SERVER` in proxy `i`, which may be a mere router.
fn route_to_server(lab: &Lab, i: usize, kind: &str) {
    let line = format!("route replace {kind} {SERVER}/128\n");
    lab.proxy(i).ip(&line).unwrap();
}

#[test]
fn a_server_that_listens_echoes() {
    let Some(lab) = lab(2) else { return };
    let _server = Server::start(lab.server(), PORT, Habit::Echo);
    let row = Row {
        saved_syn: Sight::Echo,
        ..Row::like_plain(Sight::Echo, "finished_flows")
    };
    row.holds(&lab, &[]);
}

#[test]
fn a_server_where_nobody_listens_refuses() {
    let Some(lab) = lab(2) else { return };
    let refused = Sight::Fails(Errno::ECONNREFUSED);
    Row::like_plain(refused, "next_refused_flows").holds(&lab, &[]);
}

#[test]
fn a_refusal_travels_back_through_two_proxies() {
    let Some(lab) = lab(2) else { return };
    let refused = Sight::Fails(Errno::ECONNREFUSED);
    assert_eq!(look(&lab, refused, || true), refused);
    let p2 = start(&lab, 2, "nfqueue", PATIENT);
    Row::like_plain(refused, "next_refused_flows").holds_with_proxy(&lab, &[sid(2, 1, 0x2a)]);
    assert_eq!(counter(&p2, "next_refused_flows"), 2);
}

#[test]
fn a_second_proxy_that_answers_first_leaves_the_first_one_nothing_to_tell() {
    let Some(lab) = lab(3) else { return };
    route_to_server(&lab, 3, "blackhole");
    let p2 = start(&lab, 2, "saved_syn", IMPATIENT);
    Row {
        nfqueue: Sight::ConnectsThenReset,
        ..Row::like_plain(Sight::Silence, "reset_by_server_flows")
    }
    .holds_with_proxy(&lab, &[sid(2, 1, 0x2a)]);
    assert_eq!(counter(&p2, "next_timeout_flows"), 2);
}

#[test]
fn no_route_at_the_proxy_is_no_route() {
    let Some(lab) = lab(2) else { return };
    lab.proxy(1).ip("route delete fd00:5::/64\n").unwrap();
    let row = Row::like_plain(Sight::Fails(Errno::ENETUNREACH), "next_unreachable_flows");
    row.holds(&lab, &[]);
}

#[test]
fn a_route_of_type_unreachable_at_the_proxy_is_no_route() {
    let Some(lab) = lab(2) else { return };
    route_to_server(&lab, 1, "unreachable");
    let row = Row::like_plain(Sight::Fails(Errno::ENETUNREACH), "next_unreachable_flows");
    row.holds(&lab, &[]);
}

#[test]
fn a_route_of_type_prohibit_at_the_proxy_is_prohibited() {
    let Some(lab) = lab(2) else { return };
    route_to_server(&lab, 1, "prohibit");
    let row = Row::like_plain(Sight::Fails(Errno::EACCES), "next_unreachable_flows");
    row.holds(&lab, &[]);
}

#[test]
fn a_route_of_type_blackhole_at_the_proxy_is_silence() {
    let Some(lab) = lab(2) else { return };
    route_to_server(&lab, 1, "blackhole");
    Row::like_plain(Sight::Silence, "next_unreachable_flows").holds(&lab, &[]);
}

#[test]
fn a_router_behind_the_proxy_says_there_is_no_route() {
    let Some(lab) = lab(2) else { return };
    route_to_server(&lab, 2, "unreachable");
    let row = Row::like_plain(Sight::Fails(Errno::ENETUNREACH), "next_unreachable_flows");
    row.holds(&lab, &[]);
}

#[test]
fn a_router_behind_the_proxy_says_it_is_prohibited() {
    let Some(lab) = lab(2) else { return };
    route_to_server(&lab, 2, "prohibit");
    let row = Row::like_plain(Sight::Fails(Errno::EACCES), "next_unreachable_flows");
    row.holds(&lab, &[]);
}

#[test]
fn a_router_behind_the_proxy_finds_no_neighbour() {
    let Some(lab) = lab(2) else { return };
    lab.server()
        .ip("address delete fd00:5::1/64 dev to-p2\n")
        .unwrap();
    let row = Row::like_plain(Sight::Fails(Errno::EHOSTUNREACH), "next_unreachable_flows");
    row.holds(&lab, &[]);
}

#[test]
fn a_neighbour_of_the_proxy_that_does_not_answer_is_silence() {
    let Some(lab) = lab(1) else { return };
    lab.server()
        .ip("address delete fd00:5::1/64 dev to-p1\n")
        .unwrap();
    // The kernel tells the packet's source, and that is the client's address: the error leaves
    // towards the client and speaks of a SYN that the client has not sent (`ip6_link_failure`).
    Row {
        plain: Sight::Fails(Errno::EHOSTUNREACH),
        connect_timeout: 5,
        ..Row::like_plain(Sight::Silence, "next_timeout_flows")
    }
    .holds(&lab, &[]);
}

#[test]
fn a_black_hole_is_silence() {
    let Some(lab) = lab(2) else { return };
    route_to_server(&lab, 2, "blackhole");
    Row {
        connect_timeout: IMPATIENT,
        ..Row::like_plain(Sight::Silence, "next_timeout_flows")
    }
    .holds(&lab, &[]);
}

#[test]
fn a_router_on_the_way_to_the_next_segment_says_it_is_prohibited() {
    let Some(lab) = lab(3) else { return };
    let line = format!("route replace prohibit {}/80\n", locator(3));
    lab.proxy(2).ip(&line).unwrap();
    let row = Row::like_plain(Sight::Fails(Errno::EACCES), "next_unreachable_flows");
    row.holds_with_proxy(&lab, &[sid(3, 1, 0x2a)]);
}

#[test]
fn a_smaller_mtu_on_the_way_to_the_next_segment_is_found() {
    let Some(lab) = lab(4) else { return };
    for (i, device) in [(2, lab.device_to_server(2)), (3, lab.device_to_client(3))] {
        let ip = format!("link set {device} mtu 1300\n");
        lab.proxy(i).ip(&ip).unwrap();
    }
    let server = Server::start(lab.server(), 9, Habit::Swallow);
    let _p4 = start(&lab, 4, "saved_syn", PATIENT);
    lab.steer(&[sid(1, 1, 0x2a), sid(4, 1, 0x2a)]).unwrap();
    for mode in ["nfqueue", "saved_syn"] {
        let _p1 = start(&lab, 1, mode, PATIENT);
        let bytes = noise::bytes(1, 200_000);
        let stream = connect(lab.client(), server.address()).unwrap();
        assert_eq!(exchange(&stream, &bytes).unwrap(), b"");
        let report = server.report();
        report.end.unwrap();
        assert_eq!(report.sum, noise::sha256(&bytes), "{mode}");
    }
}

#[test]
fn a_function_that_is_not_configured_is_refused() {
    let Some(lab) = lab(1) else { return };
    let server = Server::start(lab.server(), PORT, Habit::Echo);
    lab.steer(&[sid(1, 9, 0)]).unwrap();
    let refused = Sight::Fails(Errno::ECONNREFUSED);
    for (mode, expected) in [
        ("nfqueue", refused),
        ("saved_syn", Sight::ConnectsThenReset),
    ] {
        let proxy = start(&lab, 1, mode, PATIENT);
        assert_eq!(look(&lab, expected, || true), expected, "{mode}");
        assert_eq!(counter(&proxy, "unknown_function_flows"), 1, "{mode}");
    }
    // None of them has reached the server.
    let proxy = start(&lab, 1, "saved_syn", PATIENT);
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let honest = connect(lab.client(), server.address()).unwrap();
    assert_eq!(exchange(&honest, b"first").unwrap(), b"first");
    assert_eq!(server.report().client, honest.local_addr().unwrap());
    assert_eq!(counter(&proxy, "unknown_function_flows"), 0);
}

#[test]
fn one_flow_more_than_max_flows_is_refused_and_the_others_go_on() {
    let Some(lab) = lab(1) else { return };
    let server = Server::start(lab.server(), PORT, Habit::Echo);
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let refused = Sight::Fails(Errno::ECONNREFUSED);
    for (mode, expected) in [
        ("nfqueue", refused),
        ("saved_syn", Sight::ConnectsThenReset),
    ] {
        let options = format!("option capture '{mode}'\noption max_flows '1'");
        let proxy = Proxy::start_with(&lab, 1, &options, &function_config(1, "xor", ""));
        let first = connect(lab.client(), server.address()).unwrap();
        wait_counter(&proxy, "live_flows", 1);
        assert_eq!(look(&lab, expected, || true), expected, "{mode}");
        assert_eq!(counter(&proxy, "max_flows_refused_flows"), 1, "{mode}");
        assert_eq!(exchange(&first, b"still").unwrap(), b"still");
        wait_counter(&proxy, "finished_flows", 1);
        assert_eq!(look(&lab, Sight::Echo, || true), Sight::Echo, "{mode}");
    }
}

#[test]
fn a_daemon_that_was_killed_refuses_or_lets_pass() {
    let Some(lab) = lab(1) else { return };
    let _server = Server::start(lab.server(), PORT, Habit::Echo);
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let refused = Sight::Fails(Errno::ECONNREFUSED);
    for mode in ["nfqueue", "saved_syn"] {
        for (on_failure, expected) in [("refuse", refused), ("bypass", Sight::Echo)] {
            // Options behind the functions would be theirs: those of the locator come first.
            let sections = format!("option on_failure '{on_failure}'\n\n");
            let options = format!("option capture '{mode}'");
            let functions = function_config(1, "xor", "");
            let mut proxy = Proxy::start_with(&lab, 1, &options, &(sections + &functions));
            assert_eq!(look(&lab, Sight::Echo, || true), Sight::Echo);
            proxy.kill_9();
            assert_eq!(
                look(&lab, expected, || true),
                expected,
                "{mode}, {on_failure}"
            );
            proxy.restart(&lab);
            assert_eq!(look(&lab, Sight::Echo, || true), Sight::Echo);
        }
    }
}

#[test]
fn a_sid_without_an_srh_is_an_address_where_nobody_listens() {
    let Some(lab) = lab(1) else { return };
    for mode in ["nfqueue", "saved_syn"] {
        let proxy = start(&lab, 1, mode, PATIENT);
        let us = SocketAddrV6::new(sid(1, 1, 0x2a), PORT, 0, 0);
        let attempt = Attempt::begin(lab.client(), us);
        let refused = Sight::Fails(Errno::ECONNREFUSED);
        assert_eq!(attempt.sight(|| false), refused, "{mode}");
        assert_eq!(counter(&proxy, "accepted_flows"), 0);
    }
}
