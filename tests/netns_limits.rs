//! What happens at the limits: descriptors, flows, time. New flows are refused and counted, old
//! ones go on, nothing spins, and all is well again when there is room.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV6, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::peer::{Habit, Server, connect, exchange};
use harness::proxy::Proxy;
use harness::status::{Status, counted, descriptors, ticks};
use harness::{lab, lab_with, wait_for};
use srv6pipes::demo::lab::{Lab, Options, SERVER, sid};

const CAPTURES: [&str; 2] = ["saved_syn", "nfqueue"];

/// A proxy with these options and, if they say nothing else, one worker, which all flows of the client go through: by `xor`.
fn proxy(lab: &Lab, capture: &str, options: &str) -> Proxy {
    let threads = match options.contains("threads") {
        true => "",
        false => "option threads '1'\n",
    };
    let options = format!("option capture '{capture}'\n{threads}{options}");
    let xor = harness::proxy::function_config(1, "xor", "");
    let proxy = Proxy::start_with(lab, 1, &options, &xor);
    lab.steer(&[sid(1, 1, 42)]).unwrap();
    proxy
}

/// One byte there and back.
fn say(mut stream: &TcpStream) {
    stream.write_all(b"?").unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"?");
}

fn open(lab: &Lab, server: &Server) -> TcpStream {
    let stream = connect(lab.client(), server.address()).unwrap();
    say(&stream);
    stream
}

/// Ends a flow in order, from the client's side.
fn end(mut stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

/// How a new flow is refused: `nfqueue` says so before the kernel has answered its SYN.
fn assert_refused(capture: &str, connected: io::Result<TcpStream>) {
    let error = connected
        .and_then(|mut stream| {
            assert_eq!(capture, "saved_syn", "it was connected");
            stream.read(&mut [0])
        })
        .unwrap_err();
    let kind = match capture {
        "saved_syn" => ErrorKind::ConnectionReset,
        _ => ErrorKind::ConnectionRefused,
    };
    assert_eq!(error.kind(), kind, "{error}");
}

/// Limits the daemon's descriptors from outside: it raises its own limit as far as it may.
fn limit_descriptors(proxy: &Proxy, limit: usize) {
    let status = Command::new("prlimit")
        .args(["--pid", &proxy.pid().to_string()])
        .arg(format!("--nofile={limit}:20000"))
        .status()
        .unwrap();
    assert!(status.success());
}

/// The limit that leaves just so many descriptors: it is one on their numbers, and a number that
/// the daemon inherited may be a high one.
fn limit_with_room_for(proxy: &Proxy, free: usize) -> usize {
    let taken = descriptors(proxy);
    let mut unused = (0..).filter(|number| !taken.contains(number));
    unused.nth(free).unwrap()
}

/// Talks through `stream` for a second, which must not cost the daemon much of it.
fn assert_calm(proxy: &Proxy, stream: &TcpStream) {
    let (began, before) = (Instant::now(), ticks(proxy));
    while began.elapsed() < Duration::from_secs(1) {
        say(stream);
        std::thread::sleep(Duration::from_millis(10));
    }
    let used = ticks(proxy) - before;
    assert!(used < 30, "{used} ticks of 10 ms in one second");
}

#[test]
fn without_descriptors_new_flows_are_reset_and_old_ones_go_on() {
    for (capture, threads) in [("saved_syn", 1), ("saved_syn", 4), ("nfqueue", 1)] {
        let Some(lab) = lab(1) else { return };
        let proxy = proxy(&lab, capture, &format!("option threads '{threads}'"));
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let old: Vec<_> = (0..5).map(|_| open(&lab, &server)).collect();
        // Room for one more flow, and for its accepted half of the next.
        let room = if capture == "saved_syn" { 3 } else { 2 };
        limit_descriptors(&proxy, limit_with_room_for(&proxy, room));
        let last = open(&lab, &server);
        for _ in 0..20 {
            assert_refused(capture, connect(lab.client(), server.address()));
        }
        let status = counted(&proxy, &[("no_resources_flows", 20), ("live_flows", 6)]);
        if capture == "saved_syn" {
            status.assert_adds_up();
        }
        assert_calm(&proxy, &last);
        old.iter().for_each(say);

        // It recovers by itself.
        old.iter().for_each(end);
        counted(&proxy, &[("finished_flows", 5), ("live_flows", 1)]);
        let new: Vec<_> = (0..5).map(|_| open(&lab, &server)).collect();
        assert_refused(capture, connect(lab.client(), server.address()));
        new.iter().chain([&last]).for_each(end);
        counted(
            &proxy,
            &[
                ("finished_flows", 11),
                ("no_resources_flows", 21),
                ("live_flows", 0),
            ],
        );
    }
}

#[test]
fn a_held_flow_that_cannot_be_accepted_lets_go_of_its_server() {
    let Some(lab) = lab(1) else { return };
    let proxy = proxy(&lab, "nfqueue", "");
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let old = open(&lab, &server);
    // Enough to ask the server, too little to accept the client then.
    limit_descriptors(&proxy, limit_with_room_for(&proxy, 1));
    let began = Instant::now();
    for n in 1..=3 {
        let refused = connect(lab.client(), server.address())
            .and_then(|mut stream| stream.read(&mut [0]))
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionReset);
        let report = server.report();
        assert_eq!(report.end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        counted(&proxy, &[("no_resources_flows", n), ("live_flows", 1)]).assert_adds_up();
    }
    // Not only when `connect_timeout` would have said that nobody came.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    end(&old);
    counted(
        &proxy,
        &[
            ("abandoned_flows", 0),
            ("finished_flows", 1),
            ("live_flows", 0),
        ],
    );
}

#[test]
fn who_cannot_even_be_refused_waits_and_the_worker_does_not_spin() {
    let Some(lab) = lab(1) else { return };
    let proxy = proxy(&lab, "saved_syn", "");
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let old = open(&lab, &server);
    // Below what is open: to give up the spare one does not help.
    limit_descriptors(&proxy, 3);
    let waiting = connect(lab.client(), server.address()).unwrap();
    (&waiting).write_all(b"?").unwrap();
    wait_for("the warning", || {
        proxy.log().contains("accept connections").then_some(())
    });
    assert_calm(&proxy, &old);
    limit_descriptors(&proxy, 1000);
    let mut answer = [0];
    (&waiting).read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"?");
    end(&waiting);
    end(&old);
    counted(
        &proxy,
        &[
            ("finished_flows", 2),
            ("no_resources_flows", 0),
            ("live_flows", 0),
        ],
    );
    let log = proxy.log();
    assert_eq!(log.matches("accept connections").count(), 1, "{log}");
}

#[test]
fn max_flows_refuses_the_next_until_one_has_ended() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let proxy = proxy(&lab, capture, "option max_flows '5'");
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let mut flows: Vec<_> = (0..5).map(|_| open(&lab, &server)).collect();
        for _ in 0..3 {
            assert_refused(capture, connect(lab.client(), server.address()));
        }
        let status = counted(&proxy, &[("max_flows_refused_flows", 3), ("live_flows", 5)]);
        if capture == "saved_syn" {
            status.assert_adds_up();
        }
        flows.iter().for_each(say);
        end(&flows.remove(0));
        counted(&proxy, &[("finished_flows", 1), ("live_flows", 4)]);
        flows.push(open(&lab, &server));
        assert_refused(capture, connect(lab.client(), server.address()));
        flows.iter().for_each(end);
        let expected = [
            ("max_flows_refused_flows", 4),
            ("finished_flows", 6),
            ("live_flows", 0),
        ];
        counted(&proxy, &expected);

        // A reload raises it.
        let config = std::fs::read_to_string(proxy.config_path()).unwrap();
        let config = config.replace("max_flows '5'", "max_flows '8'");
        std::fs::write(proxy.config_path(), config).unwrap();
        assert!(proxy.command("reload").status().unwrap().success());
        let flows: Vec<_> = (0..8).map(|_| open(&lab, &server)).collect();
        assert_refused(capture, connect(lab.client(), server.address()));
        flows.iter().for_each(end);
    }
}

#[test]
fn of_many_at_once_just_max_flows_are_served() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let proxy = proxy(&lab, capture, "option max_flows '5'");
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let (lab, server) = (&lab, &server);
        let served: Vec<TcpStream> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..20)
                .map(|_| {
                    scope.spawn(move || {
                        let mut stream = connect(lab.client(), server.address())?;
                        stream.write_all(b"?")?;
                        stream.read_exact(&mut [0])?;
                        Ok(stream)
                    })
                })
                .collect();
            let answers = asking.into_iter().map(|asking| asking.join().unwrap());
            answers.filter_map(io::Result::ok).collect()
        });
        assert_eq!(served.len(), 5, "{capture}");
        served.iter().for_each(end);
        let status = counted(&proxy, &[("finished_flows", 5), ("live_flows", 0)]);
        assert_eq!(
            status.counter("max_flows_refused_flows"),
            15,
            "{:#}",
            status.0
        );
    }
}

#[test]
fn an_idle_flow_is_reset_at_both_ends_and_an_active_one_is_not() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let proxy = proxy(&lab, capture, "option idle_timeout '1'");
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let active = open(&lab, &server);
        let mut idle = open(&lab, &server);
        let began = Instant::now();
        idle.set_nonblocking(true).unwrap();
        let error = wait_for("the reset", || {
            say(&active);
            match idle.read(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                other => Some(other.unwrap_err()),
            }
        });
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        // The clock began a little before ours did.
        assert!(
            began.elapsed() >= Duration::from_millis(900),
            "{:?}",
            began.elapsed()
        );
        let report = server.report();
        assert_eq!(report.client, idle.local_addr().unwrap());
        assert_eq!(report.end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        counted(&proxy, &[("idle_timeout_flows", 1), ("live_flows", 1)]);
        while began.elapsed() < Duration::from_millis(2500) {
            say(&active);
        }
        end(&active);
        counted(
            &proxy,
            &[
                ("idle_timeout_flows", 1),
                ("finished_flows", 1),
                ("live_flows", 0),
            ],
        )
        .assert_adds_up();
    }
}

#[test]
fn a_server_that_does_not_answer_is_given_connect_timeout() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let proxy = proxy(&lab, capture, "option connect_timeout '1'");
        let mut nft = lab.server().command("nft");
        nft.arg(
            "add table ip6 silence; add chain ip6 silence in { type filter hook input \
                 priority 0; }; add rule ip6 silence in tcp dport 9 drop",
        );
        assert!(nft.status().unwrap().success());
        let nobody = SocketAddrV6::new(SERVER, 9, 0, 0);
        let began = Instant::now();
        let connected = lab
            .client()
            .run(|| TcpStream::connect_timeout(&nobody.into(), Duration::from_millis(1900)))
            .unwrap();
        let error = match (capture, connected) {
            ("saved_syn", Ok(mut stream)) => stream.read(&mut [0]).unwrap_err(),
            (_, connected) => connected.unwrap_err(),
        };
        assert!(
            began.elapsed() >= Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
        if capture == "saved_syn" {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            counted(&proxy, &[("next_timeout_flows", 1), ("live_flows", 0)]).assert_adds_up();
        } else {
            // As without us: silence. The client's second SYN is another attempt.
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            wait_for("the attempts to end", || {
                let status = Status::of(&proxy);
                let held = status.counter("held_syn_packets");
                (status.counter("next_timeout_flows") == held && held > 0).then_some(())
            });
        }
    }
}

#[test]
fn when_the_operator_asks_there_is_a_descriptor_left() {
    let Some(lab) = lab_with(&Options::default()) else {
        return;
    };
    let proxy = proxy(&lab, "saved_syn", "");
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let flows: Vec<_> = (0..3).map(|_| open(&lab, &server)).collect();
    limit_descriptors(&proxy, limit_with_room_for(&proxy, 0));
    for _ in 0..3 {
        assert_eq!(Status::of(&proxy).counter("live_flows"), 3);
        let listed = proxy.json("flows");
        assert_eq!(listed["flows"].as_array().unwrap().len(), 3);
    }
    assert_eq!(exchange(&flows[0], b"still here").unwrap(), b"still here");
}
