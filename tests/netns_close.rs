//! Flows that end in order: each direction by itself, with nothing lost before its end.
//!
//! RFC 9293 section 3.6. Through two proxies in both capture modes, with a function that works
//! (`xor`) and with one that leaves the bytes to splice (`copy`). Resets are in `netns_reset.rs`.

mod harness;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread;

use harness::ends::{Ends, Host, Trade, hear_out, say, trade, warm};
use harness::pipeline::{COPY, PORT, Pipeline, XOR, everywhere};
use harness::{noise, wait_for};

/// Everything that `from` says, to the end of its stream, arrives at `to`.
fn arrives(from: &TcpStream, to: &TcpStream, length: u64, what: &str) {
    thread::scope(|scope| {
        let said = scope.spawn(move || say(from, length, length).unwrap());
        let heard = hear_out(to).unwrap();
        assert_eq!(heard.len() as u64, length, "{what}");
        assert_eq!(noise::sha256(&heard), said.join().unwrap(), "{what}");
    });
}

#[test]
fn a_client_that_has_said_all_still_hears_all() {
    everywhere(|pipeline, host, what| {
        let finished = pipeline.counted(host, "finished_flows", |ends| {
            arrives(&ends.client, &ends.server, 100_000, what);
            pipeline.wait_half_closed();
            arrives(&ends.server, &ends.client, 3_000_000, what);
        });
        assert_eq!(finished, [1, 1], "{what}");
    });
}

#[test]
fn a_server_that_has_said_all_still_hears_all() {
    everywhere(|pipeline, host, what| {
        let finished = pipeline.counted(host, "finished_flows", |ends| {
            arrives(&ends.server, &ends.client, 100_000, what);
            pipeline.wait_half_closed();
            arrives(&ends.client, &ends.server, 3_000_000, what);
        });
        assert_eq!(finished, [1, 1], "{what}");
    });
}

#[test]
fn both_may_finish_at_once() {
    everywhere(|pipeline, host, what| {
        for length in (0..20).map(|n| n * 3_333) {
            let finished = pipeline.counted(host, "finished_flows", |ends| {
                let (up, down) = thread::scope(|scope| {
                    let down = scope.spawn(|| trade(&ends.server, 2, length).unwrap());
                    (
                        trade(&ends.client, 1, length).unwrap(),
                        down.join().unwrap(),
                    )
                });
                let Trade { said, heard, .. } = down;
                assert_eq!((up.length, down.length), (length, length), "{what}");
                assert_eq!((up.heard, up.said), (said, heard), "{what}");
            });
            assert_eq!(finished, [1, 1], "{what}");
        }
    });
}

/// Around the sizes of one segment and of a proxy's buffers.
const LENGTHS: [u64; 8] = [0, 1, 1_364, 1_365, 65_535, 65_536, 65_537, 131_072];

#[test]
fn a_fin_in_the_same_breath_as_the_data_loses_none_of_it() {
    everywhere(|pipeline, host, what| {
        for length in LENGTHS {
            for _ in 0..3 {
                let Ends { client, server, .. } = host.meet(pipeline.lab.client());
                arrives(&client, &server, length, what);
                arrives(&server, &client, length, what);
            }
        }
    });
}

#[test]
fn data_and_fin_may_come_before_the_server_answers() {
    let Some(pipeline) = Pipeline::start(2, "saved_syn") else {
        return;
    };
    let lab = &pipeline.lab;
    let host = Host::listen(lab.server(), PORT);
    for function in [XOR, COPY] {
        pipeline.steer(function, 0x2a);
        pipeline.deafen_server();
        let client = harness::peer::connect(lab.client(), host.address()).unwrap();
        let said = say(&client, 1, 10_000).unwrap();
        wait_for("the last proxy to wait for the server", || {
            let flows = pipeline.proxies[1].json("flows");
            (flows["flows"][0]["state"] == "connecting").then_some(())
        });
        assert!(host.is_alone());
        pipeline.undeafen_server();
        let (server, _) = host.accept();
        let heard = hear_out(&server).unwrap();
        assert_eq!(noise::sha256(&heard), said, "function {function}");
        arrives(&server, &client, 10_000, "the answer");
        pipeline.wait_idle();
    }
}

#[test]
fn who_speaks_on_to_a_closed_end_is_stopped() {
    everywhere(|pipeline, host, what| {
        pipeline.counted(host, "accepted_flows", |ends| {
            warm(&ends);
            // All that was sent has been read: an orderly end, but nobody listens any more.
            drop(ends.server);
            assert_eq!(hear_out(&ends.client).unwrap(), b"", "{what}");
            let error = say(&ends.client, 1, 1 << 40).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{what}");
        });
    });
}
