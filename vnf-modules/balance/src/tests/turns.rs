//! Whose turn it is.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::time::Instant;

use super::{CLIENT, choose, pool};
use crate::policy::Policy;
use crate::pool::{Choice, Pool};

/// The next choices.
fn choices(pool: &mut Pool, count: usize) -> Vec<usize> {
    let now = Instant::now();
    (0..count).map(|_| choose(pool, now).index).collect()
}

#[test]
fn weights_are_kept_exactly_and_smoothly() {
    let mut pool = pool(&[5, 1, 1], Policy::Weighted);
    // The order of the smooth kind: nobody has all its turns in a row.
    assert_eq!(choices(&mut pool, 7), [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(choices(&mut pool, 7), [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn the_one_with_the_fewest_flows_for_its_weight_is_next() {
    let mut pool = pool(&[1, 1, 2], Policy::LeastFlows);
    let now = Instant::now();
    let mut there: Vec<Choice> = (0..40).map(|_| choose(&mut pool, now)).collect();
    let count = |there: &[Choice], index| there.iter().filter(|c| c.index == index).count();
    assert_eq!([0, 1, 2].map(|n| count(&there, n)), [10, 10, 20]);
    // The flows of one of them end: it gets all new ones until it has as many.
    let (over, rest): (Vec<Choice>, Vec<Choice>) = there.iter().partition(|c| c.index == 1);
    for choice in over {
        pool.ends(choice);
    }
    there = rest;
    for _ in 0..10 {
        there.push(choose(&mut pool, now));
    }
    assert_eq!([0, 1, 2].map(|n| count(&there, n)), [10, 10, 20]);
    // One after the other, with none left in between: in turn, all the same.
    for choice in there {
        pool.ends(choice);
    }
    let alone: Vec<usize> = (0..8)
        .map(|_| {
            let choice = choose(&mut pool, now);
            pool.ends(choice);
            choice.index
        })
        .collect();
    assert_eq!(
        [0, 1, 2].map(|n| alone.iter().filter(|i| **i == n).count()),
        [2, 2, 4]
    );
}

/// As a flow reports that is over.
fn report(pool: &mut Pool, choice: Choice, bytes: i64) {
    pool.moved(choice.index, bytes - choice.charge);
    pool.learn(bytes);
    pool.ends(choice);
}

#[test]
fn bytes_are_shared_out_by_weight_whatever_the_flows_move() {
    // Every third flow is large: in turn by flows, the first server would get all of those.
    let sizes = [3_000_000, 2_000, 50_000];
    for weights in [[1, 1, 1], [3, 2, 1]] {
        let mut pool = pool(&weights, Policy::Drr);
        let now = Instant::now();
        let mut moved = [0_i64; 3];
        for flow in 0..6000 {
            let bytes = sizes[flow % 3];
            let choice = choose(&mut pool, now);
            moved[choice.index] += bytes;
            report(&mut pool, choice, bytes);
        }
        let whole: i64 = moved.iter().sum();
        let weight: i64 = weights.iter().map(|w| i64::from(*w)).sum();
        for (moved, weight_of) in moved.into_iter().zip(weights) {
            let fair = whole * i64::from(weight_of) / weight;
            let off = (moved - fair).abs();
            assert!(off * 50 < fair, "{weights:?}: {moved} of {fair}");
        }
    }
}

#[test]
fn flows_that_begin_together_are_shared_out_before_anything_is_known() {
    let mut pool = pool(&[2, 1], Policy::Drr);
    let now = Instant::now();
    let there: Vec<Choice> = (0..30).map(|_| choose(&mut pool, now)).collect();
    let second = there.iter().filter(|choice| choice.index == 1);
    assert_eq!(second.count(), 10);
    // What does not get there is given back, and nobody gets it all in a row.
    for choice in there {
        pool.drops(choice);
    }
    let next = choices(&mut pool, 30);
    for few in next.chunks(6) {
        assert_eq!(
            few.iter().filter(|index| **index == 1).count(),
            2,
            "{next:?}"
        );
    }
}

#[test]
fn who_has_moved_too_much_waits_and_nobody_counts_the_rounds() {
    let mut pool = pool(&[1, 1], Policy::Drr);
    let now = Instant::now();
    let large = choose(&mut pool, now);
    pool.moved(large.index, i64::MAX);
    for _ in 0..1000 {
        assert_ne!(choose(&mut pool, now).index, large.index);
    }
    // The other one, too: both owe more than there are bytes.
    pool.moved(1 - large.index, i64::MAX);
    assert_eq!(choices(&mut pool, 100).len(), 100);
    pool.moved(large.index, i64::MIN);
    pool.moved(large.index, i64::MIN);
    assert_eq!(choose(&mut pool, now).index, large.index);
}

#[test]
fn a_client_keeps_its_target_and_only_those_of_a_lost_one_move() {
    let weights = [3, 2, 1, 1];
    let now = Instant::now();
    let clients: Vec<Ipv6Addr> = (0..2000)
        .map(|n| Ipv6Addr::from(CLIENT.to_bits() + n))
        .collect();
    let map = |pool: &mut Pool| -> HashMap<Ipv6Addr, usize> {
        let mut choice = |client: &Ipv6Addr| pool.choose(u32::MAX, *client, 0, now).unwrap();
        clients.iter().map(|c| (*c, choice(c).index)).collect()
    };
    let mut pool = pool(&weights, Policy::Client);
    let before = map(&mut pool);
    assert_eq!(map(&mut pool), before);
    for (index, weight) in weights.into_iter().enumerate() {
        let count = before.values().filter(|i| **i == index).count();
        let fair = 2000 * usize::try_from(weight).unwrap() / 7;
        assert!(count.abs_diff(fair) < fair / 4, "{count} of {fair}");
    }
    let lost = Choice {
        index: 1,
        trial: false,
        charge: 0,
    };
    pool.fails(lost, now);
    for (client, index) in map(&mut pool) {
        if before[&client] == 1 {
            assert_ne!(index, 1);
        } else {
            assert_eq!(index, before[&client]);
        }
    }
    pool.serves(lost);
    assert_eq!(map(&mut pool), before);
}
