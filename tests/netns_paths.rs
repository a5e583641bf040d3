//! Which functions run where, in which order, with which argument: paths of every shape.
//!
//! RFC 8754 section 4.3, and the module documentation of `src/proxy/itinerary.rs`.

mod harness;
#[path = "modules/mod.rs"]
mod modules;

use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::thread;

use harness::ends::{Ends, Host, hear, trade};
use harness::overheard;
use harness::peer::exchange;
use harness::pipeline::{CAPTURES, COPY, PASSES, Pipeline, XOR, capture_option, stock_functions};
use harness::proxy::{Proxy, base_config};
use harness::talk::xored;
use harness::{lab, lab_with, noise};
use srv6pipes::demo::lab::{Lab, Options, SERVER, sid};
use srv6pipes::demo::sniff::Tap;

const PORT: u16 = 5001;
/// Numbers of the functions of `order.c`.
const ADD: u16 = 0x10;
const TELL: u16 = 0xffff;

/// Every byte there is.
fn alphabet() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

/// What the server sees of the alphabet on a path; it sends the same back, and the client must
/// see the alphabet again.
fn seen_by_server(lab: &Lab, host: &Host, path: &[Ipv6Addr]) -> Vec<u8> {
    lab.steer(path).unwrap();
    let Ends { client, server, .. } = host.meet(lab.client());
    (&client).write_all(&alphabet()).unwrap();
    let seen = hear(&server, 256).unwrap();
    (&server).write_all(&seen).unwrap();
    assert_eq!(
        hear(&client, 256).unwrap(),
        alphabet(),
        "{path:?}: the way back"
    );
    seen
}

fn each(function: impl Fn(u8) -> u8) -> Vec<u8> {
    alphabet().into_iter().map(function).collect()
}

/// One proxy or more with the functions of `order.c` beside the stock ones.
fn with_order(proxies: u8, capture: &str) -> Option<(modules::TempDir, Pipeline)> {
    let lab = lab(proxies)?;
    let folder = modules::TempDir::new();
    let module = folder.join("order.so");
    modules::compile("order", &module, &[]);
    let section = |id: u16, name: &str| {
        let module = module.display();
        format!(
            "config function\n\
             option id '{id}'\n\
             option module '{module}'\n\
             option name '{name}'\n\n"
        )
    };
    let sections = section(ADD, "add") + &section(TELL, "tell");
    let pipeline = Pipeline::in_lab(lab, &capture_option(capture), &sections);
    Some((folder, pipeline))
}

#[test]
fn functions_of_one_proxy_run_in_the_order_of_the_path_and_back_in_reverse() {
    for capture in CAPTURES {
        let Some((_folder, pipeline)) = with_order(1, capture) else {
            return;
        };
        let host = Host::listen(pipeline.lab.server(), PORT);
        let (add, xor) = (sid(1, ADD, 3), sid(1, XOR, 0x55));
        for (path, expected) in [
            (vec![add, xor], each(|x| x.wrapping_add(3) ^ 0x55)),
            (vec![xor, add], each(|x| (x ^ 0x55).wrapping_add(3))),
            (
                vec![add, xor, add],
                each(|x| (x.wrapping_add(3) ^ 0x55).wrapping_add(3)),
            ),
            (
                vec![xor, sid(1, COPY, 0), add, sid(1, PASSES, 1), xor],
                each(|x| (x ^ 0x55).wrapping_add(3) ^ 0x55),
            ),
        ] {
            let seen = seen_by_server(&pipeline.lab, &host, &path);
            assert_eq!(seen, expected, "{capture}: {path:?}");
        }
        // In one process: not one connection more than flows.
        pipeline.wait_counter(1, "finished_flows", 4);
        assert_eq!(pipeline.counter(1, "accepted_flows"), 4);
        assert_eq!(pipeline.function_counter(1, ADD, "flows"), 5);
    }
}

#[test]
fn functions_of_two_proxies_run_in_the_order_of_the_path() {
    let Some((_folder, pipeline)) = with_order(2, "saved_syn") else {
        return;
    };
    let host = Host::listen(pipeline.lab.server(), PORT);
    for (path, expected) in [
        (
            [sid(1, ADD, 3), sid(2, XOR, 0x55)],
            each(|x| x.wrapping_add(3) ^ 0x55),
        ),
        (
            [sid(1, XOR, 0x55), sid(2, ADD, 3)],
            each(|x| (x ^ 0x55).wrapping_add(3)),
        ),
    ] {
        assert_eq!(
            seen_by_server(&pipeline.lab, &host, &path),
            expected,
            "{path:?}"
        );
    }
}

#[test]
fn a_flow_names_its_functions_in_the_order_of_the_path() {
    let Some((_folder, pipeline)) = with_order(1, "saved_syn") else {
        return;
    };
    let lab = &pipeline.lab;
    let host = Host::listen(lab.server(), PORT);
    let path = [sid(1, ADD, 3), sid(1, XOR, 0x55), sid(1, PASSES, 1)];
    lab.steer(&path).unwrap();
    let ends = host.meet(lab.client());
    let flows = pipeline.proxies[0].json("flows");
    let flow = &flows["flows"][0];
    assert_eq!(
        flow["functions"],
        serde_json::json!(["0x0010", "0x0001", "0x0003"])
    );
    let client = ends.client.local_addr().unwrap().to_string();
    assert_eq!(flow["client"], client);
    assert_eq!(flow["server"], host.address().to_string());
}

#[test]
fn every_low_byte_of_an_argument_arrives() {
    for capture in CAPTURES {
        let Some(pipeline) = Pipeline::start(1, capture) else {
            return;
        };
        let host = Host::listen(pipeline.lab.server(), PORT);
        for key in 0..=u8::MAX {
            let path = [sid(1, XOR, u32::from(key))];
            let seen = seen_by_server(&pipeline.lab, &host, &path);
            assert_eq!(seen, each(|x| x ^ key), "{capture}: {key:#x}");
        }
        pipeline.wait_counter(1, "finished_flows", 256);
    }
}

#[test]
fn all_32_bits_of_an_argument_arrive() {
    for capture in CAPTURES {
        let Some((_folder, pipeline)) = with_order(1, capture) else {
            return;
        };
        let lab = &pipeline.lab;
        let host = Host::listen(lab.server(), PORT);
        let bits = (0..32).map(|bit| 1 << bit);
        for argument in bits.chain([0, u32::MAX, 0x8000_0001, 0xdead_beef, 0x0102_0304]) {
            lab.steer(&[sid(1, TELL, argument)]).unwrap();
            let Ends { client, server, .. } = host.meet(lab.client());
            (&client).write_all(b"?").unwrap();
            let seen = hear(&server, 5).unwrap();
            assert_eq!(seen[..4], argument.to_be_bytes(), "{capture}");
            assert_eq!(seen[4], b'?');
        }
    }
}

fn v6(address: SocketAddr) -> SocketAddrV6 {
    match address {
        SocketAddr::V6(v6) => v6,
        SocketAddr::V4(v4) => panic!("{v4}"),
    }
}

/// Two proxies of which the first is visited from both sides: its locator is on both devices, and
/// what it answers to the second proxy goes back there.
fn back_and_forth(capture: &str) -> Option<Pipeline> {
    let lab = lab(2)?;
    let [near, far] = [lab.device_to_client(1), lab.device_to_server(1)];
    let first = Proxy::start_as(&lab, 1, |workdir| {
        let config = base_config(&lab, 1, workdir, &capture_option(capture));
        let one = format!("list device '{near}'\n");
        assert!(config.contains(&one));
        let both = format!("{one}list device '{far}'\n");
        let gateway = lab.address(2, 1);
        config.replace(&one, &both)
            + &stock_functions()
            + &format!("config return\noption device '{far}'\noption gateway '{gateway}'\n")
    });
    let second = Proxy::start_with(&lab, 2, &capture_option(capture), &stock_functions());
    Some(Pipeline {
        proxies: vec![first, second],
        lab,
    })
}

#[test]
fn a_path_may_come_back_to_a_proxy_it_has_left() {
    let (up, down) = (noise::bytes(1, 300_000), noise::bytes(2, 200_000));
    for capture in CAPTURES {
        let Some(pipeline) = back_and_forth(capture) else {
            return;
        };
        let lab = &pipeline.lab;
        let path = [sid(1, XOR, 1), sid(2, XOR, 2), sid(1, XOR, 3)];
        lab.steer(&path).unwrap();
        let taps: Vec<Tap> = (0..=2)
            .map(|wire| lab.wire(wire))
            .map(|(node, device)| Tap::start(node, &device).unwrap())
            .collect();
        let host = Host::listen(lab.server(), PORT);
        let Ends {
            client,
            server,
            from,
        } = host.meet(lab.client());
        thread::scope(|scope| {
            scope.spawn(|| assert!(exchange(&server, &down).unwrap() == up));
            assert!(exchange(&client, &up).unwrap() == down);
        });
        // Between the proxies: to P2, back to P1, and on to the server by way of P2, which only
        // routes it. Each visit has a port of its own, and its own look.
        let visits = overheard::syns(&taps[1]);
        let [to_second, back, on] = visits.as_slice() else {
            panic!("{capture}: {visits:?}");
        };
        assert_eq!(to_second.1, [SERVER, path[2], path[1]]);
        assert_eq!(back.1, [SERVER, path[2]]);
        assert_eq!(on, &(v6(from), vec![]));
        let own = client.local_addr().unwrap();
        assert_eq!(own.ip(), from.ip());
        for (visit, key) in [(to_second, 1), (back, 1 ^ 2), (on, 0)] {
            let upstream = |frame: &srv6pipes::demo::frame::Frame| {
                let srh = frame.routing.as_ref();
                frame.source == visit.0
                    && srh.map_or(visit.1.is_empty(), |srh| srh.segments == visit.1)
            };
            let said = overheard::stream_of(&taps[1], "upstream", upstream);
            assert!(said == xored(&up, key), "{capture}: upstream, key {key}");
        }
        // Nothing of the later visits strays to the client.
        taps[0].frames(|frames| {
            for frame in frames {
                let ends = [frame.source, frame.destination].map(|end| end.port());
                assert!(ends.contains(&own.port()), "{capture}: {frame:?}");
            }
        });
        pipeline.wait_counter(1, "finished_flows", 2);
        pipeline.wait_counter(2, "finished_flows", 1);
        assert_eq!(pipeline.function_counter(1, XOR, "flows"), 2);
        // The first visit must not use the client's port, the second one cannot.
        assert_eq!(pipeline.counter(1, "other_port_flows"), 2);
        assert_eq!(pipeline.counter(2, "other_port_flows"), 0);
    }
}

#[test]
fn a_path_may_go_to_and_fro_sixteen_times() {
    for capture in CAPTURES {
        let Some(pipeline) = back_and_forth(capture) else {
            return;
        };
        let host = Host::listen(pipeline.lab.server(), PORT);
        let visit = |n: u32| sid(if n % 2 == 1 { 1 } else { 2 }, XOR, n);
        for visits in [4, 5, 16] {
            let path: Vec<Ipv6Addr> = (1..=visits).map(visit).collect();
            let key = (1..=visits).fold(0, |key, n| key ^ n);
            let key = u8::try_from(key).unwrap();
            let seen = seen_by_server(&pipeline.lab, &host, &path);
            assert_eq!(seen, each(|x| x ^ key), "{capture}: {visits} visits");
        }
        pipeline.wait_counter(1, "finished_flows", 2 + 3 + 8);
        pipeline.wait_counter(2, "finished_flows", 2 + 2 + 8);
    }
}

/// Bytes both ways at once; every wire may then be asked for its longest packet.
fn both_ways(lab: &Lab, length: u64) -> Vec<Tap> {
    let taps = (0..=lab.proxies())
        .map(|wire| lab.wire(wire))
        .map(|(node, device)| Tap::start(node, &device).unwrap())
        .collect();
    let host = Host::listen(lab.server(), PORT);
    let Ends { client, server, .. } = host.meet(lab.client());
    thread::scope(|scope| {
        let down = scope.spawn(|| trade(&server, 2, length).unwrap());
        let (up, down) = (trade(&client, 1, length).unwrap(), down.join().unwrap());
        assert_eq!((up.length, down.length), (length, length));
        assert_eq!((up.said, up.heard), (down.heard, down.said));
    });
    taps
}

#[test]
fn sixteen_segments_are_eight_of_each_proxy() {
    for capture in CAPTURES {
        let Some(pipeline) = Pipeline::start(2, capture) else {
            return;
        };
        for split in [8, 15, 1] {
            let first = (1..=split).map(|n| sid(1, XOR, n));
            let second = (1..=16 - split).map(|n| sid(2, XOR, n));
            let path: Vec<Ipv6Addr> = first.chain(second).collect();
            let key = |last: u32| u8::try_from((1..=last).fold(0, |key, n| key ^ n)).unwrap();
            let host = Host::listen(pipeline.lab.server(), PORT);
            let seen = seen_by_server(&pipeline.lab, &host, &path);
            let all = key(split) ^ key(16 - split);
            assert_eq!(
                seen,
                each(|x| x ^ all),
                "{capture}: {split} and {}",
                16 - split
            );
        }
        for i in [1, 2] {
            pipeline.wait_counter(i, "finished_flows", 3);
            assert_eq!(pipeline.counter(i, "accepted_flows"), 3);
        }
    }
}

#[test]
fn links_of_every_mtu_carry_full_packets() {
    for mtu in [1280, 1500, 9000] {
        for segments in [2, 16] {
            let options = Options {
                proxies: 2,
                mtu,
                ..Options::default()
            };
            let Some(lab) = lab_with(&options) else {
                return;
            };
            let pipeline = Pipeline::in_lab(lab, &capture_option("auto"), "");
            let halves = [1, 2].map(|i| vec![sid(i, XOR, 1); segments / 2]);
            pipeline.lab.steer(&halves.concat()).unwrap();
            for (wire, tap) in both_ways(&pipeline.lab, 4_000_000).iter().enumerate() {
                let (payload, packet) = overheard::longest(tap);
                let what = format!("mtu {mtu}, {segments} segments, wire {wire}");
                assert_eq!(packet, usize::from(mtu), "{what}: {payload} bytes");
            }
        }
    }
}

/// Makes wire `k` carry no packet beyond IPv6's least MTU.
fn narrow(lab: &Lab, k: usize) {
    let (near, device) = lab.wire(k);
    let (far, back) = match k {
        k if k == lab.proxies() => (lab.server(), format!("to-p{k}")),
        k => (lab.proxy(k + 1), lab.device_to_client(k + 1)),
    };
    for (node, device) in [(near, device), (far, back)] {
        let line = format!("link set dev {device} mtu 1280\n");
        node.ip(&line).unwrap();
    }
}

#[test]
fn any_one_link_may_be_narrow() {
    for wire in 0..=2 {
        let Some(lab) = lab(2) else { return };
        narrow(&lab, wire);
        let pipeline = Pipeline::in_lab(lab, &capture_option("auto"), "");
        pipeline.steer(XOR, 1);
        let taps = both_ways(&pipeline.lab, 2_000_000);
        let (_, packet) = overheard::longest(&taps[wire]);
        assert_eq!(packet, 1280, "wire {wire}");
    }
}

#[test]
fn a_router_behind_the_last_proxy_is_heard_when_it_says_packet_too_big() {
    let Some(lab) = lab(3) else { return };
    // Neither end of a connection sees this link, and what its router says goes to the client's
    // address: the proxy has to take it.
    narrow(&lab, 2);
    let pipeline = Pipeline::in_lab(lab, &capture_option("auto"), "");
    pipeline.lab.steer(&[sid(1, COPY, 0)]).unwrap();
    let taps = both_ways(&pipeline.lab, 2_000_000);
    let (_, before) = overheard::longest(&taps[1]);
    let (_, packet) = overheard::longest(&taps[2]);
    assert_eq!((before, packet), (1500, 1280));
}
