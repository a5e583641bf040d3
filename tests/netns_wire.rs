//! The wire in user space against its own settings: what the measurements of lossy, slow and long
//! paths stand on.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use harness::wire::{DOWN, Settings, UP, Wire};
use harness::{lab_with, wait_for};
use srv6pipes::demo::lab::{CLIENT, Lab, Options, SERVER};

/// Ethernet, IPv6 and UDP headers.
const HEADERS: usize = 14 + 40 + 8;

fn cut_lab() -> Option<Lab> {
    lab_with(&Options {
        cut: true,
        ..Options::default()
    })
}

/// Both links of the laboratory; the second is a plain one.
fn wires(lab: &Lab, up: Settings, down: Settings) -> [Wire; 2] {
    let plain = Settings::default();
    [
        Wire::start(lab, 0, [up, down]),
        Wire::start(lab, 1, [plain; 2]),
    ]
}

/// A socket of the client's and one of the server's, which know each other.
fn ends(lab: &Lab) -> (UdpSocket, UdpSocket) {
    let bind = |address| UdpSocket::bind((address, 0)).unwrap();
    let client = lab.client().run(|| bind(CLIENT)).unwrap();
    let server = lab.server().run(|| bind(SERVER)).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    server.connect(client.local_addr().unwrap()).unwrap();
    for socket in [&client, &server] {
        socket
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
    }
    // Neighbours are found now, so that no datagram waits for that later.
    client.send(b"?").unwrap();
    server.recv(&mut [0; 8]).unwrap();
    server.send(b"!").unwrap();
    client.recv(&mut [0; 8]).unwrap();
    (client, server)
}

#[test]
fn a_plain_wire_carries_all() {
    let Some(lab) = cut_lab() else { return };
    let wires = wires(&lab, Settings::default(), Settings::default());
    let (client, server) = ends(&lab);
    for n in 0..500_u32 {
        client.send(&n.to_be_bytes()).unwrap();
        let mut word = [0; 4];
        server.recv(&mut word).unwrap();
        assert_eq!(u32::from_be_bytes(word), n);
        server.send(&word).unwrap();
        client.recv(&mut word).unwrap();
    }
    let (up, down) = (wires[0].tally(UP), wires[0].tally(DOWN));
    assert!(up.carried >= 501 && down.carried >= 501, "{up:?} {down:?}");
    assert_eq!((up.lost, up.dropped, down.lost, down.dropped), (0, 0, 0, 0));
}

#[test]
fn the_delay_is_that_of_the_settings() {
    let Some(lab) = cut_lab() else { return };
    let slow = |ms| Settings {
        delay: Duration::from_millis(ms),
        ..Settings::default()
    };
    let _wires = wires(&lab, slow(20), slow(30));
    let (client, server) = ends(&lab);
    let mut trips: Vec<Duration> = (0..20)
        .map(|_| {
            let began = Instant::now();
            client.send(b"ping").unwrap();
            server.recv(&mut [0; 8]).unwrap();
            server.send(b"pong").unwrap();
            client.recv(&mut [0; 8]).unwrap();
            began.elapsed()
        })
        .collect();
    trips.sort();
    assert!(trips[0] >= Duration::from_millis(50), "{trips:?}");
    // The upper end is the machine's business; the median says that the wire adds nothing of its own.
    assert!(trips[10] < Duration::from_millis(100), "{trips:?}");
}

#[test]
fn the_rate_is_never_exceeded_and_reached() {
    let Some(lab) = cut_lab() else { return };
    let rate = 8_000_000;
    let _wires = wires(
        &lab,
        Settings {
            rate: Some(rate),
            queue: 100_000,
            ..Settings::default()
        },
        Settings::default(),
    );
    let (client, server) = ends(&lab);
    let payload = [0; 1000];
    let frame = payload.len() + HEADERS;
    // Fewer than the queue holds, so that none is lost, and all at once, so that the rate shows.
    let count = 90;
    let began = Instant::now();
    for _ in 0..count {
        client.send(&payload).unwrap();
    }
    for _ in 0..count {
        assert_eq!(server.recv(&mut [0; 2000]).unwrap(), payload.len());
    }
    let took = began.elapsed();
    let least = Duration::from_secs_f64((count * frame * 8) as f64 / rate as f64);
    assert!(
        took >= least,
        "{count} frames of {frame} bytes in {took:?}, faster than {least:?}"
    );
    assert!(
        took < least * 2,
        "{count} frames of {frame} bytes in {took:?}, {least:?} would do"
    );
}

#[test]
fn a_full_queue_drops_what_comes() {
    let Some(lab) = cut_lab() else { return };
    let narrow = Settings {
        rate: Some(1_000_000),
        queue: 10 * (1000 + HEADERS),
        ..Settings::default()
    };
    let wires = wires(&lab, narrow, Settings::default());
    let (client, server) = ends(&lab);
    for _ in 0..100 {
        client.send(&[0; 1000]).unwrap();
    }
    let mut arrived = 0;
    while server.recv(&mut [0; 2000]).is_ok() {
        arrived += 1;
    }
    let up = wires[0].tally(UP);
    assert_eq!(arrived, 100 - up.dropped, "{up:?}");
    assert!(arrived >= 10, "what fits the queue arrives: {up:?}");
    assert!(up.dropped > 0, "{up:?}");
}

#[test]
fn the_same_packets_are_lost_in_every_run() {
    const COUNT: u32 = 20_000;
    let lossy = Settings {
        loss_ppm: 10_000,
        seed: 7,
        ..Settings::default()
    };
    let run = || {
        let lab = cut_lab()?;
        let wires = wires(&lab, Settings::default(), Settings::default());
        let (client, _server) = ends(&lab);
        wires[0].set(UP, lossy);
        let before = wires[0].tally(UP);
        for n in 1..=u64::from(COUNT) {
            client.send(b"?").unwrap();
            // Never more on the way than the sockets in between hold.
            if n % 64 == 0 || n == u64::from(COUNT) {
                wait_for("the wire to keep up", || {
                    (wires[0].tally(UP).came >= before.came + n).then_some(())
                });
            }
        }
        let after = wires[0].tally(UP);
        Some((after.came - before.came, after.lost - before.lost))
    };
    let (Some((came, lost)), Some((came_again, lost_again))) = (run(), run()) else {
        return;
    };
    // One of a hundred, with the spread of a binomial distribution (five sigma are 70).
    assert!((130..=270).contains(&lost), "{lost} of {came}");
    assert!(
        lost.abs_diff(lost_again) <= came.abs_diff(came_again) + 5,
        "{lost}, {lost_again}"
    );
}

#[test]
fn a_dead_wire_says_nothing() {
    let Some(lab) = cut_lab() else { return };
    let wires = wires(&lab, Settings::default(), Settings::default());
    let (client, server) = ends(&lab);
    let dead = Settings {
        dead: true,
        ..Settings::default()
    };
    wires[0].set(UP, dead);
    client.send(b"lost").unwrap();
    server
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(server.recv(&mut [0; 8]).is_err());
    wires[0].set(UP, Settings::default());
    client.send(b"there").unwrap();
    server
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    assert_eq!(server.recv(&mut [0; 8]).unwrap(), 5);
}
