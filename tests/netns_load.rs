//! Many flows, and flows that stand still: nothing is lost, nothing is left over, and nobody waits
//! for somebody else.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddrV6, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use harness::noise::{self, Noise, Sum};
use harness::peer::{Habit, Server, connect, exchange};
use harness::proxy::Proxy;
use harness::status::{COPIED, Status, counted, descriptors, resident_kib};
use harness::{PATIENCE, amount, lab, wait_for};
use srv6pipes::demo::lab::{Lab, SERVER, sid};

/// As many descriptors as we may have: each flow has two in this process.
fn many_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

/// What flow `i` says in its round: short, but long enough to come in pieces now and then.
fn words(i: u64, round: u64) -> Vec<u8> {
    noise::bytes(i * 3 + round, 3000)
}

fn many_flows(capture: &str) {
    let all = amount("SRV6PIPES_TEST_FLOWS", 1000);
    let Some(lab) = lab(2) else { return };
    many_descriptors();
    let xor = harness::proxy::function_config(1, "xor", "");
    let options = format!("option capture '{capture}'");
    let proxies = [1, 2].map(|i| Proxy::start_with(&lab, i, &options, &xor));
    lab.steer(&[sid(1, 1, 42), sid(2, 1, 42)]).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    // One flow first: what a daemon keeps for later is there.
    let first = connect(lab.client(), server.address()).unwrap();
    assert_eq!(exchange(&first, b"first").unwrap(), b"first");
    server.report();
    let finished = |n| [("finished_flows", n), ("live_flows", 0)];
    let before = proxies.each_ref().map(|proxy| {
        counted(proxy, &finished(1));
        descriptors(proxy)
    });

    let mut flows: Vec<TcpStream> = (0..all)
        .map(|_| connect(lab.client(), server.address()).unwrap())
        .collect();
    for round in 0..2 {
        for (i, flow) in (0..).zip(&mut flows) {
            flow.write_all(&words(i, round)).unwrap();
        }
        for (i, flow) in (0..).zip(&mut flows) {
            let mut answer = vec![0; 3000];
            flow.read_exact(&mut answer).unwrap();
            assert!(answer == words(i, round), "flow {i}, round {round}");
        }
        for proxy in &proxies {
            let status = counted(proxy, &[("live_flows", all), ("piped_flows", all + 1)]);
            status.assert_adds_up();
        }
    }
    for mut flow in flows {
        flow.shutdown(Shutdown::Write).unwrap();
        assert_eq!(flow.read(&mut [0]).unwrap(), 0);
    }
    for _ in 0..all {
        let report = server.report();
        report.end.unwrap();
        assert_eq!(report.received, 6000);
    }
    for (proxy, before) in proxies.iter().zip(before) {
        let status = counted(proxy, &finished(all + 1));
        status.assert_adds_up();
        assert_eq!(status.counter("accepted_flows"), all + 1);
        let bytes = all * 6000 + 5;
        for name in [
            "upstream_in",
            "upstream_out",
            "downstream_in",
            "downstream_out",
        ] {
            assert_eq!(status.counter(&format!("{name}_bytes")), bytes, "{name}");
        }
        assert_eq!(status.function(1, "in_bytes"), 2 * bytes);
        assert_eq!(descriptors(proxy), before);
    }
}

#[test]
fn many_flows_at_once_leave_nothing_behind() {
    many_flows("saved_syn");
}

#[test]
fn many_held_syns_leave_nothing_behind() {
    many_flows("nfqueue");
}

/// How much the sender of a stuck flow would like to send: more than sockets hold.
const MUCH: u64 = 24 << 20;

/// Sends [`MUCH`] from a thread and counts what the kernel has taken; then the end.
fn send_much(stream: &TcpStream, sent: &AtomicU64) {
    let mut noise = Noise::new(11).take(MUCH);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = noise.read(&mut buffer).unwrap();
        if n == 0 {
            return stream.shutdown(Shutdown::Write).unwrap();
        }
        (&mut &*stream).write_all(&buffer[..n]).unwrap();
        sent.fetch_add(n as u64, Ordering::Relaxed);
    }
}

/// A client's flow and its server's end of it, by the functions steered at.
fn both_ends(lab: &Lab) -> [TcpStream; 2] {
    let any_port = SocketAddrV6::new(SERVER, 0, 0, 0);
    let listener = lab.server().run(|| TcpListener::bind(any_port).unwrap());
    let listener = listener.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = connect(lab.client(), SocketAddrV6::new(SERVER, port, 0, 0)).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    server.set_write_timeout(Some(PATIENCE)).unwrap();
    [client, server]
}

/// How long ten megabytes take there and back.
fn echo_time(lab: &Lab, echo: &Server, bytes: &[u8]) -> Duration {
    let began = Instant::now();
    let stream = connect(lab.client(), echo.address()).unwrap();
    assert!(exchange(&stream, bytes).unwrap() == bytes);
    echo.report().end.unwrap();
    began.elapsed()
}

/// A reader that stops, in both directions, on the way of `function`.
fn a_reader_that_stops(function: u16, expected: Sum) {
    let Some(lab) = lab(1) else { return };
    let sections = harness::proxy::function_config(1, "xor", "")
        + &harness::proxy::function_config(2, "copy", "");
    // One worker: the stuck flow and the others are all its.
    let proxy = Proxy::start_with(&lab, 1, "option threads '1'", &sections);
    lab.steer(&[sid(1, function, 42), sid(1, function, 42)])
        .unwrap();
    let echo = Server::start(lab.server(), 7, Habit::Echo);
    let bytes = noise::bytes(12, 5_000_000);
    let free = echo_time(&lab, &echo, &bytes);
    let memory = resident_kib(&proxy);
    for upstream in [true, false] {
        let mut ends = both_ends(&lab);
        if !upstream {
            ends.reverse();
        }
        let [sender, mut reader] = ends;
        let sent = AtomicU64::new(0);
        // Judged when nobody is stuck any more: who fails sooner waits for the sender for ever.
        let (stuck, busy, more, (length, sum, end)) = std::thread::scope(|scope| {
            let sending = scope.spawn(|| send_much(&sender, &sent));
            let now = || sent.load(Ordering::Relaxed);
            let mut last = (0, Instant::now());
            wait_for("the sender to be stuck", || {
                if now() != last.0 {
                    last = (now(), Instant::now());
                }
                let stuck = last.0 > 0 && last.1.elapsed() > Duration::from_millis(300);
                stuck.then_some(())
            });
            let busy = echo_time(&lab, &echo, &bytes).min(echo_time(&lab, &echo, &bytes));
            let stuck = now();
            let more = resident_kib(&proxy).saturating_sub(memory);
            let heard = noise::drain(&mut reader);
            sending.join().unwrap();
            (stuck, busy, more, heard)
        });
        end.unwrap();
        assert_eq!(length, MUCH);
        assert_eq!(sum, expected);
        assert!(stuck < MUCH, "the sockets took all of it");
        let limit = free * 4 + Duration::from_secs(1);
        assert!(busy < limit, "{free:?} alone, {busy:?} beside a stuck flow");
        assert!(more < 2048, "{more} KiB more for one stuck flow");
        reader.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&sender).read(&mut [0]).unwrap(), 0);
    }
    let status = counted(&proxy, &[("finished_flows", 7), ("live_flows", 0)]);
    status.assert_adds_up();
    let spliced = status.counter("spliced_bytes");
    let all = status.counter("upstream_out_bytes") + status.counter("downstream_out_bytes");
    if function == 2 {
        // Seven flows, of which the two long ones went one way only.
        assert!(spliced > all - 12 * COPIED, "{spliced} of {all}");
    } else {
        assert_eq!(spliced, 0);
    }
}

fn sum_of_much() -> Sum {
    noise::drain(&mut Noise::new(11).take(MUCH)).1
}

#[test]
fn a_reader_that_stops_holds_up_only_its_own_flow() {
    a_reader_that_stops(1, sum_of_much());
}

#[test]
fn a_reader_that_stops_holds_up_only_its_own_splice() {
    a_reader_that_stops(2, sum_of_much());
}

#[test]
fn three_thousand_flows_after_each_other_leak_nothing() {
    const WARM: u64 = 300;
    const FLOWS: u64 = 3000;
    const CLIENTS: u64 = 8;
    let Some(lab) = lab(1) else { return };
    let sections = harness::proxy::function_config(1, "xor", "")
        + &harness::proxy::function_config(2, "copy", "");
    for (capture, function) in [("saved_syn", 1), ("nfqueue", 2)] {
        let options = format!("option capture '{capture}'");
        let proxy = Proxy::start_with(&lab, 1, &options, &sections);
        lab.steer(&[sid(1, function, 42), sid(1, function, 42)])
            .unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let run = |flows: u64| {
            std::thread::scope(|scope| {
                for client in 0..CLIENTS {
                    let (lab, server) = (&lab, &server);
                    scope.spawn(move || {
                        for i in 0..flows / CLIENTS {
                            let bytes = noise::bytes(client * flows + i, 800);
                            let stream = connect(lab.client(), server.address()).unwrap();
                            assert!(exchange(&stream, &bytes).unwrap() == bytes);
                        }
                    });
                }
            });
            flows / CLIENTS * CLIENTS
        };
        let warm = run(WARM);
        counted(&proxy, &[("finished_flows", warm), ("live_flows", 0)]);
        let (files, memory) = (descriptors(&proxy), resident_kib(&proxy));
        let all = warm + run(FLOWS);
        counted(&proxy, &[("finished_flows", all), ("live_flows", 0)]).assert_adds_up();
        assert_eq!(Status::of(&proxy).counter("accepted_flows"), all);
        // Spare pipes of a worker that had fewer flows at once before: at most one for each.
        let more = descriptors(&proxy).len().saturating_sub(files.len());
        let spare = usize::try_from(2 * CLIENTS).unwrap();
        assert!(
            more <= if function == 1 { 0 } else { spare },
            "{more} descriptors more"
        );
        let more = resident_kib(&proxy).saturating_sub(memory);
        assert!(more < 1024, "{more} KiB more after {FLOWS} flows");
    }
}

/// Out of band is in the stream: RFC 6093, section 6, and RFC 9293, section 3.8.5.
#[test]
fn urgent_bytes_keep_their_place_and_hold_nothing_up() {
    const FLOWS: u64 = 20;
    let Some(lab) = lab(1) else { return };
    let sections = harness::proxy::function_config(1, "xor", "")
        + &harness::proxy::function_config(2, "copy", "");
    let proxy = Proxy::start_with(&lab, 1, "", &sections);
    for function in [1, 2] {
        lab.steer(&[sid(1, function, 42), sid(1, function, 42)])
            .unwrap();
        for flow in 0..FLOWS {
            let mut ends = both_ends(&lab);
            if flow % 2 == 1 {
                ends.reverse();
            }
            let [mut sender, mut reader] = ends;
            sender.write_all(b"before ").unwrap();
            let sent = socket2::SockRef::from(&sender)
                .send_out_of_band(b"!")
                .unwrap();
            assert_eq!(sent, 1);
            sender.write_all(b" behind").unwrap();
            if flow % 4 < 2 {
                // Nothing more comes for now.
                let mut heard = [0; 15];
                reader.read_exact(&mut heard).unwrap();
                assert_eq!(&heard, b"before ! behind", "function {function}");
                sender.shutdown(Shutdown::Write).unwrap();
                assert_eq!(reader.read(&mut [0]).unwrap(), 0);
            } else {
                sender.shutdown(Shutdown::Write).unwrap();
                let mut heard = Vec::new();
                reader.read_to_end(&mut heard).unwrap();
                assert_eq!(heard, b"before ! behind", "function {function}");
            }
            reader.shutdown(Shutdown::Write).unwrap();
            assert_eq!(sender.read(&mut [0]).unwrap(), 0);
        }
    }
    counted(&proxy, &[("finished_flows", 2 * FLOWS), ("live_flows", 0)]).assert_adds_up();
}
