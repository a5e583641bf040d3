//! What comes out is what went in: large flows, small writes, and what the wire between shows.

mod harness;

use std::io::Write;
use std::net::{SocketAddr, SocketAddrV6, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use harness::ends::{Ends, Host, Trade, hear, trade};
use harness::noise;
use harness::overheard;
use harness::pipeline::{CAPTURES, COPY, PASSES, Pipeline, XOR};
use harness::status::COPIED;
use harness::talk::xored;
use srv6pipes::demo::lab::{CLIENT, SERVER, sid};
use srv6pipes::demo::sniff::Tap;

/// 256 MiB, the size of the thesis's largest objects and more than every buffer on the way.
fn large() -> u64 {
    harness::amount("SRV6PIPES_TEST_MIB", 256) << 20
}

fn v6(address: SocketAddr) -> SocketAddrV6 {
    match address {
        SocketAddr::V6(v6) => v6,
        SocketAddr::V4(v4) => panic!("{v4}"),
    }
}

/// `length` bytes both ways at once; both ends agree, and so do the proxies' counters.
fn both_ways_at_once(pipeline: &Pipeline, length: u64) {
    let lab = &pipeline.lab;
    let host = Host::listen(lab.server(), 5001);
    let Ends {
        client,
        server,
        from,
    } = host.meet(lab.client());
    assert_eq!(from, client.local_addr().unwrap());
    assert_eq!(from.ip(), CLIENT);
    let (up, down) = thread::scope(|scope| {
        let server = scope.spawn(|| trade(&server, 2, length).unwrap());
        (trade(&client, 1, length).unwrap(), server.join().unwrap())
    });
    assert_ne!(up.said, down.said);
    let Trade { said, heard, .. } = up;
    assert_eq!((up.length, down.length), (length, length));
    assert_eq!((said, heard), (down.heard, down.said), "SHA-256 differ");
    pipeline.wait_idle();
    for i in 1..=pipeline.proxies.len() {
        for counter in [
            "upstream_in_bytes",
            "upstream_out_bytes",
            "downstream_in_bytes",
            "downstream_out_bytes",
        ] {
            assert_eq!(pipeline.counter(i, counter), length, "{counter} of {i}");
        }
        for counter in ["accepted_flows", "piped_flows", "finished_flows"] {
            assert_eq!(pipeline.counter(i, counter), 1, "{counter} of {i}");
        }
        assert_eq!(pipeline.counter(i, "other_port_flows"), 0);
    }
}

#[test]
fn two_xors_in_a_row_leave_what_goes_each_way_as_it_was() {
    let Some(pipeline) = Pipeline::start(2, "saved_syn") else {
        return;
    };
    pipeline.steer(XOR, 0x2a);
    both_ways_at_once(&pipeline, large());
    for i in [1, 2] {
        assert_eq!(pipeline.counter(i, "spliced_bytes"), 0);
        for counter in ["in_bytes", "out_bytes"] {
            assert_eq!(pipeline.function_counter(i, XOR, counter), 2 * large());
        }
    }
}

#[test]
fn copy_leaves_what_goes_each_way_to_splice() {
    let Some(pipeline) = Pipeline::start(2, "nfqueue") else {
        return;
    };
    pipeline.steer(COPY, 0);
    both_ways_at_once(&pipeline, large());
    for i in [1, 2] {
        let copied = 2 * large() - pipeline.counter(i, "spliced_bytes");
        assert!((1..=2 * COPIED).contains(&copied), "{copied}");
        assert_eq!(pipeline.function_counter(i, COPY, "in_bytes"), 0);
        assert_eq!(pipeline.function_counter(i, COPY, "flows"), 1);
    }
}

#[test]
fn passes_works_on_every_byte_and_changes_none() {
    const LENGTH: u64 = 48_000_000;
    for capture in CAPTURES {
        let Some(pipeline) = Pipeline::start(2, capture) else {
            return;
        };
        pipeline.steer(PASSES, 2);
        both_ways_at_once(&pipeline, LENGTH);
        for i in [1, 2] {
            assert_eq!(pipeline.counter(i, "spliced_bytes"), 0);
            assert_eq!(pipeline.function_counter(i, PASSES, "in_bytes"), 2 * LENGTH);
        }
    }
}

/// What each wire carried of one flow: upstream and downstream.
fn overhear(pipeline: &Pipeline, up: &[u8], down: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let lab = &pipeline.lab;
    let taps: Vec<Tap> = (0..=lab.proxies())
        .map(|wire| lab.wire(wire))
        .map(|(node, device)| Tap::start(node, &device).unwrap())
        .collect();
    let host = Host::listen(lab.server(), 5001);
    let Ends {
        client,
        server,
        from,
    } = host.meet(lab.client());
    thread::scope(|scope| {
        scope.spawn(|| {
            let heard = harness::peer::exchange(&server, down).unwrap();
            assert!(heard == up, "upstream differs");
        });
        let heard = harness::peer::exchange(&client, up).unwrap();
        assert!(heard == down, "downstream differs");
    });
    taps.iter()
        .map(|tap| {
            (
                overheard::stream(tap, v6(from)),
                overheard::stream(tap, host.address()),
            )
        })
        .collect()
}

#[test]
fn the_wire_between_two_xors_carries_what_their_argument_makes_of_it() {
    let (up, down) = (noise::bytes(1, 300_000), noise::bytes(2, 200_000));
    for capture in CAPTURES {
        let Some(pipeline) = Pipeline::start(2, capture) else {
            return;
        };
        for key in [0x2a, 0x55] {
            pipeline.steer(XOR, u32::from(key));
            let wires = overhear(&pipeline, &up, &down);
            let clear = (up.clone(), down.clone());
            let hidden = (xored(&up, key), xored(&down, key));
            assert!(wires[0] == clear, "{capture} {key:#x}: the first wire");
            assert!(wires[1] == hidden, "{capture} {key:#x}: the wire between");
            assert!(wires[2] == clear, "{capture} {key:#x}: the last wire");
        }
    }
}

#[test]
fn every_wire_of_copy_and_passes_carries_clear_text() {
    let (up, down) = (noise::bytes(1, 300_000), noise::bytes(2, 200_000));
    let Some(pipeline) = Pipeline::start(2, "saved_syn") else {
        return;
    };
    for function in [COPY, PASSES] {
        pipeline.steer(function, 1);
        for wire in overhear(&pipeline, &up, &down) {
            assert!(wire == (up.clone(), down.clone()), "function {function}");
        }
    }
}

#[test]
fn the_srh_shortens_from_wire_to_wire() {
    for capture in CAPTURES {
        let Some(pipeline) = Pipeline::start(2, capture) else {
            return;
        };
        let path = pipeline.steer(XOR, 0x2a);
        let lab = &pipeline.lab;
        let taps: Vec<Tap> = (0..=2)
            .map(|wire| lab.wire(wire))
            .map(|(node, device)| Tap::start(node, &device).unwrap())
            .collect();
        let host = Host::listen(lab.server(), 5001);
        let Ends {
            client,
            server,
            from,
        } = host.meet(lab.client());
        both_trade(&client, &server, 10_000);
        let expected = [
            Some(vec![SERVER, path[1], path[0]]),
            Some(vec![SERVER, path[1]]),
            None,
        ];
        for (tap, expected) in taps.iter().zip(expected) {
            for end in [v6(from), host.address()] {
                assert_eq!(overheard::stream(tap, end).len(), 10_000);
            }
            tap.frames(|frames| {
                for frame in frames {
                    let carried = frame.routing.as_ref().map(|srh| &srh.segments);
                    let forward = frame.source.ip() == &CLIENT;
                    let expected = expected.as_ref().filter(|_| forward);
                    assert_eq!(carried, expected, "{capture}: {frame:?}");
                }
            });
        }
    }
}

fn both_trade(client: &TcpStream, server: &TcpStream, length: u64) {
    thread::scope(|scope| {
        scope.spawn(|| trade(server, 2, length).unwrap());
        assert_eq!(trade(client, 1, length).unwrap().length, length);
    });
}

#[test]
fn single_bytes_arrive_one_and_all() {
    const COUNT: usize = 20_000;
    for capture in CAPTURES {
        let Some(pipeline) = Pipeline::start(2, capture) else {
            return;
        };
        let host = Host::listen(pipeline.lab.server(), 5001);
        for function in [XOR, COPY, PASSES] {
            pipeline.steer(function, 1);
            let Ends { client, server, .. } = host.meet(pipeline.lab.client());
            let [up, down] = [1, 2].map(|seed| noise::bytes(seed, COUNT));
            thread::scope(|scope| {
                for (mut from, bytes) in [(&client, &up), (&server, &down)] {
                    from.set_nodelay(true).unwrap();
                    scope.spawn(move || {
                        for byte in bytes {
                            from.write_all(&[*byte]).unwrap();
                        }
                    });
                }
                for (to, bytes) in [(&server, &up), (&client, &down)] {
                    scope.spawn(move || {
                        let heard = hear(to, COUNT).unwrap();
                        assert!(heard == *bytes, "{capture} function {function}");
                    });
                }
            });
        }
    }
}

/// The time that each of `count` questions needs for its answer. Each is said in two halves, as by
/// a client that sends a head and then a body, and the second half begins when the first is there:
/// so every hop meets two small segments, of which the first may not be acknowledged yet.
fn rounds(ends: &Ends, count: usize) -> Vec<Duration> {
    let Ends { client, server, .. } = ends;
    for stream in [client, server] {
        stream.set_nodelay(true).unwrap();
    }
    let half = Barrier::new(2);
    let say = |mut to: &TcpStream, text: &[u8]| {
        to.write_all(&text[..10]).unwrap();
        half.wait();
        to.write_all(&text[10..]).unwrap();
    };
    let hear = |from: &TcpStream| {
        let first = hear(from, 10).unwrap();
        half.wait();
        [first, hear(from, 10).unwrap()].concat()
    };
    thread::scope(|scope| {
        scope.spawn(|| (0..count).for_each(|_| say(server, &hear(server))));
        let rounds = (1_u64..).take(count).map(|seed| {
            let question = noise::bytes(seed, 20);
            let began = Instant::now();
            say(client, &question);
            assert_eq!(hear(client), question);
            began.elapsed()
        });
        rounds.collect()
    })
}

#[test]
fn no_question_waits_for_a_delayed_acknowledgement() {
    for capture in CAPTURES {
        let Some(pipeline) = Pipeline::start(2, capture) else {
            return;
        };
        let host = Host::listen(pipeline.lab.server(), 5001);
        for function in [XOR, COPY, PASSES] {
            pipeline.steer(function, 1);
            let mut times = rounds(&host.meet(pipeline.lab.client()), 500);
            times.sort();
            // The kernel delays an acknowledgement by 40 ms and more; Nagle's algorithm anywhere
            // on the way would wait for it in nearly every round. A busy machine is slow in some.
            let median = times[times.len() / 2];
            assert!(
                median < Duration::from_millis(30),
                "{capture} function {function}: {median:?} in the median"
            );
        }
    }
}

#[test]
fn a_hundred_flows_at_once_do_not_mix() {
    const FLOWS: u64 = 100;
    for capture in CAPTURES {
        let Some(pipeline) = Pipeline::start(2, capture) else {
            return;
        };
        let lab = &pipeline.lab;
        // One proxy only: the server sees what that one made of it.
        lab.steer(&[sid(1, XOR, 0x0f)]).unwrap();
        let host = Host::listen(lab.server(), 5001);
        let all: Vec<Ends> = (0..FLOWS).map(|_| host.meet(lab.client())).collect();
        thread::scope(|scope| {
            for (seed, ends) in (1000..).zip(&all) {
                scope.spawn(move || {
                    assert_eq!(ends.from, ends.client.local_addr().unwrap());
                    let bytes = noise::bytes(seed, 100_000);
                    let mut client = &ends.client;
                    client.write_all(&bytes).unwrap();
                    let heard = hear(&ends.server, bytes.len()).unwrap();
                    assert!(heard == xored(&bytes, 0x0f), "{capture}: flow {seed}");
                });
            }
        });
        drop(all);
        pipeline.wait_counter(1, "finished_flows", FLOWS);
        assert_eq!(pipeline.counter(2, "accepted_flows"), 0);
    }
}
