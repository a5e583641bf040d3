//! The thesis's experiment: client, P1, P2, server, both proxies real daemons with `xor`. What
//! goes in comes out, the middle wire is gibberish, and the kernel is afterwards as it was.

#![allow(clippy::unwrap_used, reason = "this is a test, helpers included")]

mod harness;

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown};

use harness::peer::{Habit, Server, connect, exchange};
use harness::proxy::Proxy;
use harness::{kernel, lab, noise, wait_for};
use srv6pipes::demo::frame::flag;
use srv6pipes::demo::lab::{CLIENT, Lab, SERVER, sid};
use srv6pipes::demo::sniff::Tap;

const XOR: u16 = 1;
const KEY: u8 = 0x2a;

/// Both proxies up, the client steered through their `xor`.
fn chain(lab: &Lab) -> [Proxy; 2] {
    let proxies = [Proxy::start(lab, 1), Proxy::start(lab, 2)];
    lab.steer(&[1, 2].map(|i| sid(i, XOR, u32::from(KEY))))
        .unwrap();
    proxies
}

#[test]
fn bytes_cross_two_proxies_both_ways_from_the_clients_address() {
    let Some(lab) = lab(2) else { return };
    let _proxies = chain(&lab);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let bytes = noise::bytes(1, 8 << 20);
    let stream = connect(lab.client(), server.address()).unwrap();
    let echo = exchange(&stream, &bytes).unwrap();
    assert!(echo == bytes, "the echo differs");
    let report = server.report();
    assert_eq!(
        report.client,
        stream.local_addr().unwrap(),
        "address and port are kept"
    );
    assert_eq!(report.client.ip(), IpAddr::V6(CLIENT));
    assert_eq!(report.sum, noise::sha256(&bytes));
    report.end.unwrap();
}

#[test]
fn the_end_of_one_direction_leaves_the_other_open() {
    let Some(lab) = lab(2) else { return };
    let _proxies = chain(&lab);
    let giver = Server::start(
        lab.server(),
        19,
        Habit::Give {
            length: 800_000,
            seed: 3,
        },
    );
    let mut stream = connect(lab.client(), giver.address()).unwrap();
    let (length, sum, end) = noise::drain(&mut stream);
    end.unwrap();
    assert_eq!(
        (length, sum),
        (800_000, noise::sha256(&noise::bytes(3, 800_000)))
    );
    // The server's side has ended; ours has not.
    stream.write_all(b"still here").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let report = giver.report();
    assert_eq!(report.sum, noise::sha256(b"still here"));
    report.end.unwrap();
}

#[test]
fn each_wire_carries_what_the_picture_says() {
    let Some(lab) = lab(2) else { return };
    let _proxies = chain(&lab);
    let taps = [0, 1, 2].map(|k| {
        let (namespace, device) = lab.wire(k);
        Tap::start(namespace, &device).unwrap()
    });
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut stream = connect(lab.client(), server.address()).unwrap();
    stream.write_all(b"clear text").unwrap();
    let mut echo = [0; 10];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"clear text");

    let gibberish = b"clear text".map(|byte| byte ^ KEY);
    let remaining = [
        vec![SERVER, sid(2, XOR, 0x2a), sid(1, XOR, 0x2a)],
        vec![SERVER, sid(2, XOR, 0x2a)],
    ];
    for (k, tap) in taps.iter().enumerate() {
        let frames = wait_for("both directions to carry data", || {
            tap.frames(|frames| {
                let both = frames
                    .iter()
                    .filter(|frame| !frame.payload.is_empty())
                    .count()
                    >= 2;
                both.then(|| frames.to_vec())
            })
        });
        assert!(frames.iter().all(|frame| frame.checksum_ok), "wire {k}");
        let expected: &[u8] = if k == 1 { &gibberish } else { b"clear text" };
        for frame in frames.iter().filter(|frame| !frame.payload.is_empty()) {
            assert_eq!(frame.payload, expected, "wire {k}");
        }
        let syn = frames
            .iter()
            .find(|frame| frame.has(flag::SYN) && !frame.has(flag::ACK))
            .unwrap();
        assert_eq!(*syn.source.ip(), CLIENT, "wire {k}");
        let segments = syn.routing.as_ref().map(|srh| srh.segments.clone());
        assert_eq!(segments, remaining.get(k).cloned(), "wire {k}");
    }
}

#[test]
fn a_stopped_daemon_leaves_the_kernel_as_it_found_it() {
    let Some(lab) = lab(1) else { return };
    let before = kernel::state(lab.proxy(1));
    let mut proxy = Proxy::start(&lab, 1);
    let running = kernel::difference(&before, &kernel::state(lab.proxy(1)));
    assert!(
        !running.is_empty(),
        "it runs without having set anything up"
    );
    assert!(proxy.stop().success(), "{}", proxy.log());
    let after = kernel::difference(&before, &kernel::state(lab.proxy(1)));
    assert!(after.is_empty(), "left behind:\n{}", after.join("\n"));
}

#[test]
fn a_killed_daemon_is_cleaned_up_after_and_comes_back() {
    let Some(lab) = lab(1) else { return };
    let p1 = lab.proxy(1);
    let before = kernel::state(p1);
    let mut proxy = Proxy::start(&lab, 1);
    proxy.kill_9();
    assert!(!kernel::difference(&before, &kernel::state(p1)).is_empty());
    let mut clean = p1.command(harness::proxy::PROGRAM);
    let output = clean
        .arg("clean")
        .arg("-c")
        .arg(proxy.config_path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let after = kernel::difference(&before, &kernel::state(p1));
    assert!(after.is_empty(), "left behind:\n{}", after.join("\n"));

    proxy.restart(&lab);
    lab.steer(&[sid(1, XOR, 0)]).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let stream = connect(lab.client(), server.address()).unwrap();
    assert_eq!(exchange(&stream, b"again").unwrap(), b"again");
}
