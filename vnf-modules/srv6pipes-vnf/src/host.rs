//! What the host does for a function: the log, wake-ups, counters. All of it may be kept, cloned
//! and used from every thread, also after the flow or the function it was made for is over.
#![allow(unsafe_code, reason = "the host's calls are C")]

use std::ffi::CString;
use std::fmt::Display;
use std::ptr;

use crate::abi;

/// The host; nowhere in a unit test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host(*const abi::Host);

// SAFETY: the header: the host's structure lives, unchanged, as long as the process.
unsafe impl Send for Host {}
// SAFETY: as above, and its calls are [thread-safe].
unsafe impl Sync for Host {}

impl Host {
    /// # Safety
    /// Null, or the structure a host hands to `func_init`.
    pub(crate) const unsafe fn new(host: *const abi::Host) -> Self {
        Self(host)
    }

    pub(crate) const fn nowhere() -> Self {
        Self(ptr::null())
    }

    fn table(self) -> Option<&'static abi::Host> {
        // SAFETY: null, or a structure of the host that lives as long as the process.
        unsafe { self.0.as_ref() }
    }
}

/// The host's log, under the function's name.
#[derive(Debug, Clone, Copy)]
pub struct Log(pub(crate) Host);

impl Log {
    /// The operator must act.
    pub fn error(&self, message: impl Display) {
        self.line(abi::LOG_ERROR, &message);
    }

    /// It works, but worse than it should.
    pub fn warn(&self, message: impl Display) {
        self.line(abi::LOG_WARN, &message);
    }

    /// Life cycle, one line each.
    pub fn info(&self, message: impl Display) {
        self.line(abi::LOG_INFO, &message);
    }

    /// Per flow.
    pub fn debug(&self, message: impl Display) {
        self.line(abi::LOG_DEBUG, &message);
    }

    fn line(&self, level: u32, message: &dyn Display) {
        let text = c_text(message);
        if let Some(log) = self.0.table().and_then(|host| host.log) {
            // SAFETY: the header: [thread-safe]; `text` ends with NUL and outlives the call.
            unsafe { log(self.0.0, level, text.as_ptr()) };
        }
    }
}

/// Wakes flows whose function waits, from any thread.
#[derive(Debug, Clone, Copy)]
pub struct Waker(pub(crate) Host);

impl Waker {
    /// Has [`Flow::process`](crate::Flow::process) called soon, in each direction that waits
    /// ([`Verdict::Wait`](crate::Verdict::Wait)), for the flow of this [`FlowInfo::id`](crate::FlowInfo::id).
    /// A flow that is over is not minded.
    pub fn wake(&self, flow: u64) {
        if let Some(wake) = self.0.table().and_then(|host| host.wake) {
            // SAFETY: the header: [thread-safe], and any number is allowed.
            unsafe { wake(self.0.0, flow) };
        }
    }
}

/// The function's own counters, as `srv6pipes status` shows them.
#[derive(Debug, Clone, Copy)]
pub struct Counters(pub(crate) Host);

impl Counters {
    /// The counter of this name and label; the same for all who open it in one `config function`,
    /// also across a reload. `name` is `a-z`, `0-9` and `_` and ends in its unit
    /// (`blocked_flows`); `label` tells counters of one name apart (`rule=ads`) or is empty.
    ///
    /// If the host has no more room, or does not like the name, what is counted goes nowhere.
    #[must_use]
    pub fn open(&self, name: &str, label: &str) -> Counter {
        let nowhere = Counter {
            counter: ptr::null_mut(),
            table: None,
        };
        let Some(extension) = self.0.table().and_then(|host| host.get_extension) else {
            return nowhere;
        };
        // SAFETY: the header: [thread-safe]; the name ends with NUL.
        let table = unsafe { extension(self.0.0, abi::COUNTERS.as_ptr()) };
        // SAFETY: null, or what the header says of this name, as long as the process lives.
        let Some(table) = (unsafe { table.cast::<abi::Counters>().as_ref() }) else {
            return nowhere;
        };
        let Some(open) = table.open else {
            return nowhere;
        };
        let (name, label) = (c_text(&name), c_text(&label));
        // SAFETY: the header: [thread-safe]; both texts end with NUL and outlive the call.
        let counter = unsafe { open(self.0.0, name.as_ptr(), label.as_ptr()) };
        Counter {
            counter,
            table: Some(table),
        }
    }
}

/// One counter; dropping it gives it back.
#[derive(Debug)]
pub struct Counter {
    counter: *mut abi::Counter,
    table: Option<&'static abi::Counters>,
}

// SAFETY: the header: the calls of a counter are [thread-safe].
unsafe impl Send for Counter {}
// SAFETY: as above.
unsafe impl Sync for Counter {}

impl Counter {
    /// Whether the host counts: it does not in a unit test, or when the function has too many.
    #[must_use]
    pub fn counts(&self) -> bool {
        !self.counter.is_null()
    }

    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        if let Some(add) = self.table.and_then(|table| table.add) {
            // SAFETY: null, or what `open` gave and nobody closed yet.
            unsafe { add(self.counter, n) };
        }
    }

    /// Takes `n` away again.
    pub fn take(&self, n: u64) {
        self.add(n.wrapping_neg());
    }

    /// Sets it to `n`.
    pub fn set(&self, n: u64) {
        if let Some(set) = self.table.and_then(|table| table.set) {
            // SAFETY: as in `add`.
            unsafe { set(self.counter, n) };
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if let Some(close) = self.table.and_then(|table| table.close) {
            // SAFETY: as in `add`, and nobody uses it any more.
            unsafe { close(self.counter) };
        }
    }
}

/// A text for C: what follows a NUL would not be seen, so there is none.
pub(crate) fn c_text(text: &dyn Display) -> CString {
    let mut bytes = text.to_string().into_bytes();
    bytes.retain(|byte| *byte != 0);
    CString::new(bytes).unwrap_or_default()
}
