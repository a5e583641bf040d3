//! What functions are told of their flows: at every `status`, and once at the end, whichever way
//! that comes.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;
mod modules;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::Shutdown;

use harness::peer::{Habit, Server, assert_reset, assert_reset_soon, connect, exchange};
use harness::proxy::Proxy;
use harness::status::{Status, counted};
use harness::{lab, wait_for};
use modules::TempDir;
use modules::uci::section;
use srv6pipes::demo::lab::{Lab, sid};

const CAPTURES: [&str; 2] = ["saved_syn", "nfqueue"];

/// What the function of ledger.c says to the first bytes: the flow's argument.
const MORE: u32 = 0;
const PASS: u32 = 2;
const CLOSE: u32 = 3;
const RESET: u32 = 4;
const ERROR: u32 = 5;

fn proxy_with(lab: &Lab, options: &str, of_function: &str) -> (TempDir, Proxy) {
    let folder = TempDir::new();
    modules::compile("ledger", &folder.join("ledger.so"), &[]);
    let section = section(1, &folder, "ledger.so", "ledger", of_function);
    let proxy = Proxy::start_with(lab, 1, options, &section);
    (folder, proxy)
}

/// One line of ledger.c: `up` and `down` are bytes in and out, times are microseconds.
#[derive(Debug)]
struct Line {
    last: bool,
    up: String,
    down: String,
    times: HashMap<String, u64>,
}

impl Line {
    fn of(line: &str) -> Option<Self> {
        let (_, line) = line.split_once("report ")?;
        let mut fields: HashMap<&str, &str> = line
            .split(' ')
            .map(|field| field.split_once('=').unwrap())
            .collect();
        let mut take = |name| fields.remove(name).unwrap().to_owned();
        let (last, up, down) = (take("last") == "1", take("up"), take("down"));
        let times = fields
            .into_iter()
            .map(|(name, time)| (name.to_owned(), time.parse().unwrap()));
        Some(Self {
            last,
            up,
            down,
            times: times.collect(),
        })
    }

    fn time(&self, name: &str) -> u64 {
        self.times[name]
    }
}

/// The reports so far.
fn reports(proxy: &Proxy) -> Vec<Line> {
    proxy.log().lines().filter_map(Line::of).collect()
}

/// The reports that there are when so many flows have been despawned, all after one last report,
/// or after none.
fn after(proxy: &Proxy, flows: usize, last: usize) -> Vec<Line> {
    let log = wait_for("all flows to be despawned", || {
        let log = proxy.log();
        (log.matches("despawn after").count() == flows).then_some(log)
    });
    let each = format!("despawn after {last} last reports");
    assert_eq!(log.matches(&each).count(), flows, "{log}");
    log.lines().filter_map(Line::of).collect()
}

#[test]
fn a_live_flow_is_reported_whenever_somebody_asks() {
    let Some(lab) = lab(1) else { return };
    for capture in CAPTURES {
        let (_folder, proxy) = proxy_with(&lab, &format!("option capture '{capture}'"), "");
        let echo = Server::start(lab.server(), 7, Habit::Echo);
        for (flows, argument) in [(1, MORE), (2, PASS)] {
            lab.steer(&[sid(1, 1, argument)]).unwrap();
            let mut stream = connect(lab.client(), echo.address()).unwrap();
            let before = reports(&proxy).len();
            for round in 1..=3 {
                stream.write_all(b"hello").unwrap();
                stream.read_exact(&mut [0; 5]).unwrap();
                // The bytes are counted when they have left, so the client may know of them first.
                wait_for("the report", || {
                    Status::of(&proxy);
                    let all = reports(&proxy);
                    assert!(all.len() > before, "no report is there when the status is");
                    let report = all.last().unwrap();
                    assert!(!report.last);
                    let bytes = format!("{0}/{0}", 5 * round);
                    (report.up == bytes && report.down == bytes).then_some(())
                });
                let all = reports(&proxy);
                let report = all.last().unwrap();
                let [age, rtt, connect, first] =
                    ["age", "rtt", "connect", "first"].map(|name| report.time(name));
                assert!(rtt > 0 && connect > 0 && first > 0, "{report:?}");
                assert!(age >= first, "{report:?}");
                if capture == "saved_syn" {
                    assert!(first >= connect, "{report:?}");
                }
                assert!(rtt < 1_000_000 && connect < 5_000_000, "{report:?}");
            }
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            let all = after(&proxy, flows, 1);
            let last = all.last().unwrap();
            assert!(last.last && last.up == "15/15" && last.down == "15/15");
        }
    }
}

#[test]
fn the_end_is_reported_once_whichever_way_it_comes() {
    let Some(lab) = lab(1) else { return };
    for capture in CAPTURES {
        let (_folder, mut proxy) = proxy_with(&lab, &format!("option capture '{capture}'"), "");
        let echo = Server::start(lab.server(), 7, Habit::Echo);
        let steer = |argument| lab.steer(&[sid(1, 1, argument)]).unwrap();
        let open = || connect(lab.client(), echo.address()).unwrap();
        steer(MORE);
        assert_eq!(exchange(&open(), b"in order").unwrap(), b"in order");
        let reset = open();
        socket2::SockRef::from(&reset)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        drop(reset);
        steer(CLOSE);
        // The echo of it comes back only if it was faster than the end.
        exchange(&open(), b"close").unwrap();
        steer(RESET);
        let mut stream = open();
        stream.write_all(b"reset").unwrap();
        assert_reset(&stream);
        let ended = [
            ("finished_flows", 1),
            ("reset_by_client_flows", 1),
            ("ended_by_function_flows", 2),
            ("live_flows", 0),
        ];
        counted(&proxy, &ended);
        let mut flows = 4;
        after(&proxy, flows, 1);
        if capture == "saved_syn" {
            // Accepted, and then nobody was there: with the other capture it is never spawned.
            steer(MORE);
            let nobody = Server::start(lab.server(), 8, Habit::Echo).address();
            assert_reset_soon(connect(lab.client(), nobody));
            flows += 1;
            let all = after(&proxy, flows, 1);
            let last = all.last().unwrap();
            assert_eq!((last.up.as_str(), last.down.as_str()), ("0/0", "0/0"));
            assert_eq!((last.time("connect"), last.time("first")), (0, 0));
            assert!(last.time("rtt") > 0);
        }
        let echo = Server::start(lab.server(), 9, Habit::Echo);
        steer(MORE);
        let mut stream = connect(lab.client(), echo.address()).unwrap();
        stream.write_all(b"stop").unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        assert!(proxy.stop().success());
        let all = after(&proxy, flows + 1, 1);
        assert_eq!(all.last().unwrap().up, "4/4");
        assert_eq!(all.iter().filter(|report| report.last).count(), flows + 1);
    }
}

#[test]
fn a_function_that_failed_hears_no_more() {
    let Some(lab) = lab(1) else { return };
    for on_failure in ["reset", "pass"] {
        let options = format!("option on_failure '{on_failure}'");
        let (_folder, proxy) = proxy_with(&lab, "", &options);
        let echo = Server::start(lab.server(), 7, Habit::Echo);
        lab.steer(&[sid(1, 1, ERROR)]).unwrap();
        let mut stream = connect(lab.client(), echo.address()).unwrap();
        stream.write_all(b"oh").unwrap();
        if on_failure == "pass" {
            stream.read_exact(&mut [0; 2]).unwrap();
            assert_eq!(Status::of(&proxy).counter("live_flows"), 1);
            assert_eq!(exchange(&stream, b"").unwrap(), b"");
        } else {
            assert_reset(&stream);
        }
        assert!(after(&proxy, 1, 0).is_empty());
    }
}

#[test]
fn a_worker_that_is_stuck_keeps_nobody_from_the_status() {
    let Some(lab) = lab(1) else { return };
    let folder = TempDir::new();
    for name in ["ledger", "sleeps"] {
        modules::compile(name, &folder.join(format!("{name}.so")), &[]);
    }
    let sections = section(1, &folder, "ledger.so", "ledger", "")
        + &section(2, &folder, "sleeps.so", "sleeps", "");
    let mut proxy = Proxy::start_with(&lab, 1, "option threads '1'", &sections);
    let echo = Server::start(lab.server(), 7, Habit::Echo);
    lab.steer(&[sid(1, 1, MORE)]).unwrap();
    let mut live = connect(lab.client(), echo.address()).unwrap();
    live.write_all(b"x").unwrap();
    live.read_exact(&mut [0]).unwrap();
    Status::of(&proxy);
    let before = reports(&proxy).len();
    assert!(before > 0);
    lab.steer(&[sid(1, 2, 0)]).unwrap();
    let mut asleep = connect(lab.client(), echo.address()).unwrap();
    asleep.write_all(b"x").unwrap();
    wait_for("the worker to sleep", || {
        proxy.log().contains("asleep").then_some(())
    });
    assert_eq!(Status::of(&proxy).counter("live_flows"), 2);
    assert_eq!(reports(&proxy).len(), before, "there was nobody to ask");
    // It would never return.
    proxy.kill_9();
}
