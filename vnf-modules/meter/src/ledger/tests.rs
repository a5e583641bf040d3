//! Who has a place, who loses it, and that no number is lost with it.

use super::*;
use srv6pipes_vnf::Setup;

fn ledger(max: u64) -> Ledger<u32> {
    let name = |key: &u32| format!("number {key}");
    Ledger::new("client", max, name, Setup::detached(&[]).counters())
}

impl Ledger<u32> {
    fn of(&self, key: u32) -> Option<[u64; NAMES.len()]> {
        self.parties.get(&key).map(|party| party.numbers)
    }

    /// The sum over all places, maxima apart.
    fn total(&self, number: Number) -> u64 {
        let parties = self.parties.values().chain([&self.others]);
        parties.map(|party| party.number(number)).sum()
    }
}

fn moved(upstream: u64, downstream: u64, times: Option<(u64, u64)>) -> Moved {
    let ms = Duration::from_millis;
    Moved {
        upstream,
        downstream,
        handshake: times.map(|(time, _)| ms(time)),
        first_byte: times.map(|(_, time)| ms(time)),
    }
}

#[test]
fn totals_are_counted_once_however_often_they_are_told() {
    let mut ledger = ledger(2);
    let mut flow = ledger.begin(7);
    ledger.note(&mut flow, moved(10, 0, None));
    ledger.note(&mut flow, moved(10, 5, Some((3, 8))));
    ledger.note(&mut flow, moved(12, 5, Some((3, 8))));
    ledger.note(&mut flow, moved(12, 5, Some((3, 8))));
    let mut second = ledger.begin(7);
    ledger.note(&mut second, moved(1, 1, Some((2, 9))));
    ledger.end(&flow);
    let expected = [2, 1, 13, 6, 2, 5000, 3000, 2, 17_000, 9000];
    assert_eq!(ledger.of(7), Some(expected));
    assert_eq!(ledger.others.numbers, [0; 10]);
}

#[test]
fn the_one_unused_for_the_longest_time_goes_to_the_others() {
    let mut ledger = ledger(2);
    for (key, bytes) in [(1, 100), (2, 200)] {
        let mut flow = ledger.begin(key);
        ledger.note(&mut flow, moved(bytes, 0, Some((key.into(), 1))));
        ledger.end(&flow);
    }
    let again = ledger.begin(1);
    ledger.end(&again);
    ledger.begin(3);
    assert!(ledger.of(2).is_none() && ledger.of(1).is_some() && ledger.of(3).is_some());
    let others = [1, 0, 200, 0, 1, 2000, 2000, 1, 1000, 1000];
    assert_eq!(ledger.others.numbers, others);
}

#[test]
fn who_has_live_flows_keeps_its_place_if_another_one_has_none() {
    let mut ledger = ledger(2);
    let live = ledger.begin(1);
    let over = ledger.begin(2);
    ledger.end(&over);
    ledger.begin(3);
    assert!(ledger.of(1).is_some() && ledger.of(2).is_none());
    ledger.begin(4);
    assert!(
        ledger.of(1).is_none(),
        "the longest unused of two that live"
    );
    // It comes back while its first flow still lives: that one is the others' now.
    ledger.begin(1);
    let mut live = live;
    ledger.note(&mut live, moved(50, 60, None));
    ledger.end(&live);
    let [flows, live, upstream, ..] = ledger.of(1).unwrap();
    assert_eq!((flows, live, upstream), (1, 1, 0));
    assert_eq!(ledger.others.number(Number::UpstreamBytes), 50);
    assert_eq!(ledger.total(Number::Flows), 5);
    assert_eq!(ledger.total(Number::LiveFlows), 3);
}

#[test]
fn without_places_there_are_only_the_others() {
    let mut ledger = ledger(0);
    let mut flow = ledger.begin(1);
    ledger.note(&mut flow, moved(1, 2, Some((3, 4))));
    assert!(ledger.parties.is_empty());
    let expected = [1, 1, 1, 2, 1, 3000, 3000, 1, 4000, 4000];
    assert_eq!(ledger.others.numbers, expected);
    ledger.end(&flow);
    assert_eq!(ledger.others.number(Number::LiveFlows), 0);
}

#[test]
fn a_crowd_stays_within_bounds_and_nothing_is_lost() {
    let mut ledger = ledger(16);
    let mut flows = Vec::new();
    for round in 0..2000_u32 {
        let mut flow = ledger.begin(round.wrapping_mul(2_654_435_761) % 97);
        ledger.note(&mut flow, moved(u64::from(round), 1, None));
        flows.push(flow);
        if flows.len() > 40 {
            let mut flow = flows.swap_remove(usize::try_from(round).unwrap() % 40);
            let Moved { upstream, .. } = flow.noted;
            ledger.note(&mut flow, moved(upstream + 1, 2, None));
            ledger.end(&flow);
        }
        assert!(ledger.parties.len() <= 16);
        assert_eq!(ledger.total(Number::LiveFlows), flows.len() as u64);
    }
    let ended = 2000 - flows.len() as u64;
    assert_eq!(ledger.total(Number::Flows), 2000);
    assert_eq!(ledger.total(Number::UpstreamBytes), 1999 * 1000 + ended);
    assert_eq!(ledger.total(Number::DownstreamBytes), 2000 + ended);
}

#[test]
fn numbers_and_names_are_in_the_same_order() {
    for (at, number) in Number::ALL.into_iter().enumerate() {
        assert_eq!(number as usize, at);
        let spelt: String = format!("{number:?}").to_lowercase().replace("time", "");
        let name = NAMES[at].replace(['_'], "");
        let name = name.strip_suffix("us").unwrap_or(&name);
        assert_eq!(name, spelt);
    }
}
