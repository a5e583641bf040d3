//! What is known of each client or each server: so many of them by name, the others together.
//!
//! Whoever comes when all places are taken gets that of the one unused for the longest time, whose
//! numbers go to the others. A flow knows its place by a number that is never given again: what it
//! reports after that goes to the others, too.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use srv6pipes_vnf::{Counter, Counters};

/// What is counted of each, in the order of [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// All that began.
    Flows,
    /// Those of them that have not ended.
    LiveFlows,
    /// Client to server.
    UpstreamBytes,
    /// Server to client.
    DownstreamBytes,
    /// Flows whose handshake's time is known.
    HandshakeFlows,
    /// Those times, all together.
    HandshakeTime,
    /// The longest of them.
    HandshakeMax,
    /// Flows whose first byte came.
    FirstByteFlows,
    /// The times until then, all together.
    FirstByteTime,
    /// The longest of them.
    FirstByteMax,
}

/// The counters' names.
const NAMES: [&str; 10] = [
    "flows",
    "live_flows",
    "upstream_bytes",
    "downstream_bytes",
    "handshake_flows",
    "handshake_us",
    "handshake_max_us",
    "first_byte_flows",
    "first_byte_us",
    "first_byte_max_us",
];

/// What a flow has moved in all, and its times, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moved {
    /// Bytes, client to server.
    pub upstream: u64,
    /// Bytes, server to client.
    pub downstream: u64,
    /// Round trip of the handshake.
    pub handshake: Option<Duration>,
    /// From the beginning to the first byte.
    pub first_byte: Option<Duration>,
}

/// Where a flow's numbers go, and which have gone there.
#[derive(Debug)]
pub struct Entry<K> {
    key: K,
    serial: u64,
    noted: Moved,
}

/// One client or server, or all others.
#[derive(Debug)]
struct Party {
    serial: u64,
    /// When it was last used, by the ledger's own count.
    used: u64,
    numbers: [u64; NAMES.len()],
    counters: [Counter; NAMES.len()],
}

/// All clients, or all servers.
pub struct Ledger<K> {
    what: &'static str,
    name: Box<dyn Fn(&K) -> String + Send>,
    max: usize,
    counters: Counters,
    parties: HashMap<K, Party>,
    others: Party,
    /// Counts up with each use.
    clock: u64,
}

impl<K: fmt::Debug> fmt::Debug for Ledger<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("what", &self.what)
            .field("parties", &self.parties)
            .finish_non_exhaustive()
    }
}

impl<K: Copy + Eq + Hash> Ledger<K> {
    /// An empty one for `max` parties; `what` and `name` make labels: `client=2001:db8::1`.
    pub fn new(
        what: &'static str,
        max: u64,
        name: impl Fn(&K) -> String + Send + 'static,
        counters: Counters,
    ) -> Self {
        Self {
            what,
            name: Box::new(name),
            max: usize::try_from(max).unwrap_or(usize::MAX),
            counters,
            parties: HashMap::new(),
            others: Party::new(0, counters, &format!("{what}=others")),
            clock: 0,
        }
    }

    /// A flow begins.
    pub fn begin(&mut self, key: K) -> Entry<K> {
        let serial = self.place(key);
        let party = self.party(&key, serial);
        party.add(Number::Flows, 1);
        party.add(Number::LiveFlows, 1);
        Entry {
            key,
            serial,
            noted: Moved::default(),
        }
    }

    /// What a flow has moved so far; what was noted before is not counted again.
    pub fn note(&mut self, entry: &mut Entry<K>, moved: Moved) {
        let party = self.party(&entry.key, entry.serial);
        let noted = entry.noted;
        let bytes = |now: u64, before: u64| now.saturating_sub(before);
        let upstream = bytes(moved.upstream, noted.upstream);
        let downstream = bytes(moved.downstream, noted.downstream);
        party.add(Number::UpstreamBytes, upstream);
        party.add(Number::DownstreamBytes, downstream);
        if let (Some(time), None) = (moved.handshake, noted.handshake) {
            party.add(Number::HandshakeFlows, 1);
            party.add(Number::HandshakeTime, us(time));
            party.raise(Number::HandshakeMax, us(time));
        }
        if let (Some(time), None) = (moved.first_byte, noted.first_byte) {
            party.add(Number::FirstByteFlows, 1);
            party.add(Number::FirstByteTime, us(time));
            party.raise(Number::FirstByteMax, us(time));
        }
        entry.noted = moved;
    }

    /// A flow is over.
    pub fn end(&mut self, entry: &Entry<K>) {
        self.party(&entry.key, entry.serial).take_live();
    }

    /// The number of the party's place, made if there is none; 0 is that of the others.
    fn place(&mut self, key: K) -> u64 {
        if let Some(party) = self.parties.get(&key) {
            return party.serial;
        }
        if self.max == 0 {
            return 0;
        }
        if self.parties.len() >= self.max {
            self.fold();
        }
        // Used next: whoever is not was used before.
        let serial = self.clock + 1;
        let label = format!("{}={}", self.what, (self.name)(&key));
        let party = Party::new(serial, self.counters, &label);
        if self.others.counts() && !party.counts() {
            // The host has no more: a function of before a reload holds some, too.
            return 0;
        }
        self.parties.insert(key, party);
        serial
    }

    /// Gives the place of the party unused for the longest time back. One without live flows, if
    /// there is one: the numbers of the others would go on alone.
    fn fold(&mut self) {
        let age = |party: &Party| (party.number(Number::LiveFlows) > 0, party.used);
        let oldest = self.parties.iter().min_by_key(|(_, party)| age(party));
        let Some(key) = oldest.map(|(key, _)| *key) else {
            return;
        };
        if let Some(party) = self.parties.remove(&key) {
            self.others.take_over(&party);
        }
    }

    /// Whose numbers those of a flow are now.
    fn party(&mut self, key: &K, serial: u64) -> &mut Party {
        self.clock += 1;
        match self.parties.get_mut(key) {
            Some(party) if party.serial == serial => {
                party.used = self.clock;
                party
            }
            _ => &mut self.others,
        }
    }
}

impl Party {
    fn new(serial: u64, counters: Counters, label: &str) -> Self {
        Self {
            serial,
            used: serial,
            numbers: [0; NAMES.len()],
            counters: NAMES.map(|name| counters.open(name, label)),
        }
    }

    /// Whether the host shows all of its numbers.
    fn counts(&self) -> bool {
        self.counters.iter().all(Counter::counts)
    }

    fn number(&self, number: Number) -> u64 {
        self.numbers[number as usize]
    }

    fn add(&mut self, number: Number, n: u64) {
        let at = number as usize;
        self.numbers[at] = self.numbers[at].saturating_add(n);
        self.counters[at].add(n);
    }

    fn raise(&mut self, number: Number, to: u64) {
        let at = number as usize;
        if to > self.numbers[at] {
            self.numbers[at] = to;
            self.counters[at].set(to);
        }
    }

    fn take_live(&mut self) {
        let at = Number::LiveFlows as usize;
        self.numbers[at] = self.numbers[at].saturating_sub(1);
        self.counters[at].take(1);
    }

    fn take_over(&mut self, other: &Self) {
        for number in Number::ALL {
            let n = other.number(number);
            match number {
                Number::HandshakeMax | Number::FirstByteMax => self.raise(number, n),
                _ => self.add(number, n),
            }
        }
    }
}

impl Number {
    const ALL: [Self; NAMES.len()] = [
        Self::Flows,
        Self::LiveFlows,
        Self::UpstreamBytes,
        Self::DownstreamBytes,
        Self::HandshakeFlows,
        Self::HandshakeTime,
        Self::HandshakeMax,
        Self::FirstByteFlows,
        Self::FirstByteTime,
        Self::FirstByteMax,
    ];
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
