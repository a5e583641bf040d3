//! The laboratory itself: what the other tests in namespaces rely on, before any daemon runs.

mod harness;

use std::fs;
use std::net::{Ipv6Addr, Shutdown, SocketAddrV6, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use harness::peer::{Habit, Server, connect, exchange};
use harness::{craft, kernel, lab, lab_with, noise, wait_for};
use srv6pipes::demo::frame::flag;
use srv6pipes::demo::lab::{CLIENT, Options, SERVER, sid};
use srv6pipes::demo::sniff::Tap;

#[test]
fn plain_tcp_crosses_three_routers_unchanged() {
    let Some(lab) = lab(3) else { return };
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let bytes = noise::bytes(1, 3_000_000);
    let stream = connect(lab.client(), server.address()).unwrap();
    let echo = exchange(&stream, &bytes).unwrap();
    assert!(echo == bytes, "the echo differs");
    let report = server.report();
    assert_eq!(report.client, stream.local_addr().unwrap());
    assert_eq!(report.client.ip(), CLIENT);
    assert_eq!(
        (report.received, report.sum),
        (3_000_000, noise::sha256(&bytes))
    );
    report.end.unwrap();
}

#[test]
fn servers_give_and_swallow() {
    let Some(lab) = lab(1) else { return };
    let giver = Server::start(
        lab.server(),
        19,
        Habit::Give {
            length: 800_000,
            seed: 2,
        },
    );
    let stream = connect(lab.client(), giver.address()).unwrap();
    let (length, sum, end) = noise::drain(&mut &stream);
    end.unwrap();
    assert_eq!(
        (length, sum),
        (800_000, noise::sha256(&noise::bytes(2, 800_000)))
    );
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(giver.report().received, 0);

    let swallower = Server::start(lab.server(), 9, Habit::Swallow);
    let stream = connect(lab.client(), swallower.address()).unwrap();
    assert_eq!(exchange(&stream, b"discard").unwrap(), b"");
    assert_eq!(swallower.report().sum, noise::sha256(b"discard"));
}

#[test]
fn a_steered_syn_carries_its_segments_to_the_first_proxy() {
    let Some(lab) = lab(2) else { return };
    let segments = [sid(1, 1, 0x2a), sid(2, 1, 0x2a)];
    lab.steer(&segments).unwrap();
    let (client, device) = lab.wire(0);
    let tap = Tap::start(client, &device).unwrap();
    // Nobody takes the segment, so the SYN is never answered: do not wait for that.
    let destination = SocketAddrV6::new(SERVER, 80, 0, 0);
    client
        .run(|| {
            let socket =
                socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.connect(&destination.into()).unwrap_err();
            wait_for("the SYN", || {
                tap.frames(|frames| frames.iter().any(|f| f.has(flag::SYN)).then_some(()))
            });
        })
        .unwrap();
    let syn = tap.frames(|frames| frames[0].clone());
    let srh = syn.routing.unwrap();
    assert_eq!(srh.segments, [SERVER, segments[1], segments[0]]);
    assert_eq!(srh.segments_left, 2);
    assert_eq!(*syn.destination.ip(), segments[0]);
    assert!(syn.checksum_ok);

    lab.unsteer().unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let stream = connect(client, server.address()).unwrap();
    assert_eq!(exchange(&stream, b"plain").unwrap(), b"plain");
}

#[test]
fn a_packet_made_by_hand_arrives_as_it_was_made() {
    let Some(lab) = lab(2) else { return };
    let (p1, device) = lab.wire(1);
    let tap = Tap::start(p1, &device).unwrap();
    let [client, server] =
        [(CLIENT, 1025), (SERVER, 80)].map(|(ip, port)| SocketAddrV6::new(ip, port, 0, 0));
    let segment = sid(2, 9, 0);
    let mut srh = craft::Srh::new(&[segment, SERVER]);
    srh.segments_left = 200;
    let packet = craft::with_srh(CLIENT, segment, &srh, &craft::syn(client, server));
    craft::send(lab.client(), &packet).unwrap();
    let frame = wait_for("the packet on the second wire", || {
        tap.frames(|frames| frames.first().cloned())
    });
    assert!(frame.checksum_ok && frame.has(flag::SYN));
    assert_eq!(frame.routing.unwrap().segments_left, 200);
}

#[test]
fn offload_is_what_hides_wrong_checksums() {
    let options = Options {
        checksum_offload: true,
        ..Options::default()
    };
    for (options, honest) in [(options, false), (Options::default(), true)] {
        let Some(lab) = lab_with(&options) else {
            return;
        };
        let tap = Tap::start(lab.client(), &lab.wire(0).1).unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let stream = connect(lab.client(), server.address()).unwrap();
        assert_eq!(exchange(&stream, b"x").unwrap(), b"x");
        let all_right = wait_for("the byte and its echo", || {
            tap.frames(|frames| {
                let both = frames
                    .iter()
                    .filter(|frame| !frame.payload.is_empty())
                    .count()
                    == 2;
                both.then(|| frames.iter().all(|frame| frame.checksum_ok))
            })
        });
        assert_eq!(all_right, honest);
    }
}

#[test]
fn every_locator_is_reachable_from_every_node() {
    let Some(lab) = lab(3) else { return };
    let nodes = [
        lab.client(),
        lab.proxy(1),
        lab.proxy(2),
        lab.proxy(3),
        lab.server(),
    ];
    for (n, node) in nodes.iter().enumerate() {
        for proxy in (1..=3).filter(|proxy| *proxy != n) {
            let sid = sid(proxy, 1, 0);
            let mut ip = node.command("ip");
            let route = ip
                .args(["-6", "route", "get", &sid.to_string()])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&route.stdout).into_owned();
            let device = if proxy > n { "to-p" } else { "dev to-" };
            assert!(
                route.status.success() && text.contains(device),
                "{n} to {proxy}: {text}"
            );
        }
        for address in [CLIENT, SERVER] {
            let mut ip = node.command("ip");
            let route = ip
                .args(["-6", "route", "get", &address.to_string()])
                .output()
                .unwrap();
            assert!(route.status.success(), "{n} to {address}");
        }
    }
}

#[test]
fn the_kernels_state_tells_what_was_changed() {
    let Some(lab) = lab(1) else { return };
    let p1 = lab.proxy(1);
    let before = kernel::state(p1);
    assert_eq!(kernel::difference(&before, &kernel::state(p1)), [""; 0]);
    p1.set_sysctl("net/ipv6/conf/all/seg6_enabled", "1")
        .unwrap();
    p1.ip("rule add fwmark 1/1 lookup 100\n").unwrap();
    let difference = kernel::difference(&before, &kernel::state(p1));
    assert_eq!(difference.len(), 3, "{difference:?}");
    assert!(difference.contains(&"net/ipv6/conf/all/seg6_enabled: - 0".to_owned()));
    assert!(difference[0].starts_with("ip -6 rule show: + "));
}

#[test]
fn nothing_stays_behind_even_after_a_panic() {
    let Some(lab) = lab(2) else { return };
    let names: Vec<_> = [lab.client(), lab.proxy(1), lab.proxy(2), lab.server()]
        .map(|namespace| namespace.name().to_owned())
        .into();
    let there = |name: &String| Path::new("/run/netns").join(name).exists();
    assert!(names.iter().all(there), "{names:?}");
    let mut forgotten = lab.server().command("sleep").arg("600").spawn().unwrap();
    // `ip netns exec` has entered once the namespace lists the process.
    wait_for("the process to be inside", || {
        let pids = Command::new("ip")
            .args(["netns", "pids", &names[3]])
            .output()
            .unwrap();
        (!pids.stdout.is_empty()).then_some(())
    });
    let panicked = std::thread::spawn(move || {
        let _lab = lab;
        panic!("on purpose");
    });
    panicked.join().unwrap_err();
    assert!(!names.iter().any(there), "{names:?}");
    wait_for("the forgotten process to end", || {
        forgotten.try_wait().unwrap()
    });
}

#[test]
fn what_a_killed_process_left_is_removed_by_the_next() {
    if !harness::is_root() {
        return;
    }
    // A process that has ended and been waited for: its number is nobody's.
    let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let name = format!("srv6p-stale-{pid}-0-C");
    let added = Command::new("ip")
        .args(["netns", "add", &name])
        .status()
        .unwrap();
    assert!(added.success());
    let lab = srv6pipes::demo::lab::Lab::new("srv6p-stale", &Options::default()).unwrap();
    assert!(!Path::new("/run/netns").join(&name).exists());
    drop(lab);
}

#[test]
fn a_closure_runs_where_it_says() {
    let Some(lab) = lab(1) else { return };
    let devices = lab
        .client()
        .run(|| fs::read_to_string("/proc/thread-self/net/dev").unwrap())
        .unwrap();
    assert!(
        devices.contains("to-p1:")
            && !fs::read_to_string("/proc/net/dev")
                .unwrap()
                .contains("to-p1:")
    );
    let nowhere = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, 0, 0);
    let refused = lab
        .client()
        .run(|| TcpStream::connect(nowhere).map(drop))
        .unwrap()
        .unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        lab.client().run(|| panic!("inside"))
    }));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"inside"));
}
