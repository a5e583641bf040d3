//! The extension `srv6pipes.counters/1`: numbers of a function's own.
//!
//! ```text
//!  open ─▶ Book (locked): name, label ─▶ Slot ◀─ add, set (no lock)
//!  close ─▶ the last holder gone: the slot is free for another name
//! ```
//! A slot's memory is never freed: a module that uses a counter it has closed spoils a number of
//! its own function at worst.
#![allow(unsafe_code, reason = "called from C, with pointers")]

use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_char;
use std::panic::catch_unwind;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use srv6pipes_vnf::abi;

use crate::vnf::c::{c_bytes, size_of_abi};
use crate::vnf::host::Host;

/// Counters of one function at once.
const MAX_COUNTERS: usize = 4096;
/// Bytes of the longest name.
const MAX_NAME: usize = 63;
/// Bytes of the longest label.
const MAX_LABEL: usize = 255;

/// What `get_extension` answers.
pub(super) static TABLE: abi::Counters = abi::Counters {
    struct_size: size_of_abi::<abi::Counters>(),
    open: Some(open),
    add: Some(add),
    set: Some(set),
    close: Some(close),
};

/// One counter, as the operator sees it. Sorted by name, then label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedCounter {
    /// What is counted, with its unit last: `blocked_flows`.
    pub name: String,
    /// What tells it from others of the name, or nothing.
    pub label: String,
    /// The number.
    pub value: u64,
}

/// All counters of one function.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Book>);

/// What a module's pointer leads to.
#[derive(Debug)]
struct Slot {
    value: AtomicU64,
    host: &'static Host,
    /// Its place in the book.
    index: usize,
}

#[derive(Debug, Default)]
struct Book {
    /// Indices of the held ones.
    open: BTreeMap<Arc<Key>, usize>,
    slots: Vec<Entry>,
    /// Indices of the others, the longest unused first, so that a counter that is used after its
    /// end seldom meets a new one.
    free: VecDeque<usize>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: String,
    label: String,
}

#[derive(Debug)]
struct Entry {
    slot: &'static Slot,
    /// Who holds it: by which name, and how often it was opened and not closed. At least once.
    held: Option<(Arc<Key>, u64)>,
}

impl Counters {
    /// All that somebody holds, sorted.
    pub fn snapshot(&self) -> Vec<NamedCounter> {
        let book = self.book();
        let named = book.open.iter().map(|(key, &index)| NamedCounter {
            name: key.name.clone(),
            label: key.label.clone(),
            value: book.slots[index].slot.value.load(Ordering::Relaxed),
        });
        named.collect()
    }

    fn open(&self, host: &'static Host, key: Key) -> Option<&'static Slot> {
        let mut book = self.book();
        if let Some(&index) = book.open.get(&key) {
            let entry = &mut book.slots[index];
            if let Some((_, holders)) = &mut entry.held {
                *holders += 1;
            }
            return Some(entry.slot);
        }
        if book.open.len() >= MAX_COUNTERS {
            return None;
        }
        let index = book.free_slot(host);
        let key = Arc::new(key);
        let entry = &mut book.slots[index];
        entry.held = Some((Arc::clone(&key), 1));
        entry.slot.value.store(0, Ordering::Relaxed);
        let slot = entry.slot;
        book.open.insert(key, index);
        Some(slot)
    }

    /// Whether somebody held it.
    fn close(&self, slot: &Slot) -> bool {
        let mut book = self.book();
        let entry = &mut book.slots[slot.index];
        match &mut entry.held {
            None => false,
            Some((_, holders)) if *holders > 1 => {
                *holders -= 1;
                true
            }
            Some((key, _)) => {
                let key = Arc::clone(key);
                entry.held = None;
                book.open.remove(&key);
                book.free.push_back(slot.index);
                true
            }
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// The index of a slot that nobody holds.
    fn free_slot(&mut self, host: &'static Host) -> usize {
        if let Some(index) = self.free.pop_front() {
            return index;
        }
        let index = self.slots.len();
        let slot = Box::leak(Box::new(Slot {
            value: AtomicU64::new(0),
            host,
            index,
        }));
        self.slots.push(Entry { slot, held: None });
        index
    }
}

impl Key {
    /// If both are as the header wants them.
    fn new(name: &[u8], label: &[u8]) -> Option<Self> {
        let of_names = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let is_name = !name.is_empty() && name.iter().all(of_names);
        let name = str::from_utf8(name).ok().filter(|_| is_name)?;
        let label = str::from_utf8(label).ok()?;
        (!label.contains(char::is_control)).then(|| Self {
            name: name.to_owned(),
            label: label.to_owned(),
        })
    }
}

unsafe extern "C" fn open(
    host: *const abi::Host,
    name: *const c_char,
    label: *const c_char,
) -> *mut abi::Counter {
    // SAFETY: the header: `host` is the structure that the module was handed.
    let host = unsafe { Host::from_abi(host) };
    // SAFETY: the header: null, or ends with NUL and is valid until we return.
    let name = unsafe { c_bytes(name, MAX_NAME) };
    // SAFETY: as above.
    let label = unsafe { c_bytes(label, MAX_LABEL) };
    let (Some(host), Some(name), Some(label)) = (host, name, label) else {
        return ptr::null_mut();
    };
    // Nothing may unwind into C.
    let slot = catch_unwind(|| host.counters.open(host, Key::new(name, label)?));
    match slot {
        Ok(Some(slot)) => ptr::from_ref(slot).cast_mut().cast(),
        _ => ptr::null_mut(),
    }
}

/// # Safety
/// Null, or what `open` has returned once.
unsafe fn slot(counter: *mut abi::Counter) -> Option<&'static Slot> {
    // SAFETY: null, or a `Slot`, which is never freed.
    unsafe { counter.cast_const().cast::<Slot>().as_ref() }
}

unsafe extern "C" fn add(counter: *mut abi::Counter, n: u64) {
    // SAFETY: the header: what `open` has returned.
    if let Some(slot) = unsafe { slot(counter) } {
        slot.value.fetch_add(n, Ordering::Relaxed);
    }
}

unsafe extern "C" fn set(counter: *mut abi::Counter, n: u64) {
    // SAFETY: the header: what `open` has returned.
    if let Some(slot) = unsafe { slot(counter) } {
        slot.value.store(n, Ordering::Relaxed);
    }
}

unsafe extern "C" fn close(counter: *mut abi::Counter) {
    // SAFETY: the header: what `open` has returned.
    if let Some(slot) = unsafe { slot(counter) } {
        // Nothing may unwind into C.
        let _ = catch_unwind(|| {
            if !slot.host.counters.close(slot) {
                log::debug!(target: slot.host.name(), "closes a counter that nobody holds");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::thread;

    use super::*;

    fn opened(host: &'static Host, name: &CStr, label: &CStr) -> *mut abi::Counter {
        // SAFETY: a host of ours, and two texts.
        unsafe { open(host.as_abi(), name.as_ptr(), label.as_ptr()) }
    }

    fn closed(counter: *mut abi::Counter) {
        // SAFETY: what `open` has returned.
        unsafe { close(counter) };
    }

    fn added(counter: *mut abi::Counter, n: u64) {
        // SAFETY: what `open` has returned.
        unsafe { add(counter, n) };
    }

    fn shown(host: &Host) -> Vec<(String, String, u64)> {
        let counters = host.counters.snapshot().into_iter();
        counters.map(|c| (c.name, c.label, c.value)).collect()
    }

    fn row(name: &str, label: &str, value: u64) -> (String, String, u64) {
        (name.to_owned(), label.to_owned(), value)
    }

    #[test]
    fn one_name_and_label_is_one_counter_until_the_last_holder_has_gone() {
        let host = Host::of(1, "counters one");
        let first = opened(host, c"blocked_flows", c"rule=b");
        let again = opened(host, c"blocked_flows", c"rule=b");
        let other = opened(host, c"blocked_flows", c"rule=a");
        let bytes = opened(host, c"a_bytes", c"");
        assert_eq!(first, again);
        added(first, 1);
        added(again, 2);
        added(other, u64::MAX);
        // SAFETY: as above.
        unsafe { set(bytes, 9) };
        let all = [
            row("a_bytes", "", 9),
            row("blocked_flows", "rule=a", u64::MAX),
            row("blocked_flows", "rule=b", 3),
        ];
        added(first, 5);
        added(first, 5_u64.wrapping_neg());
        assert_eq!(shown(host), all);
        closed(first);
        assert_eq!(shown(host), all, "it is held still");
        closed(again);
        closed(bytes);
        assert_eq!(shown(host), all[1..2]);
        assert_eq!(shown(Host::of(2, "counters one")), [], "another id");
        assert_eq!(shown(Host::of(1, "counters")), [], "another name");
    }

    #[test]
    fn what_is_used_after_its_end_does_no_harm() {
        let host = Host::of(1, "counters stale");
        let stale = opened(host, c"n_flows", c"");
        closed(stale);
        closed(stale);
        added(stale, 7);
        assert_eq!(shown(host), []);
        // The slot is another one's now, and begins at 0.
        assert_eq!(opened(host, c"m_flows", c""), stale);
        assert_eq!(shown(host), [row("m_flows", "", 0)]);
        for counter in [ptr::null_mut(), stale] {
            added(counter, 1);
            closed(counter);
        }
        // SAFETY: null is allowed.
        unsafe { set(ptr::null_mut(), 1) };
        assert_eq!(shown(host), []);
    }

    #[test]
    fn names_and_labels_are_held_to_the_header() {
        let host = Host::of(1, "counters names");
        let (long, label) = ([b'n'; 64], [b'l'; 256]);
        let text = |bytes: &[u8]| std::ffi::CString::new(bytes).unwrap();
        for (name, label) in [
            (text(b""), text(b"")),
            (text(b"Flows"), text(b"")),
            (text(b"blocked flows"), text(b"")),
            (text("fl\u{f6}we".as_bytes()), text(b"")),
            (text(&long), text(b"")),
            (text(b"n"), text(&label)),
            (text(b"n"), text(b"a\nb")),
            (text(b"n"), text(b"\xff")),
            (text(b"n"), text("\u{85}".as_bytes())),
        ] {
            let counter = opened(host, &name, &label);
            assert!(counter.is_null(), "{name:?} {label:?}");
        }
        // SAFETY: null is what is tested.
        let counter = unsafe { open(host.as_abi(), ptr::null(), c"".as_ptr()) };
        assert!(counter.is_null());
        // SAFETY: as above.
        let counter = unsafe { open(ptr::null(), c"n".as_ptr(), c"".as_ptr()) };
        assert!(counter.is_null());
        assert_eq!(shown(host), []);
        assert!(!opened(host, &text(&long[1..]), &text(&label[1..])).is_null());
        assert!(!opened(host, c"n_9", c"gr\u{fc}n").is_null());
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes there")]
    fn a_function_has_so_many_and_no_more() {
        let host = Host::of(1, "counters many");
        let numbered = |n: usize| {
            let label = std::ffi::CString::new(n.to_string()).unwrap();
            opened(host, c"client_flows", &label)
        };
        let counters: Vec<_> = (0..MAX_COUNTERS).map(numbered).collect();
        assert!(counters.iter().all(|counter| !counter.is_null()));
        assert!(numbered(MAX_COUNTERS).is_null());
        assert_eq!(numbered(0), counters[0], "known ones can be had");
        closed(counters[7]);
        assert_eq!(
            numbered(MAX_COUNTERS),
            counters[7],
            "its memory is used anew"
        );
    }

    #[test]
    fn threads_count_together() {
        // Miri takes its time.
        let times = if cfg!(miri) { 10 } else { 1000 };
        let host = Host::of(1, "counters threads");
        let kept = opened(host, c"n_flows", c"");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..times {
                        let counter = opened(host, c"n_flows", c"");
                        added(counter, 1);
                        closed(counter);
                        let label = if n % 2 == 0 { c"even" } else { c"odd" };
                        closed(opened(host, c"n_flows", label));
                    }
                });
            }
        });
        assert_eq!(shown(host), [row("n_flows", "", 4 * times)]);
        closed(kept);
    }
}
