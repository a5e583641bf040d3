//! What tests/fixtures/modules/choices.c has written into a daemon's log: choices, and what it was
//! told of them.

use std::collections::BTreeMap;

use super::proxy::Proxy;
use super::wait_for;

/// What was chosen has answered.
pub const CONNECTED: u32 = 0;
/// It has not.
pub const FAILED: u32 = 1;
/// The flow ended before.
pub const DROPPED: u32 = 2;
/// The flow is over.
pub const ENDED: u32 = 3;

/// The words behind `word` of every line that has it, in the order of the log.
pub fn lines(proxy: &Proxy, word: &str) -> Vec<Vec<String>> {
    let log = proxy.log();
    let words = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        words.by_ref().find(|found| found == word)?;
        Some(words.collect())
    };
    log.lines().filter_map(words).collect()
}

/// The events of every choice.
pub fn events(proxy: &Proxy) -> BTreeMap<u64, Vec<u32>> {
    let made = lines(proxy, "route");
    let mut events: BTreeMap<u64, Vec<u32>> = made
        .iter()
        .map(|line| (line[0].parse().unwrap(), Vec::new()))
        .filter(|(choice, _)| *choice != 0)
        .collect();
    for line in lines(proxy, "routed") {
        let choice = line[0].parse().unwrap();
        let known = events.get_mut(&choice);
        let known = known.unwrap_or_else(|| panic!("nobody has chosen {choice}"));
        known.push(line[1].parse().unwrap());
    }
    events
}

/// Waits until the choices are these, by their order, with these events.
pub fn wait_events(proxy: &Proxy, expected: &[&[u32]]) {
    wait_for(&format!("choices with the events {expected:?}"), || {
        let events = events(proxy);
        let found: Vec<&[u32]> = events.values().map(Vec::as_slice).collect();
        (found == expected).then_some(())
    });
}
