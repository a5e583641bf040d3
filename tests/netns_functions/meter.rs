//! `meter` between curl and nginx: its counters against what curl says it has sent and received.

use std::fs;
use std::net::Ipv6Addr;

use srv6pipes::demo::lab::{CLIENT, Lab, SERVER, sid};
use srv6pipes::demo::webserver::Webserver;
use srv6pipes::demo::workdir::Workdir;

use crate::harness::ended::to_end;
use crate::harness::peer::{Habit, Server, assert_reset_soon, connect};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::status::{COPIED, Status, counted};
use crate::harness::talk::Talk;
use crate::harness::{PREFIX, lab, wait_for};
use crate::readme::example;

/// Both ways to learn a SYN's SRH.
const CAPTURES: [&str; 2] = ["option capture 'saved_syn'", "option capture 'nfqueue'"];
/// The function's id.
const METER: u16 = 1;
/// A second client, on the first one's link.
const NEIGHBOUR: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xc, 0, 0, 0, 0, 0, 0x77);

fn proxy(lab: &Lab, capture: &str, options: &str) -> Proxy {
    let sections = function_config(METER, "meter", options) + &example("meter");
    let proxy = Proxy::start_with(lab, 1, capture, &sections);
    lab.steer(&[sid(1, METER, 0)]).unwrap();
    proxy
}

/// Objects of 1000 and of 3 million bytes.
fn webserver(lab: &Lab, workdir: &Workdir) -> Webserver {
    let mut nginx = Webserver::start(lab.server(), workdir).unwrap();
    wait_for("nginx", || {
        nginx.is_ready(lab.server()).unwrap().then_some(())
    });
    for (name, length) in [("small", 1000), ("large", 3_000_000)] {
        fs::write(nginx.root().join(name), vec![b'x'; length]).unwrap();
    }
    nginx
}

/// Has curl fetch objects from an address of the client's, each by a connection of its own; how
/// many bytes it sent and received.
fn fetch(lab: &Lab, from: Ipv6Addr, objects: &[&str]) -> (u64, u64) {
    let (mut sent, mut received) = (0, 0);
    for object in objects {
        let mut curl = lab.client().command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
        curl.args(["--output", "/dev/null", "--interface", &from.to_string()]);
        let sizes = "%{size_request} %{size_header} %{size_download}";
        curl.args(["--write-out", sizes, &format!("http://[{SERVER}]/{object}")]);
        let said = to_end(&mut curl).with(0).stdout;
        let sizes: Vec<u64> = said.split(' ').map(|size| size.parse().unwrap()).collect();
        sent += sizes[0];
        received += sizes[1] + sizes[2];
    }
    (sent, received)
}

/// Asserts that these are the counters of a label.
#[track_caller]
fn assert_counts(status: &Status, label: &str, expected: &[(&str, u64)]) {
    for (name, value) in expected {
        let counted = status.own(METER, name, label);
        assert_eq!(counted, Some(*value), "{name} {label} in {:#}", status.0);
    }
}

/// Asserts that so many times of a kind were counted, and that sum and maximum can be theirs.
#[track_caller]
fn assert_times(status: &Status, label: &str, kind: &str, flows: u64) {
    let count = |what: &str| {
        let name = format!("{kind}_{what}");
        status.own(METER, &name, label).unwrap()
    };
    let (sum, max) = (count("us"), count("max_us"));
    assert_eq!(count("flows"), flows, "{kind} {label}");
    assert!(max > 0 && max <= sum && sum <= max * flows, "{sum} {max}");
}

#[test]
fn clients_and_servers_are_counted_and_the_kernel_moves_every_byte() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        lab.client()
            .ip(&format!("address add {NEIGHBOUR}/64 dev to-p1 nodad\n"))
            .unwrap();
        let workdir = Workdir::new(PREFIX).unwrap();
        let _nginx = webserver(&lab, &workdir);
        let proxy = proxy(&lab, capture, "");
        let (sent, received) = fetch(&lab, CLIENT, &["small", "large", "small"]);
        let (sent_too, received_too) = fetch(&lab, NEIGHBOUR, &["large"]);
        assert!(received > 3_002_000 && received_too > 3_000_000);

        let status = counted(&proxy, &[("finished_flows", 4), ("live_flows", 0)]);
        status.assert_adds_up();
        for (label, flows, upstream, downstream) in [
            ("client=fd00:c::1", 3, sent, received),
            ("client=fd00:c::77", 1, sent_too, received_too),
            (
                "server=[fd00:5::1]:80",
                4,
                sent + sent_too,
                received + received_too,
            ),
        ] {
            let expected = [
                ("flows", flows),
                ("live_flows", 0),
                ("upstream_bytes", upstream),
                ("downstream_bytes", downstream),
            ];
            assert_counts(&status, label, &expected);
            assert_times(&status, label, "handshake", flows);
            assert_times(&status, label, "first_byte", flows);
        }
        for label in ["client=others", "server=others"] {
            assert_counts(&status, label, &[("flows", 0), ("downstream_bytes", 0)]);
        }
        let all = sent + sent_too + received + received_too;
        let copied = all - status.counter("spliced_bytes");
        assert!(copied <= 8 * COPIED, "{copied}");
        assert_eq!(status.function(METER, "in_bytes"), 0);
    }
}

#[test]
fn a_flow_that_lives_is_counted_as_far_as_it_has_come() {
    let Some(lab) = lab(1) else { return };
    let proxy = proxy(&lab, "", "option prefix '64'");
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut talk = Talk::begin(&lab, &server).unwrap();
    let (client, server_label) = ("client=fd00:c::/64", "server=[fd00:5::1]:7");
    for words in 1..=3 {
        talk.say(b"hello").unwrap();
        let status = Status::of(&proxy);
        let expected = [
            ("flows", 1),
            ("live_flows", 1),
            ("upstream_bytes", 5 * words),
            ("downstream_bytes", 5 * words),
        ];
        assert_counts(&status, client, &expected);
        assert_counts(&status, server_label, &expected);
        assert_times(&status, server_label, "first_byte", 1);
    }
    talk.end();
    server.report().end.unwrap();
    let status = counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]);
    let expected = [("flows", 1), ("live_flows", 0), ("upstream_bytes", 15)];
    assert_counts(&status, client, &expected);
}

#[test]
fn whoever_has_no_place_is_among_the_others() {
    let Some(lab) = lab(1) else { return };
    let proxy = proxy(&lab, "", "option max_clients '0'\noption max_servers '1'");
    let servers = [7, 9].map(|port| Server::start(lab.server(), port, Habit::Echo));
    for (server, word) in servers.iter().zip([&b"four"[..], b"eleven more"]) {
        let mut talk = Talk::begin(&lab, server).unwrap();
        talk.say(word).unwrap();
        talk.end();
        server.report().end.unwrap();
    }
    let status = counted(&proxy, &[("finished_flows", 2), ("live_flows", 0)]);
    for (label, flows, bytes) in [
        ("client=others", 2, 15),
        ("server=others", 1, 4),
        ("server=[fd00:5::1]:9", 1, 11),
    ] {
        assert_counts(
            &status,
            label,
            &[("flows", flows), ("upstream_bytes", bytes)],
        );
        assert_times(&status, label, "handshake", flows);
    }
    let text = to_end(&mut proxy.command("status")).with(0).stdout;
    assert!(!text.contains("[fd00:5::1]:7"), "{text}");
}

#[test]
fn who_loses_its_place_while_flows_from_before_a_reload_run_is_counted_once() {
    let Some(lab) = lab(1) else { return };
    let proxy = proxy(&lab, "", "option max_clients '0'\noption max_servers '1'");
    let servers = [7, 9].map(|port| Server::start(lab.server(), port, Habit::Echo));
    let mut old = Talk::begin(&lab, &servers[0]).unwrap();
    old.say(b"from before").unwrap();
    let config = fs::read_to_string(proxy.config_path()).unwrap();
    let config = config.replace("option max_clients '0'", "option max_clients '1'");
    fs::write(proxy.config_path(), config).unwrap();
    to_end(&mut proxy.command("reload")).with(0);
    for server in &servers {
        let mut talk = Talk::begin(&lab, server).unwrap();
        talk.say(b"four").unwrap();
        talk.end();
        server.report().end.unwrap();
    }
    let status = counted(&proxy, &[("finished_flows", 2), ("live_flows", 1)]);
    for (label, flows, bytes) in [
        ("server=[fd00:5::1]:7", 1, 11),
        ("server=[fd00:5::1]:9", 1, 4),
        ("server=others", 1, 4),
    ] {
        assert_counts(
            &status,
            label,
            &[("flows", flows), ("upstream_bytes", bytes)],
        );
    }
    old.end();
    servers[0].report().end.unwrap();
}

#[test]
fn a_server_that_refuses_has_no_times() {
    let Some(lab) = lab(1) else { return };
    let proxy = proxy(&lab, CAPTURES[0], "");
    let nobody = std::net::SocketAddrV6::new(SERVER, 1, 0, 0);
    assert_reset_soon(connect(lab.client(), nobody));
    // Nor does a flow of an argument that means nothing.
    lab.steer(&[sid(1, METER, 2)]).unwrap();
    assert_reset_soon(connect(lab.client(), nobody));
    let status = counted(&proxy, &[("spawn_refused_flows", 1), ("live_flows", 0)]);
    status.assert_adds_up();
    let label = "server=[fd00:5::1]:1";
    let expected = [
        ("flows", 1),
        ("live_flows", 0),
        ("handshake_flows", 0),
        ("handshake_max_us", 0),
        ("first_byte_flows", 0),
    ];
    assert_counts(&status, label, &expected);
    assert_times(&status, "client=fd00:c::1", "handshake", 1);
}
