//! Corners that a flow over real links seldom meets: short writes, `EAGAIN` at each place, and the
//! end of the stream with bytes still waiting.

mod first;
mod splicing;
mod waiting;

use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use nix::sys::epoll::EpollFlags;

use super::splice::COPIED;
use super::*;
use crate::proxy::bench::{Body, chain, copies, copy, noise, offer, pair, records, say, take};
use crate::vnf::Verdict;

struct Bench {
    client: UnixStream,
    server: UnixStream,
    source: End,
    sink: End,
    chain: Chain,
    pipe: Pipe,
    pools: Pools,
    now: Instant,
}

impl Bench {
    fn new(bodies: impl IntoIterator<Item = Body>) -> Self {
        Self::of(chain(bodies))
    }

    fn of(mut chain: Chain) -> Self {
        let (client, source) = pair();
        let (server, sink) = pair();
        Self {
            client,
            server,
            source,
            sink,
            pipe: Pipe::new(Direction::Upstream, &mut chain),
            chain,
            pools: Pools::default(),
            now: Instant::now(),
        }
    }

    /// One turn, as after an event that says everything may go on.
    fn pump(&mut self) -> Result<Pumped, Failure> {
        self.source.note(EpollFlags::EPOLLIN);
        self.sink.note(EpollFlags::EPOLLOUT);
        let (source, sink) = (&mut self.source, &mut self.sink);
        self.pipe
            .pump(source, sink, &mut self.chain, &mut self.pools, self.now)
    }

    /// Sends all of `bytes` and the end, reading `gulp` bytes at a time; what arrived.
    fn carry(&mut self, bytes: &[u8], gulp: usize) -> Result<Vec<u8>, Failure> {
        let (mut sent, mut arrived) = (0, Vec::new());
        let (mut before, mut idle) = (None, 0);
        loop {
            let now = Some((sent, arrived.len(), self.pipe.read));
            idle = if now == before { idle + 1 } else { 0 };
            before = now;
            assert!(idle < 9, "stuck at {now:?}");
            sent += offer(&self.client, &bytes[sent..]);
            if sent == bytes.len() {
                self.client.shutdown(Shutdown::Write).unwrap();
            }
            let pumped = self.pump()?;
            if take(&self.server, gulp, &mut arrived) {
                assert_eq!(pumped, Pumped::Finished);
                return Ok(arrived);
            }
        }
    }
}

/// All was spliced but the beginning: what functions wanted and what is copied anyway, with what
/// the last read of that brought.
fn assert_rest_spliced(bench: &Bench, wanted: u64) {
    let copied = bench.pipe.written - bench.pipe.spliced;
    let read = WINDOW as u64;
    let least = COPIED.max(wanted);
    assert!((least..least + read).contains(&copied), "{copied} copied");
}

#[test]
fn every_byte_arrives_however_the_sink_takes_them() {
    let bytes = noise(300_000);
    for gulp in [1000, 4097, 100_000] {
        for functions in 0..3 {
            let mut bench = Bench::new((0..functions).map(|_| copies()));
            let arrived = bench.carry(&bytes, gulp).unwrap();
            assert!(arrived == bytes, "{functions} functions, {gulp} at a time");
            let moved = (bench.pipe.read, bench.pipe.written);
            assert_eq!(moved, (300_000, 300_000));
            match functions {
                0 => assert_rest_spliced(&bench, 0),
                _ => assert_eq!(bench.pipe.spliced, 0),
            }
        }
    }
}

#[test]
fn records_arrive_whatever_stands_before_and_behind() {
    let bytes = noise(400_001);
    for length in [100, 1000, 40_000, WINDOW - 1, WINDOW] {
        type Build = fn(usize) -> Vec<Body>;
        let builds: [Build; 4] = [
            |n| vec![records(n)],
            |n| vec![copies(), records(n)],
            |n| vec![records(n), copies()],
            |n| vec![records(n), records(n / 2 + 1), records(n)],
        ];
        for (i, build) in builds.into_iter().enumerate() {
            let arrived = Bench::new(build(length)).carry(&bytes, 50_000).unwrap();
            assert!(arrived == bytes, "records of {length}, chain {i}");
        }
    }
}

#[test]
fn a_function_gets_its_room_though_the_next_one_waits_for_more() {
    // Only ever whole rooms, as the header allows.
    let picky: Body = Box::new(|_, input, output, end| match output.len() {
        room if room < 4096 => say(0, 0, Verdict::More),
        _ => copy(
            &input[..input.len().min(4096)],
            output,
            end && input.len() <= 4096,
        ),
    });
    let bytes = noise(200_000);
    let mut bench = Bench::new([picky, records(WINDOW)]);
    assert!(bench.carry(&bytes, 100_000).unwrap() == bytes);
}

#[test]
fn whoever_wants_more_than_a_window_is_broken() {
    let want: fn() -> Body = || records(WINDOW + 1);
    for (bodies, place) in [(vec![want()], 0), (vec![copies(), want()], 1)] {
        let error = Bench::new(bodies).carry(&noise(200_000), 1000).unwrap_err();
        assert!(
            matches!(error, Failure::Function(p, Broken::Stalled) if p == place),
            "{error:?}"
        );
    }
}

#[test]
fn a_function_that_finds_no_end_is_broken_when_the_stream_has_one() {
    let body: Body = Box::new(|_, input, output, _| copy(input, output, false));
    let error = Bench::new([body]).carry(b"abc", 10).unwrap_err();
    assert!(
        matches!(error, Failure::Function(0, Broken::Stalled)),
        "{error:?}"
    );
}

#[test]
fn a_long_tail_leaves_after_the_stream_has_ended() {
    // What a compressor keeps back: everything, until the end.
    let mut kept = Vec::new();
    let body: Body = Box::new(move |_, input, output, end| {
        kept.extend_from_slice(input);
        if !end {
            return say(input.len(), 0, Verdict::More);
        }
        let n = kept.len().min(output.len());
        output[..n].copy_from_slice(&kept[..n]);
        kept.drain(..n);
        let verdict = if kept.is_empty() {
            Verdict::Finished
        } else {
            Verdict::More
        };
        say(input.len(), n, verdict)
    });
    let bytes = noise(500_000);
    let mut bench = Bench::new([body, copies()]);
    assert!(bench.carry(&bytes, 3000).unwrap() == bytes);
}

/// Offers bytes until nothing moves any more; how many the client's end took.
fn stuff(bench: &mut Bench, bytes: &[u8]) -> usize {
    let mut sent = 0;
    loop {
        let n = offer(&bench.client, &bytes[sent..]);
        sent += n;
        let before = bench.pipe.read;
        assert_eq!(bench.pump().unwrap(), Pumped::Waiting);
        if n == 0 && bench.pipe.read == before {
            return sent;
        }
    }
}

#[test]
fn a_slow_sink_stops_the_reading_and_holds_no_more_than_a_chunk_per_slot() {
    let mut bench = Bench::new([copies(), copies()]);
    let bytes = noise(2_000_000);
    let sent = stuff(&mut bench, &bytes);
    let held = bench.pipe.read - bench.pipe.written;
    assert!(held > 0 && held <= 3 * 65536, "{held}");
    assert!(sent < 1_000_000, "{sent}");
    bench.pipe.release(&mut bench.pools);
    assert!(bench.pools.chunks.spare() <= 3);
}

#[test]
fn an_endless_tail_leaves_the_others_their_turn() {
    let endless: Body = Box::new(|_, input, output, _| {
        output.fill(7);
        say(input.len(), output.len(), Verdict::More)
    });
    let swallows: Body = Box::new(|_, input, _, _| say(input.len(), 0, Verdict::More));
    let mut bench = Bench::new([endless, swallows]);
    bench.client.shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        assert_eq!(bench.pump().unwrap(), Pumped::TurnOver);
    }
}

#[test]
fn after_an_early_finish_the_rest_is_read_and_dropped() {
    let head: Body = Box::new(|_, input, output, _| {
        output[..3].copy_from_slice(&input[..3]);
        say(3, 3, Verdict::Finished)
    });
    let mut called = 0;
    let first: Body = Box::new(move |_, input, output, end| {
        called += 1;
        assert_eq!(called, 1, "nobody reads what it would produce");
        copy(input, output, end)
    });
    let mut bench = Bench::new([first, head]);
    offer(&bench.client, b"abcdef");
    assert_eq!(bench.pump().unwrap(), Pumped::Finished);
    let mut arrived = Vec::new();
    assert!(take(&bench.server, 10, &mut arrived), "the end");
    assert_eq!(arrived, b"abc");
    let bytes = noise(100_000);
    let mut sent = 0;
    while sent < bytes.len() {
        sent += offer(&bench.client, &bytes[sent..]);
        assert_eq!(bench.pump().unwrap(), Pumped::Finished);
    }
    assert!(!bench.source.ended());
    bench.client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bench.pump().unwrap(), Pumped::Finished);
    assert!(bench.source.ended());
    assert_eq!((bench.pipe.read, bench.pipe.written), (6, 3));
}

#[test]
fn what_comes_after_pass_goes_by_splice_and_in_order() {
    let bytes = noise(200_000);
    for place in 0..2 {
        let mut left = 1000;
        let mut head: Vec<Body> = vec![Box::new(move |_, input: &[u8], output: &mut [u8], _| {
            let n = left.min(input.len());
            for (out, byte) in output.iter_mut().zip(&input[..n]) {
                *out = !byte;
            }
            left -= n;
            let verdict = if left == 0 {
                Verdict::Pass
            } else {
                Verdict::More
            };
            say(n, n, verdict)
        })];
        let passes: Body = Box::new(|_, _, _, _| say(0, 0, Verdict::Pass));
        head.insert(place, passes);
        let mut bench = Bench::new(head);
        let arrived = bench.carry(&bytes, 777).unwrap();
        let turned: Vec<u8> = bytes[..1000].iter().map(|b| !b).collect();
        assert!(arrived[..1000] == turned && arrived[1000..] == bytes[1000..]);
        assert_rest_spliced(&bench, 1000);
    }
}

#[test]
fn who_passes_leaves_the_next_one_its_record() {
    let mut calls = 0;
    let head: Body = Box::new(move |_, input, output, _| {
        calls += 1;
        match calls {
            1 => copy(&input[..10], output, false),
            _ => say(0, 0, Verdict::Pass),
        }
    });
    let bytes = noise(150_000);
    let arrived = Bench::new([head, records(30_000)]).carry(&bytes, 5000);
    assert!(arrived.unwrap() == bytes);
}

#[test]
fn a_closed_direction_delivers_what_was_produced_and_what_passed() {
    let body: Body = Box::new(|_, input, output, _| {
        output[..2].copy_from_slice(b"ok");
        say(input.len(), 2, Verdict::Close)
    });
    let mut bench = Bench::new([body, copies()]);
    offer(&bench.client, b"whatever");
    let place = match bench.pump() {
        Err(Failure::Close(place)) => place,
        other => panic!("{other:?}"),
    };
    bench.pipe.close(place, &mut bench.pools);
    offer(&bench.client, b"nobody hears this");
    assert_eq!(bench.pump().unwrap(), Pumped::Finished);
    let mut arrived = Vec::new();
    assert!(take(&bench.server, 100, &mut arrived));
    assert_eq!(arrived, b"ok");
}

#[test]
fn the_last_end_of_a_flow_is_left_to_closing_only_if_nobody_speaks_any_more() {
    for silent in [true, false] {
        let mut bench = Bench::new([copies()]);
        if silent {
            bench.server.shutdown(Shutdown::Write).unwrap();
            assert_eq!(bench.sink.read(&mut [0; 8]).unwrap(), Moved::End);
        }
        bench.pipe.is_last(true);
        offer(&bench.client, b"last words");
        bench.client.shutdown(Shutdown::Write).unwrap();
        bench.source.note(EpollFlags::EPOLLRDHUP);
        assert_eq!(bench.pump().unwrap(), Pumped::Finished);
        let mut arrived = Vec::new();
        assert_eq!(take(&bench.server, 100, &mut arrived), !silent);
        assert_eq!(arrived, b"last words");
        let Bench { server, sink, .. } = bench;
        drop(sink);
        assert!(take(&server, 100, &mut arrived));
    }
}
