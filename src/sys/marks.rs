//! What a process was at when it ended, for the parent that finds it dead: a few words in memory
//! that a fork shares instead of copying (mmap(2), `MAP_SHARED`).
#![allow(unsafe_code, reason = "mapping memory")]

use std::io;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The words; what the numbers mean is their users' business, but 0 is nothing.
#[derive(Debug, Default)]
pub struct Marks {
    /// Which call is being made.
    pub call: AtomicU32,
    /// How many have begun; wraps.
    pub calls: AtomicU32,
    /// What was touched that must not be.
    pub touched: AtomicU32,
}

impl Marks {
    /// A call begins.
    pub fn enter(&self, call: u32) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.call.store(call, Ordering::Relaxed);
    }

    /// It has returned.
    pub fn leave(&self) {
        self.call.store(0, Ordering::Relaxed);
    }

    /// As they were at first.
    pub fn clear(&self) {
        for mark in [&self.call, &self.calls, &self.touched] {
            mark.store(0, Ordering::Relaxed);
        }
    }
}

/// The marks of this process, its children and its parent: whoever asks first, before it forks,
/// makes them.
///
/// # Errors
/// When there is no memory left.
pub fn marks() -> io::Result<&'static Marks> {
    if let Some(marks) = MARKS.get() {
        return Ok(marks);
    }
    // SAFETY: a new mapping at an address of the kernel's choice (mmap(2)) touches no other.
    let mapped = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size_of::<Marks>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let marks = NonNull::new(mapped.cast::<Marks>()).ok_or(io::ErrorKind::OutOfMemory)?;
    // SAFETY: the mapping is zeroed, page-aligned, large enough, and never unmapped; atomic
    // integers may be shared between threads as between processes.
    let marks = unsafe { marks.as_ref() };
    // Two threads at once: one mapping is lost, which is a page.
    Ok(MARKS.get_or_init(|| marks))
}

/// The marks, if somebody has made them; safe in a signal handler.
pub(super) fn made() -> Option<&'static Marks> {
    MARKS.get().copied()
}

static MARKS: OnceLock<&Marks> = OnceLock::new();
