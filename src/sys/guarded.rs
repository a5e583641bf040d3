//! Buffers that end where memory ends: a byte too far, and the kernel stops whoever touches it
//! (mmap(2), mprotect(2)). What was touched then stands in [`Marks::touched`].
//!
//! ```text
//!  unreadable page │ pages: bytes at one end of them │ unreadable page
//! ```
#![allow(unsafe_code, reason = "mapping memory, and a signal handler")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{c_int, c_void};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{SysconfVar, sysconf};

use crate::sys::marks::{self, Marks};

/// [`Marks::touched`]: the unreadable page before or behind an [`Input`].
pub const BESIDE_INPUT: u32 = 1;
/// [`Marks::touched`]: an [`Input`] itself, which can only be read.
pub const INPUT: u32 = 2;
/// [`Marks::touched`]: the unreadable page before or behind an [`Output`].
pub const BESIDE_OUTPUT: u32 = 3;

/// Which end of the buffer lies against the unreadable page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Its first byte: what touches the byte before is stopped.
    Front,
    /// Its last byte: what touches the byte behind is stopped.
    Back,
}

/// Pages between two unreadable ones.
#[derive(Debug)]
struct Pages {
    /// The first unreadable page.
    start: NonNull<u8>,
    /// Bytes of one page, and of all pages between the two.
    page: usize,
    length: usize,
    /// Its place in [`WATCHED`].
    watched: Option<usize>,
}

// SAFETY: owns its mapping, as a Vec does.
unsafe impl Send for Pages {}

impl Pages {
    /// Pages for so many bytes, not yet readable themselves.
    fn new(capacity: usize, beside: u32, inside: u32) -> io::Result<Self> {
        let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|size| usize::try_from(size).ok());
        let page = page.ok_or(io::ErrorKind::Unsupported)?;
        let length = capacity.max(1).next_multiple_of(page);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let all = length + 2 * page;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other.
        let start = unsafe { libc::mmap(ptr::null_mut(), all, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            start,
            page,
            length,
            watched: watch(start.as_ptr().addr(), page, length, beside, inside),
        })
    }

    /// The first byte between the two.
    fn inside(&self) -> *mut u8 {
        self.start.as_ptr().wrapping_add(self.page)
    }

    /// Where `length` bytes begin that lie at an end of the pages.
    fn place(&self, length: usize, edge: Edge) -> *mut u8 {
        assert!(length <= self.length, "the buffer was made smaller");
        match edge {
            Edge::Front => self.inside(),
            Edge::Back => self.inside().wrapping_add(self.length - length),
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(place) = self.watched {
            WATCHED[place].start.store(0, Ordering::Release);
        }
        // SAFETY: what `new` mapped; slices of it borrow the buffer, so none is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length + 2 * self.page) };
    }
}

/// Bytes that can be read, but not written, nor those beside them be read.
#[derive(Debug)]
pub struct Input {
    pages: Pages,
    /// The same memory, to be written through.
    file: File,
}

impl Input {
    /// A buffer for at most so many bytes.
    ///
    /// # Errors
    /// When the kernel has no memory for us.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let pages = Pages::new(capacity, BESIDE_INPUT, INPUT)?;
        let file = File::from(memfd_create(c"input", MFdFlags::MFD_CLOEXEC)?);
        file.set_len(u64::try_from(pages.length).unwrap_or(u64::MAX))?;
        // SAFETY: takes the place of pages that are ours, and that nobody has a slice of yet.
        let mapped = unsafe {
            libc::mmap(
                pages.inside().cast(),
                pages.length,
                libc::PROT_READ,
                libc::MAP_SHARED | libc::MAP_FIXED,
                file.as_raw_fd(),
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { pages, file })
    }

    /// Puts these bytes at an end of it; they stay until the next are put.
    ///
    /// # Errors
    /// When the kernel has no memory for us.
    pub fn put(&mut self, bytes: &[u8], edge: Edge) -> io::Result<&[u8]> {
        let place = self.pages.place(bytes.len(), edge);
        let offset = place.addr() - self.pages.inside().addr();
        self.file.write_all_at(bytes, offset as u64)?;
        // SAFETY: so many bytes of the mapping begin there (`place`); they change only by this
        // method, which needs us back first.
        Ok(unsafe { std::slice::from_raw_parts(place, bytes.len()) })
    }
}

/// Room that can be written, but not what lies beside it.
#[derive(Debug)]
pub struct Output {
    pages: Pages,
}

impl Output {
    /// Room for at most so many bytes.
    ///
    /// # Errors
    /// When the kernel has no memory for us.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let pages = Pages::new(capacity, BESIDE_OUTPUT, 0)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: pages that are ours, and that nobody has a slice of yet.
        let opened = unsafe { libc::mprotect(pages.inside().cast(), pages.length, access) };
        if opened != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { pages })
    }

    /// Room for so many bytes at an end of it.
    pub fn room(&mut self, length: usize, edge: Edge) -> &mut [u8] {
        let place = self.pages.place(length, edge);
        // SAFETY: so many bytes of the mapping begin there (`place`), zeroed at first; `&mut self`
        // keeps everybody else away.
        unsafe { std::slice::from_raw_parts_mut(place, length) }
    }
}

/// An area whose touching is told; `start` is 0 where there is none.
struct Watched {
    start: AtomicUsize,
    page: AtomicUsize,
    length: AtomicUsize,
    beside: AtomicUsize,
    inside: AtomicUsize,
}

/// For as many buffers as are in use at once; those beyond are guarded, but not told of.
static WATCHED: [Watched; 16] = [const {
    Watched {
        start: AtomicUsize::new(0),
        page: AtomicUsize::new(0),
        length: AtomicUsize::new(0),
        beside: AtomicUsize::new(0),
        inside: AtomicUsize::new(0),
    }
}; 16];

fn watch(start: usize, page: usize, length: usize, beside: u32, inside: u32) -> Option<usize> {
    /// `start` of an entry that is being written.
    const TAKEN: usize = 1;
    let order = (Ordering::Acquire, Ordering::Relaxed);
    let free = |entry: &Watched| entry.start.compare_exchange(0, TAKEN, order.0, order.1);
    let place = WATCHED.iter().position(|entry| free(entry).is_ok())?;
    let entry = &WATCHED[place];
    entry.page.store(page, Ordering::Relaxed);
    entry.length.store(length, Ordering::Relaxed);
    entry.beside.store(beside as usize, Ordering::Relaxed);
    entry.inside.store(inside as usize, Ordering::Relaxed);
    entry.start.store(start, Ordering::Release);
    Some(place)
}

impl Watched {
    /// What an address is to this area; 0 if nothing.
    fn meaning(&self, address: usize) -> usize {
        let start = self.start.load(Ordering::Acquire);
        let page = self.page.load(Ordering::Relaxed);
        let length = self.length.load(Ordering::Relaxed);
        match address.checked_sub(start) {
            Some(offset) if start > 1 && offset < length + 2 * page => {
                if (page..page + length).contains(&offset) {
                    self.inside.load(Ordering::Relaxed)
                } else {
                    self.beside.load(Ordering::Relaxed)
                }
            }
            _ => 0,
        }
    }
}

/// From now on a touch of what is guarded stands in the [`Marks`] when the process dies of it.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub fn tell() -> io::Result<&'static Marks> {
    let marks = marks::marks()?;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: all bits zero is a valid sigaction: no handler, an empty mask, no flags.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = touched as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the structure outlives the call, and `touched` does only what a handler may
        // (signal-safety(7)).
        if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(marks)
}

/// Notes what was touched, and lets the same instruction die of it as it would have.
extern "C" fn touched(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel hands a handler a valid structure (sigaction(2), SA_SIGINFO).
    let info = unsafe { &*info };
    // SAFETY: for these two signals that field is an address.
    let address = unsafe { info.si_addr() }.addr();
    let meaning = WATCHED.iter().map(|entry| entry.meaning(address));
    if let (Some(meaning), Some(marks)) = (meaning.max().filter(|&m| m > 0), marks::made()) {
        let meaning = u32::try_from(meaning).unwrap_or_default();
        marks.touched.store(meaning, Ordering::Relaxed);
    }
    // SAFETY: signal(2) is safe in a handler; the default for both is to end the process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    fn meaning(address: usize) -> u32 {
        let meanings = WATCHED.iter().map(|entry| entry.meaning(address));
        u32::try_from(meanings.max().unwrap()).unwrap()
    }

    #[test]
    fn bytes_lie_at_the_end_that_was_asked_for() {
        let mut input = Input::new(5000).unwrap();
        for edge in [Edge::Front, Edge::Back] {
            let bytes = input.put(b"hello", edge).unwrap();
            assert_eq!(bytes, b"hello");
            let Range { start, end } = bytes.as_ptr_range();
            let (beside, other) = match edge {
                Edge::Front => (start.addr() - 1, end.addr()),
                Edge::Back => (end.addr(), start.addr() - 1),
            };
            assert_eq!(meaning(beside), BESIDE_INPUT, "{edge:?}");
            assert_eq!(meaning(other), INPUT, "{edge:?}");
        }
        assert_eq!(input.put(b"", Edge::Back).unwrap(), b"");
        let gone = input.put(b"", Edge::Front).unwrap().as_ptr().addr();
        drop(input);
        assert_eq!(meaning(gone), 0);

        let mut output = Output::new(1).unwrap();
        let room = output.room(1, Edge::Back);
        room[0] = 7;
        let address = room.as_ptr().addr();
        assert_eq!((meaning(address), meaning(address + 1)), (0, BESIDE_OUTPUT));
        let all = output.pages.length;
        assert_eq!(output.room(all, Edge::Front).last(), Some(&7));
    }
}
