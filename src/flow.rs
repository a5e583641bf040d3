//! Flows between their SYN and their accept, in `nfqueue` capture.
//!
//! The capture thread holds a SYN, connects to the next segment, lets the SYN go on, and puts the
//! answered connection here; the worker that accepts the flow takes it out, once. A flow stays
//! known while it lives, so that its repeated SYN is told from a new flow's.
//!
//! ```text
//!  hold ──▶ Held ──answer──▶ Answered ──take──▶ Live ──forget──▶ (gone)
//!             ├──forget──▶      ├──expire──▶     └──take of a later flow──▶
//!             └──hold of──▶     └──hold of another ISN──▶
//!               another ISN
//! ```
//! Addresses and ports do not name a flow: a client uses a port again while we still carry the end
//! of its earlier flow on, or after it gave one up. Their SYNs differ in the initial sequence
//! number (RFC 9293 section 3.4.1). So a key may have a live flow and, beside it, one that is held
//! or answered.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddrV6;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What tells flows apart here: the client's and the final destination's address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The client.
    pub client: SocketAddrV6,
    /// The final destination.
    pub server: SocketAddrV6,
}

impl FlowKey {
    /// A key of both ends; scope and flow label do not count.
    pub fn new(client: SocketAddrV6, server: SocketAddrV6) -> Self {
        let plain = |a: SocketAddrV6| SocketAddrV6::new(*a.ip(), a.port(), 0, 0);
        Self {
            client: plain(client),
            server: plain(server),
        }
    }
}

/// What a SYN is to the table; `T` is an answered connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<T> {
    /// New: it is held now, and its next segment should be asked.
    New,
    /// New, as [`Self::New`], and its client has given up a SYN that is held: nobody waits for
    /// that one's next segment any more.
    InsteadOfHeld,
    /// New, as [`Self::New`], and its client has given up a SYN whose next segment has answered:
    /// by this connection, which nobody will take.
    InsteadOfAnswered(T),
    /// The same SYN is held already: its sender repeats it.
    Repeated,
    /// The next segment has answered, but the client did not hear of it: let it pass again.
    Answered,
    /// Its flow is accepted and lives: the kernel answers again, or challenges it (RFC 9293
    /// section 3.10.7.4).
    Live,
    /// The table is full.
    Full,
}

/// A flow that is not accepted yet.
#[derive(Debug)]
struct Pending<T> {
    isn: u32,
    /// `None` while its SYN is held.
    answer: Option<Answer<T>>,
}

#[derive(Debug)]
struct Answer<T> {
    connection: T,
    deadline: Instant,
}

#[derive(Debug)]
struct Flows<T> {
    pending: HashMap<FlowKey, Pending<T>>,
    /// The ISNs of those accepted last from their port.
    live: HashMap<FlowKey, u32>,
}

impl<T> Flows<T> {
    fn len(&self) -> usize {
        self.pending.len().saturating_add(self.live.len())
    }
}

/// Held, answered and live flows; `T` is the answered connection.
#[derive(Debug)]
pub struct FlowTable<T> {
    flows: Mutex<Flows<T>>,
}

impl<T> Default for FlowTable<T> {
    /// An empty table.
    fn default() -> Self {
        Self {
            flows: Mutex::new(Flows {
                pending: HashMap::new(),
                live: HashMap::new(),
            }),
        }
    }
}

impl<T> FlowTable<T> {
    /// A SYN with the initial sequence number `isn` has arrived. A new one gets in if the table
    /// knows fewer than `capacity` flows (a reload may change that number), or if it takes the
    /// place of one that its client has given up.
    pub fn hold(&self, key: FlowKey, isn: u32, capacity: usize) -> Arrival<T> {
        let mut flows = self.lock();
        if flows.live.get(&key) == Some(&isn) {
            return Arrival::Live;
        }
        match flows.pending.get(&key) {
            Some(pending) if pending.isn == isn => {
                return match pending.answer {
                    None => Arrival::Repeated,
                    Some(_) => Arrival::Answered,
                };
            }
            None if flows.len() >= capacity => return Arrival::Full,
            _ => {}
        }
        match flows.pending.insert(key, Pending { isn, answer: None }) {
            None => Arrival::New,
            Some(Pending { answer: None, .. }) => Arrival::InsteadOfHeld,
            Some(Pending {
                answer: Some(answer),
                ..
            }) => Arrival::InsteadOfAnswered(answer.connection),
        }
    }

    /// The next segment of the SYN held last has answered; the flow must be accepted before
    /// `deadline`.
    pub fn answer(&self, key: FlowKey, isn: u32, connection: T, deadline: Instant) {
        let answer = Some(Answer {
            connection,
            deadline,
        });
        self.lock().pending.insert(key, Pending { isn, answer });
    }

    /// A flow was accepted: its ISN and its connection, the first time this is asked. It is the
    /// live one from now on.
    pub fn take(&self, key: FlowKey) -> Option<(u32, T)> {
        let mut flows = self.lock();
        let Entry::Occupied(entry) = flows.pending.entry(key) else {
            return None;
        };
        entry.get().answer.as_ref()?;
        let Pending { isn, answer } = entry.remove();
        flows.live.insert(key, isn);
        answer.map(|answer| (isn, answer.connection))
    }

    /// The flow of this SYN is over, or never was. Another one of the same port stays.
    pub fn forget(&self, key: FlowKey, isn: u32) {
        let mut flows = self.lock();
        if flows.live.get(&key) == Some(&isn) {
            flows.live.remove(&key);
        }
        if flows.pending.get(&key).is_some_and(|p| p.isn == isn) {
            flows.pending.remove(&key);
        }
    }

    /// Takes out the connections whose client has not gone on by `now`.
    pub fn expire(&self, now: Instant) -> Vec<T> {
        let mut flows = self.lock();
        let late = |pending: &Pending<T>| {
            let answer = pending.answer.as_ref();
            answer.is_some_and(|answer| answer.deadline <= now)
        };
        let expired = flows.pending.extract_if(|_, pending| late(pending));
        expired
            .filter_map(|(_, pending)| pending.answer)
            .map(|answer| answer.connection)
            .collect()
    }

    /// How many flows the table knows.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Flows<T>> {
        // Every method leaves the maps whole, so a panic elsewhere does not spoil them.
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;

    fn key(port: u16) -> FlowKey {
        let client = SocketAddrV6::new("fd00:c::1".parse::<Ipv6Addr>().unwrap(), port, 7, 3);
        let server = SocketAddrV6::new("fd00:5::1".parse::<Ipv6Addr>().unwrap(), 80, 0, 0);
        FlowKey::new(client, server)
    }

    #[test]
    fn a_connection_is_taken_once() {
        let table = FlowTable::default();
        let now = Instant::now();
        assert_eq!(table.hold(key(1), 7, 8), Arrival::New);
        assert_eq!(table.hold(key(1), 7, 8), Arrival::Repeated);
        assert_eq!(table.take(key(1)), None);
        table.answer(key(1), 7, "socket", now + Duration::from_secs(1));
        assert_eq!(table.hold(key(1), 7, 8), Arrival::Answered);
        assert_eq!(table.take(key(1)), Some((7, "socket")));
        assert_eq!(table.take(key(1)), None);
        assert_eq!(table.hold(key(1), 7, 8), Arrival::Live);
        table.forget(key(1), 7);
        assert!(table.is_empty());
        assert_eq!(table.hold(key(1), 7, 8), Arrival::New);
    }

    #[test]
    fn a_port_comes_again_while_its_earlier_flow_lives() {
        let table = FlowTable::default();
        let soon = Instant::now() + Duration::from_secs(1);
        table.answer(key(1), 7, "old", soon);
        table.take(key(1)).unwrap();
        assert_eq!(table.hold(key(1), 9, 8), Arrival::New);
        assert_eq!(table.hold(key(1), 7, 8), Arrival::Live);
        assert_eq!(table.len(), 2);
        // The end of the old flow is not the new one's.
        table.forget(key(1), 7);
        assert_eq!(table.hold(key(1), 9, 8), Arrival::Repeated);
        table.answer(key(1), 9, "new", soon);
        assert_eq!(table.take(key(1)), Some((9, "new")));
        // Nor if it comes after the new one was accepted.
        table.forget(key(1), 7);
        assert_eq!(table.hold(key(1), 9, 8), Arrival::Live);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_new_syn_takes_the_place_of_one_that_was_given_up() {
        let table = FlowTable::default();
        let soon = Instant::now() + Duration::from_secs(1);
        assert_eq!(table.hold(key(1), 7, 1), Arrival::New);
        assert_eq!(table.hold(key(1), 8, 1), Arrival::InsteadOfHeld);
        table.forget(key(1), 7);
        assert_eq!(table.hold(key(1), 8, 1), Arrival::Repeated);
        table.answer(key(1), 8, "socket", soon);
        let arrival = table.hold(key(1), 9, 1);
        assert_eq!(arrival, Arrival::InsteadOfAnswered("socket"));
        assert_eq!(table.take(key(1)), None);
        assert_eq!(table.len(), 1);
        table.forget(key(1), 9);
        assert!(table.is_empty());
    }

    #[test]
    fn only_what_is_late_expires() {
        let table = FlowTable::default();
        let now = Instant::now();
        table.answer(key(1), 7, 1, now);
        table.answer(key(2), 7, 2, now + Duration::from_secs(1));
        table.hold(key(3), 7, 8);
        assert_eq!(table.expire(now), vec![1]);
        assert_eq!(table.len(), 2);
        assert_eq!(table.expire(now + Duration::from_secs(1)), vec![2]);
    }

    #[test]
    fn it_is_bounded() {
        let table = FlowTable::<()>::default();
        assert_eq!(table.hold(key(1), 7, 2), Arrival::New);
        assert_eq!(table.hold(key(2), 7, 2), Arrival::New);
        assert_eq!(table.hold(key(3), 7, 2), Arrival::Full);
        assert_eq!(table.hold(key(1), 7, 2), Arrival::Repeated);
        assert_eq!(table.hold(key(1), 8, 2), Arrival::InsteadOfHeld);
        // A reload may have changed it.
        assert_eq!(table.hold(key(3), 7, 3), Arrival::New);
    }

    #[test]
    fn what_comes_beside_a_live_flow_counts_too() {
        let table = FlowTable::default();
        table.answer(key(1), 7, (), Instant::now());
        table.take(key(1)).unwrap();
        assert_eq!(table.hold(key(1), 8, 1), Arrival::Full);
        assert_eq!(table.hold(key(1), 8, 2), Arrival::New);
    }
}
