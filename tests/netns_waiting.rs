//! Functions that wait under real flows: for time, and for a thread that wakes them. What they hold
//! back arrives, nobody else is held up, and waiting costs nothing.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;
mod modules;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use harness::peer::{Habit, Server, connect, exchange};
use harness::proxy::{Proxy, function_config};
use harness::status::{counted, ticks};
use harness::{lab, noise, wait_for};
use modules::TempDir;
use modules::uci::section;
use srv6pipes::demo::lab::{Lab, sid};

const CAPTURES: [&str; 2] = ["saved_syn", "nfqueue"];

/// The functions below, by number.
const DELAYS: u16 = 1;
const HANDS_OVER: u16 = 2;
const STALE: u16 = 3;
const FLOODS: u16 = 4;
const XOR: u16 = 5;

/// In the argument of `delays`: a wake-up is for all functions of a flow, and one of them is woken.
const WOKEN: u32 = 1 << 31;

/// A proxy with these functions and more options.
fn proxy_with(lab: &Lab, options: &str) -> (TempDir, Proxy) {
    let folder = TempDir::new();
    for name in ["waits", "wakes"] {
        modules::compile(name, &folder.join(format!("{name}.so")), &["-pthread"]);
    }
    let sections = section(DELAYS, &folder, "waits.so", "delays", "")
        + &section(HANDS_OVER, &folder, "waits.so", "hands_over", "")
        + &section(STALE, &folder, "wakes.so", "stale", "")
        + &section(FLOODS, &folder, "wakes.so", "floods", "")
        + &function_config(XOR, "xor", "");
    let proxy = Proxy::start_with(lab, 1, options, &sections);
    (folder, proxy)
}

/// `exchange` of `bytes` with the server, whose report must be in order; how long it took.
fn echoed(lab: &Lab, echo: &Server, bytes: &[u8]) -> Duration {
    let began = Instant::now();
    let stream = connect(lab.client(), echo.address()).unwrap();
    assert!(exchange(&stream, bytes).unwrap() == bytes);
    echo.report().end.unwrap();
    began.elapsed()
}

/// All flows that there were have ended in order, and no function was called against its promise.
fn assert_in_order(proxy: &Proxy, flows: u64) {
    let status = counted(proxy, &[("finished_flows", flows), ("live_flows", 0)]);
    status.assert_adds_up();
    for function in [DELAYS, HANDS_OVER, STALE, FLOODS, XOR] {
        assert_eq!(status.function(function, "broken_flows"), 0, "{function}");
    }
}

#[test]
fn what_waits_for_time_or_a_thread_arrives_with_its_end() {
    let Some(lab) = lab(1) else { return };
    for capture in CAPTURES {
        let (_folder, mut proxy) = proxy_with(&lab, &format!("option capture '{capture}'"));
        let echo = Server::start(lab.server(), 7, Habit::Echo);
        let mut flows = 0;
        let mut carry = |segments: &[(u16, u32)], length: usize, least: u64| {
            let segments: Vec<_> = segments.iter().map(|(id, arg)| sid(1, *id, *arg)).collect();
            lab.steer(&segments).unwrap();
            let time = echoed(&lab, &echo, &noise::bytes(1, length));
            assert!(
                time >= Duration::from_millis(least),
                "{segments:?}: {time:?}"
            );
            flows += 1;
        };
        for length in [0, 1, 1000, 300_000] {
            // An end without bytes has nothing to wait for.
            let each = if length == 0 { 0 } else { 25 };
            carry(&[(DELAYS, 25)], length, 2 * each);
            carry(&[(DELAYS, 25), (DELAYS, 25)], length, 4 * each);
            carry(&[(HANDS_OVER, 0)], length, 0);
            carry(
                &[(HANDS_OVER, 0), (DELAYS, 25 | WOKEN), (XOR, 3)],
                length,
                2 * each,
            );
        }
        carry(&[(HANDS_OVER, 0), (HANDS_OVER, 0)], 5_000_000, 0);
        assert_in_order(&proxy, flows);
        assert!(proxy.stop().success());
    }
}

#[test]
fn what_a_thread_makes_of_the_bytes_reaches_the_server() {
    let Some(lab) = lab(1) else { return };
    let (_folder, proxy) = proxy_with(&lab, "option threads '1'");
    let echo = Server::start(lab.server(), 7, Habit::Echo);
    lab.steer(&[sid(1, HANDS_OVER, 0)]).unwrap();
    let bytes = noise::bytes(2, 200_000);
    let complement: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
    // Many at once, so that their thread and ours meet in every order.
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let stream = connect(lab.client(), echo.address()).unwrap();
                assert!(exchange(&stream, &bytes).unwrap() == bytes);
            });
        }
    });
    for _ in 0..20 {
        let report = echo.report();
        report.end.unwrap();
        assert_eq!(report.sum, noise::sha256(&complement));
    }
    assert_in_order(&proxy, 20);
}

#[test]
fn a_hundred_flows_that_wait_cost_nothing_and_hold_nobody_up() {
    const FLOWS: u64 = 100;
    const MS: u32 = 2000;
    let Some(lab) = lab(1) else { return };
    // One worker: whoever holds others up holds these up.
    let (_folder, proxy) = proxy_with(&lab, "option threads '1'");
    let echo = Server::start(lab.server(), 7, Habit::Echo);
    lab.steer(&[sid(1, DELAYS, MS)]).unwrap();
    let mut flows: Vec<TcpStream> = (0..FLOWS)
        .map(|_| connect(lab.client(), echo.address()).unwrap())
        .collect();
    let began = Instant::now();
    for flow in &mut flows {
        flow.write_all(b"wait").unwrap();
    }
    let before = ticks(&proxy);
    for flow in &mut flows {
        let mut answer = [0; 4];
        flow.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"wait");
    }
    let used = ticks(&proxy) - before;
    let time = began.elapsed();
    assert!(time >= 2 * Duration::from_millis(MS.into()), "{time:?}");
    // Four seconds of a busy loop are 400.
    assert!(used < 50, "{used} ticks in {time:?}");

    for flow in &mut flows {
        flow.write_all(b"more").unwrap();
    }
    lab.steer(&[sid(1, XOR, 1)]).unwrap();
    for _ in 0..10 {
        echoed(&lab, &echo, &noise::bytes(3, 100_000));
    }
    let first = &mut flows[0];
    first.set_nonblocking(true).unwrap();
    let early = first.read(&mut [0]).unwrap_err();
    assert_eq!(
        early.kind(),
        ErrorKind::WouldBlock,
        "the others were slower"
    );
    first.set_nonblocking(false).unwrap();
    for flow in &flows {
        let answer = exchange(flow, b"").unwrap();
        assert_eq!(answer, b"more");
        echo.report().end.unwrap();
    }
    assert_in_order(&proxy, FLOWS + 10);
}

#[test]
fn nobody_minds_who_wakes_flows_that_are_over() {
    let Some(lab) = lab(1) else { return };
    for capture in CAPTURES {
        let options = format!("option threads '2'\noption capture '{capture}'");
        let (_folder, mut proxy) = proxy_with(&lab, &options);
        let echo = Server::start(lab.server(), 7, Habit::Echo);
        for round in 0..60 {
            // New flows of others take the places of those that are woken.
            let function = [STALE, HANDS_OVER, DELAYS][round % 3];
            lab.steer(&[sid(1, function, 3)]).unwrap();
            echoed(&lab, &echo, &noise::bytes(4, 20_000));
        }
        assert_in_order(&proxy, 60);
        assert!(proxy.stop().success());
    }
}

#[test]
fn a_flood_of_wake_ups_harms_no_other_flow() {
    let Some(lab) = lab(1) else { return };
    let (_folder, proxy) = proxy_with(&lab, "option threads '1'");
    let echo = Server::start(lab.server(), 7, Habit::Echo);
    let bytes = noise::bytes(5, 3_000_000);
    let steer = |function, argument| lab.steer(&[sid(1, function, argument)]).unwrap();
    steer(XOR, 7);
    let free = echoed(&lab, &echo, &bytes).min(echoed(&lab, &echo, &bytes));
    steer(FLOODS, 0);
    let mut flooding: Vec<TcpStream> = (0..5)
        .map(|_| connect(lab.client(), echo.address()).unwrap())
        .collect();
    for flow in &mut flooding {
        // Both directions wait from here on.
        flow.write_all(b"go").unwrap();
        flow.read_exact(&mut [0; 2]).unwrap();
    }
    steer(XOR, 7);
    let busy = echoed(&lab, &echo, &bytes).min(echoed(&lab, &echo, &bytes));
    let limit = free * 4 + Duration::from_secs(1);
    assert!(busy < limit, "{free:?} alone, {busy:?} beside the flood");
    steer(DELAYS, 10);
    let late = echoed(&lab, &echo, b"on time");
    assert!(late < Duration::from_secs(1), "{late:?} for 20 ms");
    // They themselves are none the worse for it.
    for flow in &flooding {
        assert!(exchange(flow, &bytes).unwrap() == bytes);
        echo.report().end.unwrap();
    }
    assert_in_order(&proxy, 5 + 4 + 1);
    let calls = wait_for("all that flooded to say so", || {
        let log = proxy.log();
        let calls = log.lines().filter_map(|line| line.split_once("called "));
        let calls: Vec<u64> = calls
            .map(|(_, rest)| rest.split(' ').next().unwrap().parse().unwrap())
            .collect();
        (calls.len() == 5).then_some(calls)
    });
    assert!(calls.iter().all(|calls| *calls > 100), "{calls:?}");
}
