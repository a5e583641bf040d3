//! Lists as operators write them, turns, health, and the function as the host calls it.

mod function;
mod lists;
mod turns;

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use crate::health::Health;
use crate::policy::Policy;
use crate::pool::{Choice, Pool};
use crate::target::{Place, Target};

const RETRY: Duration = Duration::from_secs(10);
const CLIENT: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xc, 0, 0, 0, 0, 0, 1);

/// Servers of these weights.
fn pool(weights: &[u32], policy: Policy) -> Pool {
    let server = |(n, weight): (u16, &u32)| Target {
        place: Place::Server(Ipv6Addr::new(0xfd00, 5, 0, 0, 0, 0, 0, n), None),
        weight: *weight,
    };
    let targets: Vec<Target> = (1..).zip(weights).map(server).collect();
    Pool::new(&targets, policy, RETRY)
}

/// The next choice of all, at `now`.
fn choose(pool: &mut Pool, now: Instant) -> Choice {
    pool.choose(u32::MAX, CLIENT, 0, now).unwrap()
}

#[test]
fn a_choice_survives_the_host() {
    for (index, charge) in [(0, 0), (31, 1), (5, 1 << 40), (0, (1 << 55) - 1)] {
        for trial in [false, true] {
            let choice = Choice {
                index,
                trial,
                charge,
            };
            assert_ne!(choice.number(), 0);
            assert_eq!(Choice::of(choice.number()), Some(choice));
        }
    }
    assert_eq!(Choice::of(0), None);
}

#[test]
fn who_fails_is_left_alone_and_then_tried_by_one_flow() {
    let mut health = Health::default();
    let mut now = Instant::now();
    assert!(!health.send(now, RETRY), "no trial: it serves");
    assert_eq!(health.fails(false, now, RETRY), Some(RETRY));
    // One that was sent there before comes back late, and is no news.
    assert_eq!(health.fails(false, now, RETRY), None);
    for times in [1, 2, 4, 8, 16, 30, 30] {
        let pause = RETRY * times;
        assert!(!health.is_due(now + pause - Duration::from_millis(1)));
        now += pause;
        assert!(health.is_due(now));
        assert!(health.send(now, RETRY));
        assert!(!health.is_due(now), "the others wait for the trial");
        assert_eq!(health.fails(true, now, RETRY), None);
    }
    assert!(health.serves());
    assert!(!health.serves());
    assert!(health.is_due(now));
    assert_eq!(
        health.fails(false, now, RETRY),
        Some(RETRY),
        "from the start"
    );
}

#[test]
fn a_long_retry_is_not_cut() {
    let hour = Duration::from_secs(3600);
    let now = Instant::now();
    let mut health = Health::default();
    assert_eq!(health.fails(false, now, hour), Some(hour));
    assert!(!health.is_due(now + hour - RETRY));
    assert!(health.send(now + hour, hour));
    health.fails(true, now + hour, hour);
    assert!(health.is_due(now + hour * 2));
}

#[test]
fn who_failed_gets_no_flow_until_it_is_due() {
    for policy in [
        Policy::Weighted,
        Policy::Drr,
        Policy::LeastFlows,
        Policy::Client,
    ] {
        let mut pool = pool(&[1, 1, 1], policy);
        let now = Instant::now();
        let first = choose(&mut pool, now);
        assert_eq!(pool.fails(first, now), Some(RETRY), "{policy:?}");
        for _ in 0..20 {
            assert_ne!(choose(&mut pool, now).index, first.index, "{policy:?}");
        }
        // Due: one flow tries, at most.
        let later = now + RETRY;
        let tries = (0..20).filter(|_| choose(&mut pool, later).index == first.index);
        assert_eq!(tries.count(), 1, "{policy:?}");
        assert!(pool.serves(Choice {
            trial: true,
            ..first
        }));
        let again = (0..200).filter(|_| choose(&mut pool, later).index == first.index);
        assert!(again.count() > 20, "{policy:?}");
    }
}

#[test]
fn when_all_have_failed_each_is_tried_once_and_then_there_is_none() {
    let mut pool = pool(&[1, 1, 1], Policy::Weighted);
    let now = Instant::now();
    for flow in 0..3 {
        let mut tried = Vec::new();
        for attempt in 0..3 {
            // Time goes on between two attempts.
            let now = now + Duration::from_millis(10 * flow + u64::from(attempt));
            let choice = pool.choose(u32::MAX, CLIENT, attempt, now).unwrap();
            pool.fails(choice, now);
            tried.push(choice.index);
        }
        tried.sort_unstable();
        assert_eq!(tried, [0, 1, 2], "flow {flow}");
        assert_eq!(pool.choose(u32::MAX, CLIENT, 3, now), None);
    }
}

#[test]
fn only_what_is_wanted_is_chosen() {
    let mut pool = pool(&[1; 4], Policy::Weighted);
    let now = Instant::now();
    for _ in 0..20 {
        let choice = pool.choose(0b1010, CLIENT, 0, now).unwrap();
        assert!([1, 3].contains(&choice.index));
    }
    assert_eq!(pool.choose(0b1010, CLIENT, 2, now), None);
    assert!(pool.choose(0b1010, CLIENT, 1, now).is_some());
}
