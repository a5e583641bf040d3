//! Functions that wait: when they are called again, and whom they hold up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::vnf::Progress;

const MS: Duration = Duration::from_millis(1);

/// A function that copies as many bytes as it is told to let through, and waits.
struct Gate {
    calls: Arc<AtomicUsize>,
    lets: Arc<AtomicUsize>,
}

impl Gate {
    /// It lets nothing through yet, and always waits for so long.
    fn new(ms: u32) -> (Self, Body) {
        let gate = Self {
            calls: Arc::default(),
            lets: Arc::default(),
        };
        let (calls, lets) = (Arc::clone(&gate.calls), Arc::clone(&gate.lets));
        let body: Body = Box::new(move |_, input, output, end| {
            calls.fetch_add(1, Ordering::Relaxed);
            let n = lets.load(Ordering::Relaxed).min(input.len());
            let done = copy(&input[..n], output, false).unwrap();
            lets.fetch_sub(done.consumed, Ordering::Relaxed);
            let left = input.len() - done.consumed;
            let verdict = match end && left == 0 && n > 0 {
                true => Verdict::Finished,
                false => Verdict::Wait(ms),
            };
            say(done.consumed, done.produced, verdict)
        });
        (gate, body)
    }

    /// From now on `n` more bytes may go through.
    fn let_through(&self, n: usize) {
        self.lets.fetch_add(n, Ordering::Relaxed);
    }

    /// How often it was called since the last time.
    fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }
}

impl Bench {
    fn waiting(&mut self) {
        assert_eq!(self.pump().unwrap(), Pumped::Waiting);
    }

    fn due(&mut self) -> Option<Duration> {
        let now = self.now;
        self.pipe.due(|| now).map(|due| due - now)
    }

    fn arrived(&self) -> Vec<u8> {
        let mut arrived = Vec::new();
        take(&self.server, 1 << 20, &mut arrived);
        arrived
    }
}

#[test]
fn who_waits_is_called_when_woken_and_not_before() {
    let (gate, body) = Gate::new(0);
    let mut bench = Bench::new([body]);
    assert!(!bench.pipe.wake(), "nobody was called yet");
    bench.waiting();
    assert_eq!(gate.calls(), 0);
    offer(&bench.client, b"abc");
    for expected in [1, 0, 0] {
        bench.waiting();
        assert_eq!(gate.calls(), expected);
    }
    assert_eq!(bench.due(), None);
    // Also in vain.
    assert!(bench.pipe.wake());
    assert!(!bench.pipe.wake(), "it is to be called already");
    bench.waiting();
    bench.waiting();
    assert_eq!(gate.calls(), 1);
    gate.let_through(2);
    bench.waiting();
    assert_eq!(gate.calls(), 0);
    assert!(bench.pipe.wake());
    bench.waiting();
    assert_eq!(gate.calls(), 1, "what it has left over, it has seen");
    assert_eq!(bench.arrived(), b"ab");
    // New input is shown to it behind the old.
    gate.let_through(2);
    offer(&bench.client, b"d");
    bench.waiting();
    assert_eq!(gate.calls(), 1);
    assert_eq!(bench.arrived(), b"cd");
}

#[test]
fn who_waits_for_a_time_is_called_when_it_has_passed() {
    let (gate, body) = Gate::new(20);
    let mut bench = Bench::new([body]);
    offer(&bench.client, b"abc");
    bench.waiting();
    assert_eq!(gate.calls(), 1);
    // The time begins when the call is over, not when the turn began.
    bench.now += 5 * MS;
    assert_eq!(bench.due(), Some(20 * MS));
    bench.now += 19 * MS;
    assert_eq!(bench.due(), Some(MS));
    bench.waiting();
    assert_eq!(gate.calls(), 0);
    bench.now += MS;
    bench.waiting();
    assert_eq!(gate.calls(), 1);
    assert_eq!(bench.due(), Some(20 * MS));
    // Whoever is called for another reason has its time begin anew.
    bench.now += 15 * MS;
    offer(&bench.client, b"d");
    bench.waiting();
    assert_eq!((gate.calls(), bench.due()), (1, Some(20 * MS)));
    gate.let_through(9);
    bench.now += 20 * MS;
    bench.waiting();
    assert_eq!(bench.arrived(), b"abcd");
}

#[test]
fn at_the_end_it_is_called_until_it_has_finished() {
    let (gate, body) = Gate::new(50);
    let mut bench = Bench::new([body]);
    offer(&bench.client, b"abc");
    bench.waiting();
    assert_eq!(gate.calls(), 1);
    bench.client.shutdown(Shutdown::Write).unwrap();
    // The end is news, with all room and nothing done; and once only.
    for expected in [1, 0] {
        bench.waiting();
        assert_eq!(gate.calls(), expected);
    }
    assert_eq!(bench.due(), Some(50 * MS));
    bench.now += 50 * MS;
    bench.waiting();
    assert_eq!(gate.calls(), 1);
    gate.let_through(2);
    assert!(bench.pipe.wake());
    bench.waiting();
    assert_eq!(bench.arrived(), b"ab");
    gate.let_through(1);
    bench.due();
    bench.now += 50 * MS;
    assert_eq!(bench.pump().unwrap(), Pumped::Finished);
    let mut arrived = Vec::new();
    assert!(take(&bench.server, 10, &mut arrived), "the end");
    assert_eq!(arrived, b"c");
    assert_eq!((bench.due(), bench.pipe.wake()), (None, false));
}

#[test]
fn the_others_of_a_chain_go_on() {
    let ((first, a), (second, b)) = (Gate::new(30), Gate::new(10));
    let mut bench = Bench::new([a, copies(), b]);
    first.let_through(3);
    offer(&bench.client, b"abcdef");
    bench.waiting();
    assert_eq!((first.calls(), second.calls()), (1, 1));
    assert_eq!(bench.due(), Some(10 * MS));
    // The second's time comes twice while the first waits.
    for arrives in [b"a", b"b"] {
        second.let_through(1);
        bench.now += 10 * MS;
        bench.waiting();
        assert_eq!((first.calls(), second.calls()), (0, 1));
        assert_eq!(bench.arrived(), arrives);
        assert_eq!(bench.due(), Some(10 * MS));
    }
    // The first one's bytes reach the second, which waits, as new input.
    first.let_through(3);
    second.let_through(9);
    bench.now += 10 * MS;
    bench.waiting();
    assert_eq!(bench.arrived(), b"cdef");
}

#[test]
fn a_full_window_stops_its_own_source_only() {
    for before in [0, 2] {
        let (gate, body) = Gate::new(0);
        let bodies = (0..before).map(|_| copies()).chain([body]);
        let mut bench = Bench::new(bodies);
        let bytes = noise(1_000_000);
        let mut sent = 0;
        loop {
            let n = offer(&bench.client, &bytes[sent..]);
            sent += n;
            let read = bench.pipe.read;
            bench.waiting();
            // Each call shows it more.
            assert!(n == 0 || gate.calls() <= 1 + n / 100);
            if n == 0 && bench.pipe.read == read {
                break;
            }
        }
        let held = usize::try_from(bench.pipe.read).unwrap();
        assert!(held >= WINDOW, "{held}");
        assert!(held <= (before + 1) * (WINDOW + 4096), "{held}");
        assert_eq!(bench.pipe.written, 0);
        // It sees a whole window, and no call comes without a reason.
        gate.calls();
        bench.waiting();
        assert_eq!(gate.calls(), 0);
        gate.let_through(bytes.len());
        assert!(bench.pipe.wake());
        let mut arrived = Vec::new();
        while arrived.len() < sent {
            bench.pump().unwrap();
            let before = arrived.len();
            assert!(!take(&bench.server, 1 << 20, &mut arrived), "an end");
            assert!(arrived.len() > before, "stuck at {before} of {sent}");
        }
        assert!(arrived == bytes[..sent]);
    }
}

#[test]
fn a_time_that_comes_while_there_is_no_room_is_not_forgotten() {
    let mut calls = 0;
    let body: Body = Box::new(move |_, input, output, _| {
        calls += 1;
        match calls {
            1 => {
                output[..60_000].fill(b'x');
                say(input.len(), 60_000, Verdict::Wait(10))
            }
            _ => {
                output[0] = b'y';
                say(0, 1, Verdict::Finished)
            }
        }
    });
    let mut bench = Bench::new([body]);
    offer(&bench.client, b"?");
    bench.waiting();
    assert!(bench.pipe.written < 60_000, "the sink is full");
    assert_eq!(bench.due(), Some(10 * MS));
    bench.now += 10 * MS;
    bench.waiting();
    // Until there is room, no time will help.
    assert_eq!((bench.due(), bench.pipe.wake()), (None, false));
    let mut arrived = Vec::new();
    while !take(&bench.server, 5000, &mut arrived) {
        bench.pump().unwrap();
    }
    assert_eq!(arrived.len(), 60_001);
    assert_eq!(arrived.last(), Some(&b'y'));
}

#[test]
fn who_is_let_go_waits_for_nothing_any_more() {
    let ((gate, body), (behind, b)) = (Gate::new(7), Gate::new(9));
    let mut bench = Bench::new([body, b]);
    behind.let_through(100);
    offer(&bench.client, b"abc");
    bench.waiting();
    bench.pipe.pass(0);
    bench.waiting();
    assert_eq!((gate.calls(), behind.calls()), (1, 1));
    assert_eq!(bench.arrived(), b"abc");
    assert_eq!(bench.due(), Some(9 * MS));
    bench.pipe.close(1, &mut bench.pools);
    assert_eq!((bench.due(), bench.pipe.wake()), (None, false));
    assert_eq!(bench.pump().unwrap(), Pumped::Finished);
}

#[test]
fn every_byte_arrives_whatever_waits_and_however_the_sink_takes_them() {
    /// Copies a few bytes, another number each time, and waits: for a time, for the wake-up, or
    /// for more.
    fn moody(mood: u32) -> Body {
        let mut state = mood;
        Box::new(move |_, input, output, end| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let few = usize::try_from(state >> 16).unwrap() % 40_000;
            let n = input.len().min(few);
            let done = copy(&input[..n], output, end && n == input.len())?;
            let verdict = match (done.verdict, state >> 8 & 7) {
                (Verdict::Finished, 0..=3) => Verdict::Finished,
                (_, 5) if done.consumed > 0 => Verdict::More,
                (_, 0) => Verdict::Wait(0),
                (_, ms) => Verdict::Wait(ms),
            };
            Ok(Progress { verdict, ..done })
        })
    }
    let bytes = noise(700_000);
    for mood in 0..12 {
        let all: [Body; 4] = [moody(mood), records(5000), moody(mood + 50), copies()];
        let length = usize::try_from(1 + mood % 4).unwrap();
        let mut bench = Bench::new(all.into_iter().take(length));
        let (mut sent, mut arrived) = (0, Vec::new());
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 100_000, "stuck at {sent}, {}", arrived.len());
            sent += offer(&bench.client, &bytes[sent..]);
            if sent == bytes.len() {
                bench.client.shutdown(Shutdown::Write).unwrap();
            }
            bench.pump().unwrap();
            if take(&bench.server, 30_000, &mut arrived) {
                break;
            }
            if bench.due().is_none() || rounds % 5 == 0 {
                bench.pipe.wake();
            }
            bench.now += MS;
        }
        assert!(arrived == bytes, "mood {mood}");
    }
}
