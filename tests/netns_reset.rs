//! Resets: they reach the other end as resets, whatever the flow is in the middle of, and after
//! the bytes that came before them.
//!
//! RFC 9293 section 3.10.7.4, RFC 1122 section 4.2.2.13. Through two proxies in both capture
//! modes, with a function that works (`xor`) and with one that leaves the bytes to splice (`copy`).

mod harness;

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::thread;

use harness::ends::{Ends, Host, abort, breaks, hear, jam, say, warm};
use harness::pipeline::{PORT, Pipeline, XOR, capture_option, everywhere};
use harness::{lab, wait_for};
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};
use srv6pipes::demo::lab::Lab;

#[test]
fn a_reset_from_the_client_is_a_reset_at_the_server() {
    everywhere(|pipeline, host, what| {
        let reset = pipeline.counted(host, "reset_by_client_flows", |ends| {
            warm(&ends);
            abort(ends.client);
            assert_eq!(breaks(&ends.server), ErrorKind::ConnectionReset, "{what}");
        });
        assert_eq!(reset, [1, 1], "{what}");
    });
}

#[test]
fn a_reset_from_the_server_is_a_reset_at_the_client() {
    everywhere(|pipeline, host, what| {
        let reset = pipeline.counted(host, "reset_by_server_flows", |ends| {
            warm(&ends);
            abort(ends.server);
            assert_eq!(breaks(&ends.client), ErrorKind::ConnectionReset, "{what}");
        });
        assert_eq!(reset, [1, 1], "{what}");
    });
}

#[test]
fn a_reset_in_mid_transfer_stops_the_sender() {
    everywhere(|pipeline, host, what| {
        for upstream in [true, false] {
            let counter = match upstream {
                true => "reset_by_server_flows",
                false => "reset_by_client_flows",
            };
            let reset = pipeline.counted(host, counter, |ends| {
                let (from, to) = match upstream {
                    true => (ends.client, ends.server),
                    false => (ends.server, ends.client),
                };
                let saying = thread::spawn(move || say(&from, 1, 1 << 40).unwrap_err().kind());
                hear(&to, 1_000_000).unwrap();
                abort(to);
                assert_eq!(saying.join().unwrap(), ErrorKind::ConnectionReset, "{what}");
            });
            assert_eq!(reset, [1, 1], "{what}, upstream {upstream}");
        }
    });
}

#[test]
fn a_reset_passes_by_bytes_that_cannot_move() {
    everywhere(|pipeline, host, what| {
        for (client_jams, client_aborts) in
            [(true, true), (true, false), (false, true), (false, false)]
        {
            let what = format!("{what}, client jams {client_jams} aborts {client_aborts}");
            let counter = match client_aborts {
                true => "reset_by_client_flows",
                false => "reset_by_server_flows",
            };
            let reset = pipeline.counted(host, counter, |ends| {
                jam(match client_jams {
                    true => &ends.client,
                    false => &ends.server,
                });
                let (gone, left) = match client_aborts {
                    true => (ends.client, ends.server),
                    false => (ends.server, ends.client),
                };
                abort(gone);
                // The other end still does not read, and yet the proxies let the flow go.
                pipeline.wait_idle();
                assert_eq!(breaks(&left), ErrorKind::ConnectionReset, "{what}");
            });
            assert_eq!(reset, [1, 1], "{what}");
        }
    });
}

#[test]
fn a_reset_after_a_half_close_is_a_reset_too() {
    everywhere(|pipeline, host, what| {
        // By whoever still had to speak …
        let reset = pipeline.counted(host, "reset_by_server_flows", |ends| {
            warm(&ends);
            ends.client.shutdown(Shutdown::Write).unwrap();
            pipeline.wait_half_closed();
            abort(ends.server);
            assert_eq!(breaks(&ends.client), ErrorKind::ConnectionReset, "{what}");
        });
        assert_eq!(reset, [1, 1], "{what}");
        // … and by whoever had only to listen: tcp_reset() calls that EPIPE.
        let reset = pipeline.counted(host, "reset_by_client_flows", |ends| {
            warm(&ends);
            ends.client.shutdown(Shutdown::Write).unwrap();
            pipeline.wait_half_closed();
            abort(ends.client);
            pipeline.wait_idle();
            let error = say(&ends.server, 1, 1 << 40).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{what}");
        });
        assert_eq!(reset, [1, 1], "{what}");
    });
}

#[test]
fn closing_with_unread_bytes_is_a_reset() {
    everywhere(|pipeline, host, what| {
        for client_closes in [true, false] {
            let counter = match client_closes {
                true => "reset_by_client_flows",
                false => "reset_by_server_flows",
            };
            let reset = pipeline.counted(host, counter, |ends| {
                let (closing, mut other) = match client_closes {
                    true => (ends.client, ends.server),
                    false => (ends.server, ends.client),
                };
                other.write_all(b"nobody reads this").unwrap();
                assert!(closing.peek(&mut [0; 9]).unwrap() > 0);
                drop(closing);
                assert_eq!(breaks(&other), ErrorKind::ConnectionReset, "{what}");
            });
            assert_eq!(reset, [1, 1], "{what}");
        }
    });
}

/// What a server says that refuses a request in the middle: it answers and closes, and since it
/// has not read everything its kernel sends a reset behind the answer.
const ANSWER: &[u8] = b"413 too large, and this is the reason";

#[test]
fn what_came_before_a_reset_is_delivered() {
    everywhere(|pipeline, host, what| {
        for _ in 0..20 {
            let Ends {
                mut client,
                mut server,
                ..
            } = host.meet(pipeline.lab.client());
            client.write_all(&[b'x'; 5_000]).unwrap();
            assert_eq!(hear(&server, 100).unwrap(), [b'x'; 100]);
            server.write_all(ANSWER).unwrap();
            drop(server);
            pipeline.wait_idle();
            assert_eq!(hear(&client, ANSWER.len()).unwrap(), ANSWER, "{what}");
            assert_eq!(breaks(&client), ErrorKind::ConnectionReset, "{what}");
        }
    });
}

#[test]
fn what_came_before_a_reset_is_delivered_to_who_is_still_speaking() {
    everywhere(|pipeline, host, what| {
        for _ in 0..20 {
            let Ends {
                client, mut server, ..
            } = host.meet(pipeline.lab.client());
            thread::scope(|scope| {
                let saying = scope.spawn(|| say(&client, 1, 1 << 40).unwrap_err().kind());
                hear(&server, 200_000).unwrap();
                server.write_all(ANSWER).unwrap();
                drop(server);
                assert_eq!(saying.join().unwrap(), ErrorKind::ConnectionReset, "{what}");
            });
            // The writer has taken the error; what came before it is there.
            assert_eq!(hear(&client, ANSWER.len()).unwrap(), ANSWER, "{what}");
        }
    });
}

/// Connections of a namespace that wait for the answer to their SYN (`TCP_SYN_SENT`).
fn syn_sent(lab: &Lab, i: usize) -> usize {
    let table = lab
        .proxy(i)
        .run(|| fs::read_to_string("/proc/thread-self/net/tcp6"));
    let state = |line: &str| line.split_whitespace().nth(3).map(str::to_owned);
    let table = table.unwrap().unwrap();
    table
        .lines()
        .filter_map(state)
        .filter(|s| s == "02")
        .count()
}

#[test]
fn a_client_that_resets_before_the_server_answers_is_forgotten() {
    let Some(pipeline) = Pipeline::start(2, "saved_syn") else {
        return;
    };
    let lab = &pipeline.lab;
    pipeline.steer(XOR, 0x2a);
    let host = Host::listen(lab.server(), PORT);
    pipeline.deafen_server();
    let client = harness::peer::connect(lab.client(), host.address()).unwrap();
    wait_for("the last proxy to ask the server", || {
        (syn_sent(lab, 2) == 1).then_some(())
    });
    abort(client);
    pipeline.wait_idle();
    assert_eq!(syn_sent(lab, 2), 0, "it still asks");
    for i in [1, 2] {
        assert_eq!(pipeline.counter(i, "reset_by_client_flows"), 1);
        assert_eq!(pipeline.counter(i, "next_timeout_flows"), 0);
    }
    assert_eq!(pipeline.counter(2, "piped_flows"), 0);
    assert!(host.is_alone());
}

#[test]
fn a_client_that_gives_up_while_its_syn_is_held_leaves_no_flow() {
    let Some(lab) = lab(2) else { return };
    let options = capture_option("nfqueue") + "option connect_timeout '5'\n";
    let pipeline = Pipeline::in_lab(lab, &options, "");
    let lab = &pipeline.lab;
    pipeline.steer(XOR, 0x2a);
    let host = Host::listen(lab.server(), PORT);
    pipeline.deafen_server();
    let address = host.address().into();
    let hasty = lab.client().run(|| {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let error = socket.connect(&address).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EINPROGRESS as i32));
        socket
    });
    pipeline.wait_counter(2, "held_syn_packets", 1);
    drop(hasty.unwrap());
    pipeline.undeafen_server();
    // The server is asked again, answers, and is told that nobody was there.
    let (server, _) = host.accept();
    assert_eq!(breaks(&server), ErrorKind::ConnectionReset);
    pipeline.wait_counter(1, "abandoned_flows", 1);
    pipeline.wait_idle();
    assert_eq!(pipeline.counter(1, "accepted_flows"), 0);
    assert_eq!(pipeline.counter(2, "reset_by_client_flows"), 1);
}

#[test]
fn a_server_that_refuses_is_a_refusal_or_a_reset_at_the_client() {
    everywhere(|pipeline, host, what| {
        let mut nobody = host.address();
        nobody.set_port(PORT + 1);
        let refused = pipeline.counter(2, "next_refused_flows");
        let connected = harness::peer::connect(pipeline.lab.client(), nobody);
        if what.starts_with("nfqueue") {
            let error = connected.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{what}");
        } else {
            // It had to be accepted before its SRH could be read; the reset may come so soon
            // after that connecting itself finds it.
            let kind = connected.map_or_else(|error| error.kind(), |stream| breaks(&stream));
            assert_eq!(kind, ErrorKind::ConnectionReset, "{what}");
        }
        pipeline.wait_counter(2, "next_refused_flows", refused + 1);
    });
}
