//! What goes by splice(2), over real links: the traps that others fell into.
//!
//! A pipe has one slot for each page, and every fragment of a packet takes one: it is full of small
//! segments long before it is full of bytes.

mod harness;

use std::io::Write;
use std::net::Shutdown;
use std::thread;

use nix::sys::signal::Signal;

use harness::ends::{Ends, Host, WARM, hear, hear_out, warm};
use harness::noise;
use harness::pipeline::{COPY, PORT, Pipeline};
use harness::status::Status;

/// Far more segments than the pipe has slots.
const SEGMENTS: usize = 600;
/// So many are more than that, too, and wait in the proxy's socket before it may read any.
const WAITING: usize = 100;

fn spliced_flow() -> Option<(Pipeline, Ends)> {
    let pipeline = Pipeline::start(1, "saved_syn")?;
    pipeline.steer(COPY, 0);
    let host = Host::listen(pipeline.lab.server(), PORT);
    let ends = host.meet(pipeline.lab.client());
    for stream in [&ends.client, &ends.server] {
        stream.set_nodelay(true).unwrap();
    }
    warm(&ends);
    Some((pipeline, ends))
}

#[test]
fn segments_that_fill_every_slot_of_the_pipe_leave_no_tail_behind() {
    let Some((pipeline, ends)) = spliced_flow() else {
        return;
    };
    for length in [1, 100] {
        for (mut from, to) in [(&ends.client, &ends.server), (&ends.server, &ends.client)] {
            let bytes = noise::bytes(3, SEGMENTS * length);
            let (waiting, rest) = bytes.split_at(WAITING * length);
            let mut say = |bytes: &[u8]| {
                for segment in bytes.chunks(length) {
                    from.write_all(segment).unwrap();
                }
            };
            pipeline.proxies[0].signal(Signal::SIGSTOP);
            say(waiting);
            pipeline.proxies[0].signal(Signal::SIGCONT);
            // The rest comes while it is at it, and nothing after that.
            thread::scope(|scope| {
                scope.spawn(|| say(rest));
                assert!(hear(to, bytes.len()).unwrap() == bytes, "{length}");
            });
        }
    }
}

#[test]
fn a_trickle_arrives_byte_by_byte() {
    let Some((pipeline, ends)) = spliced_flow() else {
        return;
    };
    let Ends { client, server, .. } = &ends;
    for byte in noise::bytes(4, 300) {
        for (mut from, to) in [(client, server), (server, client)] {
            // The next one is sent only when this one is there.
            from.write_all(&[byte]).unwrap();
            assert_eq!(hear(to, 1).unwrap(), [byte]);
        }
    }
    let status = Status::of(&pipeline.proxies[0]);
    assert!(status.counter("spliced_bytes") >= 600);
}

#[test]
fn every_byte_is_counted_while_the_flow_lives() {
    let Some((pipeline, ends)) = spliced_flow() else {
        return;
    };
    let Ends {
        mut client, server, ..
    } = ends;
    let before = Status::of(&pipeline.proxies[0]).counter("spliced_bytes");
    for part in 1..=3 {
        let bytes = noise::bytes(5, 100_000);
        thread::scope(|scope| {
            scope.spawn(|| client.write_all(&bytes).unwrap());
            assert!(hear(&server, bytes.len()).unwrap() == bytes);
        });
        // The bytes may be there before they are counted.
        let sent = (WARM + part * bytes.len()) as u64;
        pipeline.wait_counter(1, "upstream_out_bytes", sent);
        assert_eq!(pipeline.counter(1, "upstream_in_bytes"), sent);
        let spliced = pipeline.counter(1, "spliced_bytes") - before;
        assert_eq!(spliced, (part * bytes.len()) as u64);
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(hear_out(&server).unwrap(), b"");
}
