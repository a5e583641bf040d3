//! Functions that wait, seen from the flow: wake-ups, times and the idle timeout.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A function that holds everything back, in both directions, until it is told to go on; and the
/// number of its calls.
fn holds_back(ms: u32) -> (Arc<AtomicBool>, Arc<AtomicUsize>, Body) {
    let (go, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let state = (Arc::clone(&go), Arc::clone(&calls));
    let body: Body = Box::new(move |_, input, output, end| {
        state.1.fetch_add(1, Ordering::Relaxed);
        match state.0.load(Ordering::Relaxed) {
            true => copy(input, output, end),
            false => say(0, 0, Verdict::Wait(ms)),
        }
    });
    (go, calls, body)
}

#[test]
fn a_wake_up_reaches_both_directions_and_nobody_twice() {
    let (go, calls, body) = holds_back(0);
    let mut bench = Bench::new([body, copies()]);
    assert!(!bench.session().wake(), "before the first event");
    assert!(bench.step().is_none());
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    offer(&bench.client, b"question");
    offer(&bench.server, b"answer");
    assert!(bench.step().is_none());
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    go.store(true, Ordering::Relaxed);
    assert!(bench.step().is_none());
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert!(bench.session().wake());
    assert!(!bench.session().wake());
    assert!(bench.step().is_none());
    assert_eq!(heard(&bench.server).0, b"question");
    assert_eq!(heard(&bench.client).0, b"answer");
    assert!(!bench.session().wake(), "it has not waited since");
}

#[test]
fn who_only_waits_is_idle() {
    let (_, calls, body) = holds_back(10);
    let mut bench = Bench::new([body]);
    offer(&bench.client, b"x");
    assert!(bench.step().is_none());
    // Reading moved something.
    let deadline = bench.began + IDLE;
    for round in 2..1000 {
        assert_eq!(bench.due(), bench.now + 10 * MS);
        bench.now = bench.due();
        assert!(bench.session.as_ref().unwrap().late(bench.now).is_none());
        assert!(bench.round().is_none());
        assert_eq!(calls.load(Ordering::Relaxed), round);
    }
    bench.now = deadline - 5 * MS;
    assert!(bench.round().is_none());
    assert_eq!(bench.due(), deadline, "sooner than the function's time");
    let late = bench.session().late(deadline);
    assert!(matches!(late, Some(Outcome::Idle)));
}

#[test]
fn nobody_is_woken_after_the_close_but_those_who_still_have_something() {
    let closes: Body = Box::new(|_, input, output, _| {
        output[..3].copy_from_slice(b"bye");
        say(input.len(), 3, Verdict::Close)
    });
    let ((go, late, slow), (_, early, first)) = (holds_back(30), holds_back(20));
    // Upstream: who stands before the one that closes has nobody to give its bytes to.
    let mut bench = Bench::new([first, closes, slow]);
    offer(&bench.client, b"x");
    assert!(bench.step().is_none());
    offer(&bench.server, b"y");
    assert!(bench.step().is_none());
    assert_eq!(bench.due(), bench.now + 20 * MS);
    // Downstream the last is asked first.
    assert_eq!(late.load(Ordering::Relaxed), 1);
    go.store(true, Ordering::Relaxed);
    bench.now += 30 * MS;
    assert!(bench.step().is_none());
    assert_eq!(bench.session().state_name(), "closing");
    let before = early.load(Ordering::Relaxed);
    // Upstream has ended before the first; downstream it has "bye" to let go of.
    assert_eq!(heard(&bench.server), (vec![], true));
    assert_eq!(bench.due(), bench.now + 20 * MS);
    bench.now += 20 * MS;
    assert!(bench.step().is_none());
    assert_eq!(early.load(Ordering::Relaxed), before + 1);
    assert_eq!(heard(&bench.client), (vec![], false));
}

#[test]
fn a_flow_that_lingers_is_past_waking() {
    let (go, calls, body) = holds_back(10);
    let finishes: Body = Box::new(|_, _, _, _| say(0, 0, Verdict::Finished));
    let mut bench = Bench::new([body, finishes]);
    for peer in [&bench.client, &bench.server] {
        offer(peer, b"x");
    }
    assert!(bench.step().is_none());
    // Upstream with a byte, downstream with the end that the other one made.
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    go.store(true, Ordering::Relaxed);
    bench.now += 10 * MS;
    assert!(bench.step().is_none());
    assert_eq!(bench.session().state_name(), "closing");
    let before = calls.load(Ordering::Relaxed);
    assert!(!bench.session().wake());
    assert_eq!(bench.due(), bench.now + LINGER);
    assert!(bench.step().is_none());
    assert_eq!(calls.load(Ordering::Relaxed), before);
}

#[test]
fn one_that_breaks_lets_go_of_what_it_waited_with() {
    let body: Body = Box::new(|direction, _, _, _| match direction {
        Direction::Upstream => say(0, 0, Verdict::Wait(10)),
        Direction::Downstream => Err(Broken::Failed),
    });
    let mut bench = Bench::new([body]);
    offer(&bench.client, b"kept");
    assert!(bench.step().is_none());
    assert_eq!(bench.due(), bench.now + 10 * MS);
    offer(&bench.server, b"answer");
    assert!(bench.step().is_none());
    assert_eq!(heard(&bench.server).0, b"kept");
    assert_eq!(bench.due(), bench.now + IDLE);
    assert!(!bench.session().wake());
}

#[test]
fn nobody_waits_for_a_time_towards_an_end_that_is_lost() {
    let body: Body = Box::new(|direction, input, output, end| match direction {
        Direction::Upstream => copy(input, output, end),
        Direction::Downstream => say(0, 0, Verdict::Wait(10)),
    });
    let mut bench = Bench::new([body]);
    offer(&bench.server, b"x");
    assert!(bench.step().is_none());
    assert_eq!(bench.due(), bench.now + 10 * MS);
    let deadline = bench.began + IDLE;
    let gone = std::io::Error::from(ErrorKind::ConnectionReset);
    bench.session().lose(Side::Inbound, gone).unwrap();
    // What the client had sent may take many steps yet: none of them is due for that function.
    bench.now += 20 * MS;
    assert_eq!(bench.due(), deadline);
}
