//! Flows between their SYN and their accept, in `nfqueue` capture.
//!
//! The capture thread holds a SYN, connects to the next segment, lets the SYN go on, and puts the
//! answered connection here; the worker that accepts the flow takes it out, once. A key stays
//! known while its flow lives, so that a repeated SYN is told from a new flow.
//!
//! ```text
//!  hold ──▶ Held ──answer──▶ Answered ──take──▶ Live ──forget──▶ (gone)
//!             └──forget──▶      └──expire──▶
//! ```

use std::collections::HashMap;
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

/// What a SYN is to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// New: it is held now, and its next segment should be asked.
    New,
    /// The same SYN is held already: its sender repeats it.
    Repeated,
    /// The next segment has answered, but the client did not hear of it: let it pass again.
    Answered,
    /// Its flow is accepted and lives.
    Live,
    /// The table is full.
    Full,
}

#[derive(Debug)]
enum Entry<T> {
    Held,
    Answered { connection: T, deadline: Instant },
    Live,
}

/// Held, answered and live flows; `T` is the answered connection.
#[derive(Debug)]
pub struct FlowTable<T> {
    entries: Mutex<HashMap<FlowKey, Entry<T>>>,
}

impl<T> Default for FlowTable<T> {
    /// An empty table.
    fn default() -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
        }
    }
}

impl<T> FlowTable<T> {
    /// A SYN has arrived. A new one gets in if the table knows fewer than `capacity` flows: a
    /// reload may change that number.
    pub fn hold(&self, key: FlowKey, capacity: usize) -> Arrival {
        let mut entries = self.lock();
        match entries.get(&key) {
            Some(Entry::Held) => Arrival::Repeated,
            Some(Entry::Answered { .. }) => Arrival::Answered,
            Some(Entry::Live) => Arrival::Live,
            None if entries.len() >= capacity => Arrival::Full,
            None => {
                entries.insert(key, Entry::Held);
                Arrival::New
            }
        }
    }

    /// The next segment has answered; the flow must be accepted before `deadline`.
    pub fn answer(&self, key: FlowKey, connection: T, deadline: Instant) {
        self.lock().insert(
            key,
            Entry::Answered {
                connection,
                deadline,
            },
        );
    }

    /// The flow was accepted: its connection, the first time this is asked.
    pub fn take(&self, key: FlowKey) -> Option<T> {
        let mut entries = self.lock();
        let entry = entries.get_mut(&key)?;
        match std::mem::replace(entry, Entry::Live) {
            Entry::Answered { connection, .. } => Some(connection),
            other => {
                *entry = other;
                None
            }
        }
    }

    /// The flow is over, or never was.
    pub fn forget(&self, key: FlowKey) {
        self.lock().remove(&key);
    }

    /// Takes out the connections whose client has not gone on by `now`.
    pub fn expire(&self, now: Instant) -> Vec<T> {
        let mut entries = self.lock();
        let late: Vec<FlowKey> = entries
            .iter()
            .filter(|(_, e)| matches!(e, Entry::Answered { deadline, .. } if *deadline <= now))
            .map(|(key, _)| *key)
            .collect();
        late.into_iter()
            .filter_map(|key| match entries.remove(&key) {
                Some(Entry::Answered { connection, .. }) => Some(connection),
                _ => None,
            })
            .collect()
    }

    /// How many flows the table knows.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FlowKey, Entry<T>>> {
        // Every method leaves the map whole, so a panic elsewhere does not spoil it.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(table.hold(key(1), 8), Arrival::New);
        assert_eq!(table.hold(key(1), 8), Arrival::Repeated);
        assert_eq!(table.take(key(1)), None);
        table.answer(key(1), "socket", now + Duration::from_secs(1));
        assert_eq!(table.hold(key(1), 8), Arrival::Answered);
        assert_eq!(table.take(key(1)), Some("socket"));
        assert_eq!(table.take(key(1)), None);
        assert_eq!(table.hold(key(1), 8), Arrival::Live);
        table.forget(key(1));
        assert_eq!(table.hold(key(1), 8), Arrival::New);
    }

    #[test]
    fn only_what_is_late_expires() {
        let table = FlowTable::default();
        let now = Instant::now();
        table.answer(key(1), 1, now);
        table.answer(key(2), 2, now + Duration::from_secs(1));
        table.hold(key(3), 8);
        assert_eq!(table.expire(now), vec![1]);
        assert_eq!(table.len(), 2);
        assert_eq!(table.expire(now + Duration::from_secs(1)), vec![2]);
    }

    #[test]
    fn it_is_bounded() {
        let table = FlowTable::<()>::default();
        assert_eq!(table.hold(key(1), 2), Arrival::New);
        assert_eq!(table.hold(key(2), 2), Arrival::New);
        assert_eq!(table.hold(key(3), 2), Arrival::Full);
        assert_eq!(table.hold(key(1), 2), Arrival::Repeated);
        // A reload may have changed it.
        assert_eq!(table.hold(key(3), 3), Arrival::New);
    }
}
