//! SYNs that come again: repeated while the first one is held, given up by their client, and from
//! ports whose earlier flow is in TIME_WAIT at the proxy or still on its way through it.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddrV6};
use std::time::{Duration, Instant};

use harness::counters::{counter, descriptors, wait_counter, wait_until_nothing_is_left};
use harness::ends::{Host, hear, hear_out};
use harness::peer::{Habit, Server, exchange};
use harness::proxy::{Proxy, function_config};
use harness::sight::{Attempt, Sight};
use harness::{lab, noise, wait_for};
use srv6pipes::demo::frame::{Frame, flag};
use srv6pipes::demo::lab::{CLIENT, Lab, sid};
use srv6pipes::demo::namespace::Namespace;
use srv6pipes::demo::program;
use srv6pipes::demo::sniff::Tap;

/// Without the mendings this guards, a connection hangs for the 60 s of TIME_WAIT.
const AT_ONCE: Duration = Duration::from_secs(5);

fn start(lab: &Lab, mode: &str, connect_timeout: u8) -> Proxy {
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let options = format!("option capture '{mode}'\noption connect_timeout '{connect_timeout}'");
    Proxy::start_with(lab, 1, &options, &function_config(1, "xor", ""))
}

/// Makes the server's kernel swallow its SYN-ACKs, or no longer.
fn answer_late(lab: &Lab, late: bool) {
    drop_segments(lab.server(), "output", "(syn|ack)", late);
}

/// Makes the server's kernel overlook SYNs, or no longer. Unlike one that answers late it does not
/// know of them: Linux answers a second SYN by reset if its ISN lies in the window of the first
/// (`tcp_check_req`), and that is so when less than four milliseconds lie between them.
fn overlook_questions(lab: &Lab, overlook: bool) {
    drop_segments(lab.server(), "input", "syn", overlook);
}

/// Makes the client's kernel overlook SYN-ACKs, or no longer.
fn overlook_answers(lab: &Lab, overlook: bool) {
    drop_segments(lab.client(), "input", "(syn|ack)", overlook);
}

/// Drops what has just these of the flags SYN and ACK at `hook`, or no longer.
fn drop_segments(namespace: &Namespace, hook: &str, flags: &str, drops: bool) {
    let rules = if drops {
        format!(
            "table ip6 deaf {{\nchain c {{\ntype filter hook {hook} priority 0\n\
             tcp flags & (syn|ack) == {flags} drop\n}}\n}}\n"
        )
    } else {
        "delete table ip6 deaf\n".to_owned()
    };
    let mut nft = namespace.command("nft");
    program::run_with_input(nft.args(["-f", "-"]), &rules).unwrap();
}

/// Sockets in TIME_WAIT in P1's namespace between `local` and `peer`.
fn time_waits(lab: &Lab, local: SocketAddrV6, peer: SocketAddrV6) -> usize {
    let mut ss = lab.proxy(1).command("ss");
    let answer = program::run(ss.args(["-tanH", "state", "time-wait"])).unwrap();
    let [local, peer] = [local, peer].map(|address| address.to_string());
    String::from_utf8(answer)
        .unwrap()
        .lines()
        .filter(|line| {
            let mut words = line.split_whitespace().skip(2);
            words.next() == Some(&local) && words.next() == Some(&peer)
        })
        .count()
}

#[test]
fn a_syn_repeated_while_it_is_held_makes_no_second_connection() {
    let Some(lab) = lab(1) else { return };
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let proxy = start(&lab, "nfqueue", 30);
    let (p1, device) = lab.wire(1);
    let tap = Tap::start(p1, &device).unwrap();
    answer_late(&lab, true);
    let attempt = Attempt::begin(lab.client(), server.address());
    wait_counter(&proxy, "repeated_syn_packets", 2);
    assert!(attempt.is_pending());
    answer_late(&lab, false);
    assert_eq!(attempt.sight(|| false), Sight::Echo);
    server.report().end.unwrap();
    // Its own SYN is repeated too, with the number it began with.
    let begun: BTreeSet<_> = tap.frames(|frames| {
        let syns = frames.iter().filter(|f| f.flags == flag::SYN);
        syns.map(|f| (f.source, f.sequence)).collect()
    });
    assert_eq!(begun.len(), 1, "{begun:?}");
    for name in ["held_syn_packets", "accepted_flows", "piped_flows"] {
        assert_eq!(counter(&proxy, name), 1, "{name}");
    }
}

#[test]
fn a_client_that_gives_up_while_its_syn_is_held_leaves_nothing() {
    let Some(lab) = lab(1) else { return };
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let proxy = start(&lab, "nfqueue", 5);
    let before = descriptors(&proxy);
    answer_late(&lab, true);
    let attempt = Attempt::begin(lab.client(), server.address());
    let client = attempt.client();
    wait_counter(&proxy, "held_syn_packets", 1);
    drop(attempt);
    answer_late(&lab, false);
    // The server has answered, the client's kernel has sent a reset to the proxy, nobody accepts.
    wait_counter(&proxy, "abandoned_flows", 1);
    wait_until_nothing_is_left(&proxy, before);
    assert_eq!(counter(&proxy, "accepted_flows"), 0);
    let report = server.report();
    assert_eq!(report.client, client.into());
    assert_eq!(
        report.end.unwrap_err().raw_os_error(),
        Some(libc::ECONNRESET)
    );
    let again = Attempt::begin_from(lab.client(), client, server.address());
    assert_eq!(again.sight(|| false), Sight::Echo);
    assert_eq!(counter(&proxy, "held_syn_packets"), 2);
}

#[test]
fn a_port_in_time_wait_towards_the_client_is_taken_again_at_once() {
    let Some(lab) = lab(1) else { return };
    let habit = Habit::Give {
        length: 5000,
        seed: 3,
    };
    let server = Server::start(lab.server(), 19, habit);
    let client = SocketAddrV6::new(CLIENT, 40_001, 0, 0);
    for mode in ["nfqueue", "saved_syn"] {
        let proxy = start(&lab, mode, 30);
        for round in 0..20 {
            let began = Instant::now();
            let attempt = Attempt::begin_from(lab.client(), client, server.address());
            let mut stream = attempt.connected().unwrap();
            let took = began.elapsed();
            assert!(
                took < AT_ONCE,
                "{mode}, round {round}: connected after {took:?}"
            );
            // The server ends its side first, so the proxy does too.
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            let crossed: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x2a).collect();
            assert_eq!(crossed, noise::bytes(3, 5000));
            stream.shutdown(Shutdown::Write).unwrap();
            drop(stream);
            server.report().end.unwrap();
            wait_for("the proxy's side to be in TIME_WAIT", || {
                (time_waits(&lab, server.address(), client) == 1).then_some(())
            });
        }
        wait_counter(&proxy, "finished_flows", 20);
        assert_eq!(counter(&proxy, "accepted_flows"), 20, "{mode}");
    }
}

/// Two connections from one port to the server at `port`, of which the first leaves the proxy's
/// side towards the server in TIME_WAIT. Where the second one leaves from.
fn twice(lab: &Lab, proxy: &Proxy, port: u16) -> Option<u16> {
    // The client must not remember what it makes the proxy remember.
    let client = lab.client();
    let sysctl = "net/ipv4/tcp_max_tw_buckets";
    client.set_sysctl(sysctl, "0").unwrap();
    let server = Server::start(lab.server(), port, Habit::Echo);
    let from = SocketAddrV6::new(CLIENT, 40_001, 0, 0);
    let mut ports = Vec::new();
    for finished in 1..=2 {
        let began = Instant::now();
        let attempt = Attempt::begin_from(client, from, server.address());
        let stream = attempt.connected().unwrap();
        let took = began.elapsed();
        assert!(took < AT_ONCE, "connected after {took:?}");
        // The client ends first, so the proxy does too towards the server.
        assert_eq!(exchange(&stream, b"again").unwrap(), b"again");
        drop(stream);
        let report = server.report();
        report.end.unwrap();
        assert_eq!(report.client.ip(), IpAddr::V6(CLIENT));
        ports.push(report.client.port());
        wait_counter(proxy, "finished_flows", finished);
        wait_for("the proxy's side to be in TIME_WAIT", || {
            (time_waits(lab, from, server.address()) == 1).then_some(())
        });
    }
    assert_eq!(ports[0], from.port());
    ports.pop()
}

#[test]
fn a_port_in_time_wait_towards_the_server_gives_way_to_another() {
    let Some(lab) = lab(1) else { return };
    lab.proxy(1)
        .set_sysctl("net/ipv4/tcp_timestamps", "0")
        .unwrap();
    for (port, mode) in [(7, "nfqueue"), (9, "saved_syn")] {
        let proxy = start(&lab, mode, 30);
        assert_ne!(twice(&lab, &proxy, port), Some(40_001), "{mode}");
        assert_eq!(counter(&proxy, "other_port_flows"), 1, "{mode}");
    }
}

#[test]
fn with_timestamps_a_port_in_time_wait_towards_the_server_serves_again() {
    let Some(lab) = lab(1) else { return };
    for (port, mode) in [(7, "nfqueue"), (9, "saved_syn")] {
        let proxy = start(&lab, mode, 30);
        // `tcp_twsk_unique` (net/ipv4/tcp_ipv4.c): a bound port may be taken again then.
        assert_eq!(twice(&lab, &proxy, port), Some(40_001), "{mode}");
        assert_eq!(counter(&proxy, "other_port_flows"), 0, "{mode}");
    }
}

#[test]
fn a_port_that_the_client_has_done_with_connects_again() {
    let Some(lab) = lab(1) else { return };
    // Ends its side first, so the client itself has no TIME_WAIT.
    let habit = Habit::Give { length: 6, seed: 1 };
    let server = Server::start(lab.server(), 7, habit);
    let client = SocketAddrV6::new(CLIENT, 40_001, 0, 0);
    for mode in ["nfqueue", "saved_syn"] {
        let proxy = start(&lab, mode, 30);
        for round in 0..300 {
            let attempt = Attempt::begin_from(lab.client(), client, server.address());
            let heard = attempt
                .connected()
                .and_then(|mut stream| stream.read_to_end(&mut Vec::new()));
            assert!(matches!(heard, Ok(6)), "{mode}, round {round}: {heard:?}");
        }
        assert_eq!(counter(&proxy, "no_srh_flows"), 0, "{mode}");
    }
}

#[test]
fn a_port_connects_again_while_its_earlier_flow_is_carried_on() {
    const LENGTH: usize = 160_000;
    let Some(lab) = lab(1) else { return };
    // The proxy takes all that the client says, and the server only a little.
    let small = [
        (lab.proxy(1), "net/ipv4/tcp_wmem", "4096 16384 16384"),
        (lab.proxy(1), "net/ipv4/tcp_rmem", "4096 1048576 4194304"),
        (lab.server(), "net/ipv4/tcp_rmem", "4096 8192 8192"),
    ];
    for (node, sysctl, value) in small {
        node.set_sysctl(sysctl, value).unwrap();
    }
    let client = SocketAddrV6::new(CLIENT, 40_001, 0, 0);
    for (port, mode) in [(7, "nfqueue"), (9, "saved_syn")] {
        let proxy = start(&lab, mode, 30);
        let host = Host::listen(lab.server(), port);
        let connect = || Attempt::begin_from(lab.client(), client, host.address()).connected();
        let mut stream = connect().unwrap();
        let (server, _) = host.accept();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(hear_out(&stream).unwrap(), b"");
        stream.write_all(&noise::bytes(5, LENGTH)).unwrap();
        drop(stream);
        wait_for("the proxy's side to be in TIME_WAIT", || {
            (time_waits(&lab, host.address(), client) == 1).then_some(())
        });
        assert_eq!(counter(&proxy, "live_flows"), 1, "{mode}");
        let mut again = connect().unwrap();
        let (other, _) = host.accept();
        again.write_all(b"again").unwrap();
        assert_eq!(hear(&other, 5).unwrap(), b"again".map(|byte| byte ^ 0x2a));
        assert_eq!(counter(&proxy, "live_flows"), 2, "{mode}");
        // The earlier flow has lost nothing, and its end is not the later one's.
        let mut bytes = hear_out(&server).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 0x2a);
        assert!(bytes == noise::bytes(5, LENGTH), "{mode}");
        wait_counter(&proxy, "finished_flows", 1);
        again.write_all(b"still").unwrap();
        assert_eq!(hear(&other, 5).unwrap(), b"still".map(|byte| byte ^ 0x2a));
        assert_eq!(counter(&proxy, "no_srh_flows"), 0, "{mode}");
    }
}

#[test]
fn a_syn_with_other_segments_is_another_flow() {
    let Some(lab) = lab(1) else { return };
    let client = SocketAddrV6::new(CLIENT, 40_001, 0, 0);
    for (port, mode) in [(7, "nfqueue"), (9, "saved_syn")] {
        let proxy = start(&lab, mode, 30);
        let host = Host::listen(lab.server(), port);
        let (c, device) = lab.wire(0);
        let tap = Tap::start(c, &device).unwrap();
        overlook_answers(&lab, true);
        let attempt = Attempt::begin_from(lab.client(), client, host.address());
        wait_for("an answer that the client overlooks", || {
            let answers = |f: &Frame| f.flags == flag::SYN | flag::ACK;
            tap.frames(|frames| frames.iter().any(answers))
                .then_some(())
        });
        drop(attempt);
        overlook_answers(&lab, false);
        lab.steer(&[sid(1, 1, 0)]).unwrap();
        let attempt = Attempt::begin_from(lab.client(), client, host.address());
        let mut stream = attempt.connected().unwrap();
        stream.write_all(b"clear").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        if mode == "nfqueue" {
            let (given_up, _) = host.accept();
            assert_eq!(
                hear_out(&given_up).unwrap_err().kind(),
                ErrorKind::ConnectionReset
            );
            assert_eq!(counter(&proxy, "abandoned_flows"), 1);
        }
        let (server, _) = host.accept();
        assert_eq!(hear_out(&server).unwrap(), b"clear", "{mode}");
    }
}

#[test]
fn a_syn_that_replaces_a_held_one_gets_its_own_way() {
    let Some(lab) = lab(1) else { return };
    let server = Server::start(lab.server(), 7, Habit::Echo);
    // Longer than anything here waits.
    let proxy = start(&lab, "nfqueue", 200);
    overlook_questions(&lab, true);
    let client = SocketAddrV6::new(CLIENT, 40_001, 0, 0);
    let given_up = Attempt::begin_from(lab.client(), client, server.address());
    wait_counter(&proxy, "held_syn_packets", 1);
    drop(given_up);
    lab.steer(&[sid(1, 1, 0)]).unwrap();
    let attempt = Attempt::begin_from(lab.client(), client, server.address());
    wait_counter(&proxy, "held_syn_packets", 2);
    wait_for("one connecting socket, not two", || {
        let mut ss = lab.proxy(1).command("ss");
        let answer = program::run(ss.args(["-tanH", "state", "syn-sent"])).unwrap();
        (String::from_utf8(answer).unwrap().lines().count() == 1).then_some(())
    });
    overlook_questions(&lab, false);
    assert_eq!(attempt.sight(|| false), Sight::Echo);
    let report = server.report();
    report.end.unwrap();
    assert_eq!(report.sum, noise::sha256(b"ping"));
    wait_counter(&proxy, "finished_flows", 1);
    assert_eq!(counter(&proxy, "accepted_flows"), 1);
    assert_eq!(counter(&proxy, "abandoned_flows"), 0);
}
