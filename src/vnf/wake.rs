//! `host->wake`: from any thread of a module to the worker that carries the flow.
//!
//! Each worker has a [`Bell`]. A flow with functions is on its worker's list of those who may be
//! woken, from its beginning to its end; a wake-up for anyone else finds nobody. Whoever is woken is
//! noted once until the worker [`Bell::answer`]s, however often it is asked for: so a module that
//! does nothing but wake costs its own calls, and one step of its flow per round of the worker.
//!
//! Those who wake share a lock among themselves, and keep the worker from it only while a flow begins
//! or ends.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use nix::sys::eventfd::EventFd;

/// A flow's id is a number that its worker counts up, times this, plus the worker's place in
/// [`LINES`]: 2^48 flows of each, more than a machine will see.
const WORKERS: u64 = 1 << 16;

/// The workers of this process; they stay when their worker ends, for the next one to use.
static LINES: RwLock<Vec<&Line>> = RwLock::new(Vec::new());

/// Whom a worker can be told to wake.
#[derive(Debug, Default)]
struct Line {
    /// Never goes back, so that no flow gets the id of another.
    last: AtomicU64,
    /// By id.
    flows: RwLock<HashMap<u64, Sleeper>>,
    rope: Mutex<Rope>,
}

/// A flow that may be woken.
#[derive(Debug)]
struct Sleeper {
    /// What the worker knows it by.
    key: u64,
    /// It is among those that were woken. What was written before it was set is to be seen by the
    /// call of the function that follows: hence acquire and release.
    woken: AtomicBool,
}

#[derive(Debug, Default)]
struct Rope {
    /// What the worker waits for; `None` when it has ended.
    eventfd: Option<Arc<EventFd>>,
    /// Ids of those woken since the worker last asked.
    woken: Vec<u64>,
}

/// A worker's ear for wake-ups. Dropping it ends them.
#[derive(Debug)]
pub struct Bell {
    line: &'static Line,
    number: u64,
    /// Empty between two calls of [`Self::answer`].
    woken: Vec<u64>,
}

impl Bell {
    /// A bell that makes `eventfd` readable when it rings.
    pub fn new(eventfd: Arc<EventFd>) -> Self {
        let mut lines = LINES.write().unwrap_or_else(PoisonError::into_inner);
        let free = lines.iter().position(|line| line.rope().eventfd.is_none());
        let index = free.unwrap_or_else(|| {
            lines.push(Box::leak(Box::default()));
            lines.len() - 1
        });
        let line = lines[index];
        line.rope().eventfd = Some(eventfd);
        Self {
            line,
            number: index as u64,
            woken: Vec::new(),
        }
    }

    /// An id that no flow had or will have, and that is not 0.
    pub fn id(&self) -> u64 {
        let last = self.line.last.fetch_add(1, Ordering::Relaxed);
        (last + 1) * WORKERS + self.number
    }

    /// From now on the flow of this id may be woken; [`Self::answer`] calls it `key`.
    pub fn enlist(&self, id: u64, key: u64) {
        let woken = AtomicBool::new(false);
        let flows = self.line.flows.write();
        let mut flows = flows.unwrap_or_else(PoisonError::into_inner);
        flows.insert(id, Sleeper { key, woken });
    }

    /// The flow of this id is over.
    pub fn strike_off(&self, id: u64) {
        let flows = self.line.flows.write();
        let mut flows = flows.unwrap_or_else(PoisonError::into_inner);
        flows.remove(&id);
    }

    /// Adds the keys of those woken since the last time to `keys`.
    pub fn answer(&mut self, keys: &mut Vec<u64>) {
        mem::swap(&mut self.line.rope().woken, &mut self.woken);
        let flows = self.line.flows.read();
        let flows = flows.unwrap_or_else(PoisonError::into_inner);
        for id in self.woken.drain(..) {
            if let Some(sleeper) = flows.get(&id) {
                sleeper.woken.swap(false, Ordering::AcqRel);
                keys.push(sleeper.key);
            }
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        *self.line.rope() = Rope::default();
        let flows = self.line.flows.write();
        flows.unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Line {
    fn rope(&self) -> MutexGuard<'_, Rope> {
        self.rope.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, id: u64) {
        let flows = self.flows.read().unwrap_or_else(PoisonError::into_inner);
        match flows.get(&id) {
            Some(sleeper) if !sleeper.woken.swap(true, Ordering::AcqRel) => {}
            _ => return,
        }
        let mut rope = self.rope();
        rope.woken.push(id);
        // For those after the first, the worker is on its way.
        let ring = (rope.woken.len() == 1).then(|| rope.eventfd.clone());
        drop(rope);
        drop(flows);
        if let Some(Some(eventfd)) = ring {
            // It fails only when it is full, and then it is readable.
            let _ = eventfd.write(1);
        }
    }
}

/// Wakes the flow of this id, if there is one.
pub(super) fn wake(id: u64) {
    let lines = LINES.read().unwrap_or_else(PoisonError::into_inner);
    let line = usize::try_from(id % WORKERS).map(|n| lines.get(n).copied());
    drop(lines);
    if let Ok(Some(line)) = line {
        line.wake(id);
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::eventfd::EfdFlags;

    use super::*;

    fn bell() -> (Bell, Arc<EventFd>) {
        let eventfd = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap());
        (Bell::new(Arc::clone(&eventfd)), eventfd)
    }

    fn answer(bell: &mut Bell) -> Vec<u64> {
        let mut keys = Vec::new();
        bell.answer(&mut keys);
        keys
    }

    #[test]
    fn each_flow_is_noted_once_and_its_own_worker_rung_once() {
        let ((mut one, rung), (mut other, silent)) = (bell(), bell());
        let ids = [one.id(), one.id()];
        for (id, key) in ids.into_iter().zip([7, 8]) {
            one.enlist(id, key);
        }
        other.enlist(other.id(), 9);
        for id in [ids[1], ids[0], ids[1], ids[1]] {
            wake(id);
        }
        assert_eq!(rung.read(), Ok(1));
        assert_eq!(answer(&mut one), [8, 7]);
        assert_eq!(answer(&mut one), [0; 0]);
        assert!(silent.read().is_err());
        assert_eq!(answer(&mut other), [0; 0]);
        wake(ids[0]);
        assert_eq!((rung.read(), answer(&mut one)), (Ok(1), vec![7]));
    }

    #[test]
    fn whoever_is_not_there_is_not_woken() {
        let (mut bell, eventfd) = bell();
        let (early, over) = (bell.id(), bell.id());
        bell.enlist(over, 1);
        bell.strike_off(over);
        for id in [0, early, over, over + WORKERS, u64::MAX, WORKERS - 1] {
            wake(id);
        }
        assert!(eventfd.read().is_err());
        // Woken, and over before the worker came to it.
        bell.enlist(early, 2);
        wake(early);
        bell.strike_off(early);
        assert_eq!((eventfd.read(), answer(&mut bell)), (Ok(1), vec![]));
    }

    #[test]
    fn an_id_is_never_used_again() {
        let (first, _) = bell();
        let id = first.id();
        first.enlist(id, 1);
        drop(first);
        wake(id);
        // Other tests' bells come and go; some of these stand where the first one stood.
        let bells: Vec<_> = (0..8).map(|_| bell()).collect();
        wake(id);
        for (mut bell, eventfd) in bells {
            let next = bell.id();
            assert!(next != id && next != 0);
            assert!(eventfd.read().is_err());
            assert_eq!(answer(&mut bell), [0; 0]);
        }
    }

    #[test]
    fn threads_that_flood_are_bounded_by_the_flows_there_are() {
        let (mut bell, eventfd) = bell();
        let ids: Vec<u64> = (0..3).map(|_| bell.id()).collect();
        for (id, key) in ids.iter().zip(0..) {
            bell.enlist(*id, key);
        }
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|i| wake(ids[i % 3])));
            }
        });
        assert_eq!(eventfd.read(), Ok(1));
        let mut keys = answer(&mut bell);
        keys.sort_unstable();
        assert_eq!(keys, [0, 1, 2]);
    }
}
