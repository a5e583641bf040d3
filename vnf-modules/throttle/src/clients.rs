//! The clients that have flows now, and what each may do in each direction over all of them.
//!
//! A client without flows is kept until its bucket would be full again anyway: it gets no new burst
//! by opening a new flow, and nothing is forgotten when it goes. At most [`MOST_IDLE`] such are
//! kept, the latest; those with flows are bounded by the daemon's `max_flows`.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use srv6pipes_vnf::{Counter, Direction};

use crate::bucket::Rate;
use crate::share::Share;

/// Most clients without flows.
pub const MOST_IDLE: usize = 4096;

/// All clients of one function.
#[derive(Debug)]
pub struct Clients {
    rate: Rate,
    /// Bits of an address that tell clients apart, 1 to 128.
    prefix: u8,
    /// How many came into the table.
    new: Counter,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    clients: HashMap<u128, Arc<Mutex<Client>>>,
    /// Who was left by its last flow, and when: the longest ago is first. It may be back.
    idle: VecDeque<(Instant, u128)>,
}

/// One client.
#[derive(Debug)]
struct Client {
    /// Upstream, downstream.
    shares: [Share; 2],
    /// Which members there are; the places of others are free.
    members: Vec<bool>,
    /// When the last member left, if there is none.
    idle: Option<Instant>,
}

/// A flow's place among those of its client; dropping it leaves.
#[derive(Debug)]
pub struct Membership {
    clients: Arc<Clients>,
    client: Arc<Mutex<Client>>,
    key: u128,
    member: usize,
}

impl Clients {
    pub fn new(rate: Rate, prefix: u8, new: Counter) -> Self {
        let table = Mutex::default();
        Self {
            rate,
            prefix,
            new,
            table,
        }
    }

    /// A flow of the client at `address` begins.
    pub fn join(self: &Arc<Self>, address: Ipv6Addr, now: Instant) -> Membership {
        let key = address.to_bits() & (u128::MAX << (128 - u32::from(self.prefix)));
        let mut table = lock(&self.table);
        table.forget(now, self.rate.fill());
        let rate = self.rate;
        let client = table.clients.entry(key).or_insert_with(|| {
            self.new.one();
            Arc::new(Mutex::new(Client {
                shares: [Share::new(rate, now), Share::new(rate, now)],
                members: Vec::new(),
                idle: None,
            }))
        });
        let client = Arc::clone(client);
        let member = lock(&client).join();
        Membership {
            clients: Arc::clone(self),
            client,
            key,
            member,
        }
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        lock(&self.table).clients.len()
    }
}

impl Table {
    /// Drops who has been idle for `long`, and the first of those who are too many.
    fn forget(&mut self, now: Instant, long: Duration) {
        while let Some((since, key)) = self.idle.front().copied() {
            let full = now.saturating_duration_since(since) >= long;
            if !full && self.idle.len() <= MOST_IDLE {
                break;
            }
            self.idle.pop_front();
            let left = |client: &Arc<Mutex<Client>>| lock(client).idle == Some(since);
            if self.clients.get(&key).is_some_and(left) {
                self.clients.remove(&key);
            }
        }
    }
}

impl Client {
    fn join(&mut self) -> usize {
        let free = self.members.iter().position(|taken| !taken);
        let member = free.unwrap_or(self.members.len());
        if free.is_none() {
            self.members.push(false);
        }
        self.members[member] = true;
        for share in &mut self.shares {
            share.admit(member);
        }
        self.idle = None;
        member
    }

    fn leave(&mut self, member: usize, now: Instant) {
        for share in &mut self.shares {
            share.leave(member);
        }
        self.members[member] = false;
        self.idle = (!self.members.contains(&true)).then_some(now);
    }
}

impl Membership {
    /// See [`Share::take`].
    pub fn take(&self, direction: Direction, wanted: usize, now: Instant) -> (usize, Duration) {
        let mut client = lock(&self.client);
        client.shares[direction as usize].take(self.member, wanted, now)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let now = Instant::now();
        // The table is locked before the client, as in `join`.
        let mut table = lock(&self.clients.table);
        let mut client = lock(&self.client);
        client.leave(self.member, now);
        if client.idle.is_some() {
            table.idle.push_back((now, self.key));
        }
        drop(client);
        table.forget(now, self.clients.rate.fill());
    }
}

/// A panic in another flow has left nothing half done that matters: at worst a credit.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
