//! Unit tests on a clock of their own: what goes, when, and how many calls it takes.

use std::time::{Duration, Instant};

use srv6pipes_vnf::abi::MAX_WINDOW;
use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Setup, Verdict};

use super::*;
use crate::clients::MOST_IDLE;

const UP: Direction = Direction::Upstream;
const DOWN: Direction = Direction::Downstream;
static WINDOW: [u8; MAX_WINDOW] = [7; MAX_WINDOW];

fn make(options: &[(&str, &str)]) -> Throttle {
    Setup::detached(options).make().unwrap()
}

fn of(client: u16, argument: u32) -> FlowInfo {
    let mut flow = FlowInfo::detached(argument);
    let [a, b] = client.to_be_bytes();
    let client = [0x20, 1, 0xd, 0xb8, 0, 0, 0, a, 0, 0, 0, 0, 0, 0, 0, b];
    flow.client.set_ip(client.into());
    flow
}

/// A sender that always has more, and the host between it and the function.
struct Sender {
    flow: ThrottleFlow,
    direction: Direction,
    /// When the host calls next.
    next: Instant,
    sent: u64,
    calls: u64,
}

impl Sender {
    fn new(throttle: &Throttle, flow: &FlowInfo, now: Instant) -> Self {
        Self {
            flow: throttle.spawn_at(flow, now),
            direction: DOWN,
            next: now,
            sent: 0,
            calls: 0,
        }
    }

    /// What the host does until the function waits; `late` is how late it is next time.
    fn turn(&mut self, late: Duration) {
        let mut room = WINDOW.to_vec();
        loop {
            self.calls += 1;
            let now = self.next;
            let done = self
                .flow
                .process_at(self.direction, &WINDOW, &mut room, false, now);
            assert_eq!(done.consumed, done.produced);
            self.sent += done.produced as u64;
            match done.verdict {
                Verdict::More => assert!(done.consumed > 0, "a stall"),
                Verdict::Wait(ms) => {
                    assert!(ms > 0, "would wait for ever");
                    self.next += Duration::from_millis(ms.into()) + late;
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Lets them send until `end`, the one that is due first; wake-ups are up to 3 ms late.
fn run(senders: &mut [&mut Sender], end: Instant) {
    let mut late = (0..4).map(Duration::from_millis).cycle();
    loop {
        let first = senders.iter_mut().min_by_key(|sender| sender.next).unwrap();
        if first.next > end {
            return;
        }
        first.turn(late.next().unwrap());
    }
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// Within 1 %.
#[track_caller]
fn assert_near(bytes: u64, expected: u64) {
    let difference = bytes.abs_diff(expected);
    assert!(difference * 100 <= expected, "{bytes} is not {expected}");
}

#[test]
fn the_rate_is_exact_from_slow_to_fast_and_costs_few_calls() {
    for kbit in [16, 64, 1000, 20_000, 300_000, 1_000_000] {
        let now = Instant::now();
        let mut sender = Sender::new(&make(&[]), &of(1, kbit), now);
        run(&mut [&mut sender], now);
        // What is not worth a call yet is at most a packet, or 4 ms, and 3 of a late call.
        let second = u64::from(kbit) * 125;
        let owed = (second * 7 / 1000).max(1500);
        // The burst: 50 ms, or two packets.
        let burst = (second / 20).max(3000);
        for s in [0, 2, 5] {
            run(&mut [&mut sender], now + seconds(s));
            let most = burst + second * s;
            let sent = sender.sent;
            assert!(sent <= most, "{kbit} kbit/s: {sent} in {s} s");
            assert!(sent + owed >= most, "{kbit} kbit/s: {sent} in {s} s");
        }
        // 4 ms at once, or a packet, each perhaps several windows.
        let windows = sender.sent / MAX_WINDOW as u64;
        assert!(sender.calls <= 2 * 1251 + windows, "{} calls", sender.calls);
    }
}

#[test]
fn a_pause_earns_one_burst_and_no_more() {
    let now = Instant::now();
    let mut sender = Sender::new(&make(&[("burst_ms", "100")]), &of(1, 8000), now);
    run(&mut [&mut sender], now);
    assert_eq!(sender.sent, 100_000);
    sender.next = now + seconds(3600);
    run(&mut [&mut sender], now + seconds(3600));
    assert_eq!(sender.sent, 200_000);
}

#[test]
fn flows_of_one_client_share_its_rate_and_no_other_client_does() {
    let throttle = make(&[("client_rate", "8000")]);
    let now = Instant::now();
    let mut first = Sender::new(&throttle, &of(1, 0), now);
    let mut other = Sender::new(&throttle, &of(2, 0), now);
    run(&mut [&mut first, &mut other], now + seconds(5));
    assert_near(first.sent, 5_050_000);
    assert_near(other.sent, 5_050_000);

    // The second comes late, and gets no less for it; nor does it get a burst.
    let mut second = Sender::new(&throttle, &of(1, 0), now + seconds(5));
    run(
        &mut [&mut first, &mut other, &mut second],
        now + seconds(15),
    );
    assert_near(first.sent, 10_050_000);
    assert_near(second.sent, 5_000_000);
    assert_near(other.sent, 15_050_000);

    // And leaves all to the first when it goes.
    drop(second);
    run(&mut [&mut first], now + seconds(20));
    assert_near(first.sent, 15_050_000);
}

#[test]
fn many_slow_flows_share_to_the_last_byte() {
    for (kbit, flows) in [(64, 20), (1000, 50), (100_000, 200)] {
        let throttle = make(&[("client_rate", &kbit.to_string())]);
        let now = Instant::now();
        let new = |_| Sender::new(&throttle, &of(1, 0), now);
        let mut senders: Vec<Sender> = (0..flows).map(new).collect();
        let mut all: Vec<&mut Sender> = senders.iter_mut().collect();
        let time = 200;
        run(&mut all, now + seconds(time));
        let burst = (kbit * 50 / 8).max(3000);
        let each = kbit * 125 * time / flows;
        let sum: u64 = senders.iter().map(|sender| sender.sent).sum();
        assert!(sum <= kbit * 125 * time + burst);
        for sender in &senders {
            // The first of them had the burst; each is owed what it does not find worth a call.
            let owed = 1500 + each / 100;
            assert!(sender.sent + owed >= each, "{} of {each}", sender.sent);
            assert!(sender.sent <= each + burst + owed, "{}", sender.sent);
        }
    }
}

#[test]
fn what_a_flow_does_not_want_the_others_have() {
    let throttle = make(&[("client_rate", "8000")]);
    let now = Instant::now();
    // 800 kbit/s by its own rate, of the 4000 that would be its share.
    let mut modest = Sender::new(&throttle, &of(1, 800), now);
    let mut greedy = Sender::new(&throttle, &of(1, 0), now);
    run(&mut [&mut modest, &mut greedy], now + seconds(10));
    assert_near(modest.sent, 1_005_000);
    assert_near(greedy.sent, 9_050_000);
}

#[test]
fn who_does_not_come_back_earns_nothing() {
    let throttle = make(&[("client_rate", "8000")]);
    let now = Instant::now();
    let mut first = Sender::new(&throttle, &of(1, 0), now);
    let mut stuck = Sender::new(&throttle, &of(1, 0), now);
    run(&mut [&mut first, &mut stuck], now + seconds(1));
    // Its receiver takes nothing for ten seconds.
    let (before, then) = (first.sent, stuck.sent);
    run(&mut [&mut first], now + seconds(11));
    let others = first.sent - before;
    assert!((9_700_000..=10_000_000).contains(&others), "{others}");
    // It has not saved up more than what it can have at once.
    stuck.next = now + seconds(11);
    stuck.turn(Duration::ZERO);
    assert!(stuck.sent - then <= 50_000, "{}", stuck.sent - then);
}

#[test]
fn directions_have_a_rate_each() {
    let throttle = make(&[("client_rate", "8000")]);
    let now = Instant::now();
    let flow = of(1, 4000);
    let mut up = Sender::new(&throttle, &flow, now);
    up.direction = UP;
    let mut down = Sender::new(&throttle, &flow, now);
    run(&mut [&mut up, &mut down], now + seconds(10));
    assert_near(up.sent, 5_025_000);
    assert_near(down.sent, 5_025_000);
}

#[test]
fn a_prefix_makes_a_household() {
    for (prefix, expected) in [("128", 5_050_000), ("64", 2_525_000)] {
        let throttle = make(&[("client_rate", "8000"), ("prefix", prefix)]);
        let now = Instant::now();
        // The address is …:a::b of 0xab.
        let mut one = Sender::new(&throttle, &of(0x0101, 0), now);
        let mut two = Sender::new(&throttle, &of(0x0102, 0), now);
        let mut far = Sender::new(&throttle, &of(0x0201, 0), now);
        run(&mut [&mut one, &mut two, &mut far], now + seconds(5));
        assert!(one.sent.abs_diff(expected) <= 30_000, "{}", one.sent);
        assert!(two.sent.abs_diff(expected) <= 30_000, "{}", two.sent);
        assert_near(far.sent, 5_050_000);
    }
}

#[test]
fn a_new_flow_is_no_new_burst_and_an_idle_client_is_forgotten() {
    let throttle = make(&[("client_rate", "8000")]);
    let clients = throttle.clients.as_ref().unwrap();
    let now = Instant::now();
    let sent = |now| {
        let mut sender = Sender::new(&throttle, &of(1, 0), now);
        sender.turn(Duration::ZERO);
        sender.sent
    };
    assert_eq!(sent(now), 50_000);
    assert!(sent(now) < 5_000);
    assert_eq!(clients.count(), 1);
    // Another client's flow looks through them.
    let later = now + seconds(2);
    let _other = throttle.spawn_at(&of(2, 0), later);
    assert_eq!(clients.count(), 1);
    assert_eq!(sent(later), 50_000);
}

#[test]
fn idle_clients_are_bounded() {
    // A bucket that takes 3 s to fill: none is forgotten for its age.
    let throttle = make(&[("client_rate", "8")]);
    let clients = throttle.clients.as_ref().unwrap();
    let now = Instant::now();
    let living = throttle.spawn_at(&of(0, 0), now);
    for client in 1..=5000 {
        drop(throttle.spawn_at(&of(client, 0), now));
        assert!(clients.count() <= MOST_IDLE + 1);
    }
    assert_eq!(clients.count(), MOST_IDLE + 1);
    drop(living);
}

/// Sends `bytes` both ways, in turns, in pieces of `piece` through `room` bytes of room, and
/// compares.
fn assert_whole(bytes: &[u8], piece: usize, room: usize) {
    let throttle = make(&[("client_rate", "100")]);
    let mut now = Instant::now();
    let mut flow = throttle.spawn_at(&of(1, 64), now);
    let mut heard = [Vec::new(), Vec::new()];
    let mut ended = [false; 2];
    let mut seen = [0; 2];
    let mut room = vec![0; room];
    while ended != [true; 2] {
        for (i, direction) in [UP, DOWN].into_iter().enumerate() {
            if ended[i] {
                continue;
            }
            let from = heard[i].len();
            seen[i] = bytes.len().min(seen[i].max(from) + piece);
            let (input, end) = (&bytes[from..seen[i]], seen[i] == bytes.len());
            let done = flow.process_at(direction, input, &mut room, end, now);
            heard[i].extend_from_slice(&room[..done.produced]);
            assert_eq!(done.consumed, done.produced);
            match done.verdict {
                Verdict::Finished => ended[i] = true,
                Verdict::More => {}
                Verdict::Wait(ms) => now += Duration::from_millis(ms.into()),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(heard[0] == bytes && heard[1] == bytes);
}

#[test]
fn bytes_stay_as_they_are_however_they_come() {
    let bytes: Vec<u8> = (0..9000_u32).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();
    for piece in [1, 2, 999, 1500, 9000] {
        for room in [1, 7, 4096] {
            assert_whole(&bytes, piece, room);
        }
    }
    assert_whole(b"", 1, 1);
}

#[test]
fn the_end_comes_after_the_last_byte_and_the_other_direction_goes_on() {
    let now = Instant::now();
    let mut flow = make(&[]).spawn_at(&of(1, 8), now);
    let mut room = [0; 8192];
    let mut step = |direction, input: &[u8], end, ms| {
        let now = now + Duration::from_millis(ms);
        flow.process_at(direction, input, &mut room, end, now)
    };
    // 3000 bytes of burst, then 1 byte in a millisecond.
    assert_eq!(
        step(UP, &[1; 5000], true, 0),
        Progress::wait(3000, 3000, 1500)
    );
    assert_eq!(step(UP, &[1; 2000], true, 10), Progress::wait(0, 0, 1490));
    assert_eq!(
        step(UP, &[1; 2000], true, 1500),
        Progress::wait(1500, 1500, 500)
    );
    assert_eq!(step(DOWN, b"yes", false, 1600), Progress::more(3, 3));
    assert_eq!(
        step(UP, &[1; 500], true, 2000),
        Progress::finished(500, 500)
    );
    assert_eq!(step(DOWN, b"?", false, 2001), Progress::more(1, 1));
    assert_eq!(step(DOWN, b"", true, 2001), Progress::finished(0, 0));
}

#[test]
fn what_has_no_limit_passes() {
    let step = |options, argument, direction| {
        let mut flow = make(options).spawn(&of(1, argument)).unwrap();
        let done = flow.process(direction, b"hello", &mut [0; 9], false);
        done.unwrap().verdict
    };
    for direction in [UP, DOWN] {
        assert_eq!(step(&[], 0, direction), Verdict::Pass);
        assert_eq!(step(&[("client_rate", "0")], 0, direction), Verdict::Pass);
        assert_eq!(step(&[("client_rate", "1")], 0, direction), Verdict::More);
        assert_eq!(step(&[], u32::MAX, direction), Verdict::More);
    }
    let one = [("direction", "upstream"), ("client_rate", "100")];
    assert_eq!(step(&one, 8, UP), Verdict::More);
    assert_eq!(step(&one, 8, DOWN), Verdict::Pass);
    let other = [("direction", "downstream")];
    assert_eq!(step(&other, 8, UP), Verdict::Pass);
    assert_eq!(step(&other, 8, DOWN), Verdict::More);
}

#[test]
fn every_option_out_of_range_is_named() {
    let wrong = [
        (
            "direction",
            "up",
            "must be one of: both, upstream, downstream",
        ),
        ("burst_ms", "9", "must be a number from 10 to 1000"),
        ("burst_ms", "1001", "must be a number from 10 to 1000"),
        (
            "client_rate",
            "fast",
            "must be a number from 0 to 4294967295",
        ),
        (
            "client_rate",
            "4294967296",
            "must be a number from 0 to 4294967295",
        ),
        ("prefix", "0", "must be a number from 1 to 128"),
        ("prefix", "129", "must be a number from 1 to 128"),
    ];
    for (key, value, text) in wrong {
        let complaints = Setup::detached(&[(key, value)]).make::<Throttle>();
        let complaints = complaints.unwrap_err();
        assert_eq!(complaints.len(), 1);
        assert_eq!(complaints[0].text, text, "{key} {value}");
    }
    let all = [("prefix", "0"), ("burst_ms", ""), ("rate", "5")];
    let complaints = Setup::detached(&all).make::<Throttle>().unwrap_err();
    assert_eq!(complaints.len(), 3, "{complaints:?}");
}
