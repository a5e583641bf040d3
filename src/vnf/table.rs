//! Reads `all_funcs` of a module that may be wrong in every respect: bounded, and through the
//! kernel, so that a wild pointer is an error and not the end of the proxy.
//!
//! Every byte is first read by way of /proc/self/mem (proc_pid_mem(5)), where the kernel answers
//! EIO for an address that would kill us.
#![allow(unsafe_code, reason = "the pointers come from C")]

use std::error::Error;
use std::ffi::c_char;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use srv6pipes_vnf::abi;

/// Functions one module may offer.
pub const MAX_FUNCTIONS: usize = 64;
/// Bytes of the longest name or version.
const MAX_NAME: usize = 63;
/// Bytes of the longest summary.
const MAX_SUMMARY: usize = 255;
/// `abi_major`, `abi_minor`, `struct_size`.
const HEAD: usize = 8;
/// An entry larger than this is none.
const MAX_STRUCT: usize = 4096;

/// One function of a module, checked.
#[derive(Debug, Clone)]
pub struct Description {
    /// What `option name` says.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Of the function.
    pub version: String,
    /// As the module has it; unknown bits included.
    pub capabilities: u64,
    /// The minor version of the ABI the module was built for.
    pub abi_minor: u16,
    pub(super) calls: Calls,
}

impl Description {
    /// Of the calls that a function need not have, those it has.
    pub fn optional_calls(&self) -> Vec<&'static str> {
        let Calls {
            route,
            routed,
            report,
            ..
        } = &self.calls;
        let calls = [
            ("func_route", route.is_some()),
            ("func_routed", routed.is_some()),
            ("func_report", report.is_some()),
        ];
        let there = calls.into_iter().filter(|(_, there)| *there);
        there.map(|(name, _)| name).collect()
    }
}

/// The calls; they stay callable as long as the process lives, for modules are never unloaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls {
    pub init: abi::FuncInit,
    pub spawn: abi::FuncSpawn,
    pub process: abi::FuncProcess,
    pub despawn: abi::FuncDespawn,
    pub deinit: abi::FuncDeinit,
    /// Optional, as those below.
    pub route: Option<abi::FuncRoute>,
    /// There if `route` is.
    pub routed: Option<abi::FuncRouted>,
    pub report: Option<abi::FuncReport>,
}

/// What is wrong with a module's table; entries count from 1.
#[derive(Debug)]
pub enum TableError {
    /// /proc/self/mem cannot be opened.
    Memory(io::Error),
    /// The table runs out of the module's memory: its last entry is missing.
    Unreadable(usize),
    /// No entry but the last.
    Empty,
    /// More than [`MAX_FUNCTIONS`], or no last entry.
    TooMany,
    /// The entry is for another version of the ABI: major, which must be ours, and minor.
    Version(usize, u16, u16),
    /// The entry's `struct_size` is too small for its version, unlike the first one's or absurd.
    StructSize(usize, u32),
    /// A text of the entry.
    Text(usize, &'static str, TextFault),
    /// The named function lacks a call.
    NullCall(String, &'static str),
    /// The named function has `func_route`, but not `func_routed`.
    NoRouted(String),
    /// Two functions of one name.
    Duplicate(String),
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFault {
    /// The pointer is NULL.
    Null,
    /// The pointer leads out of memory.
    Unreadable,
    /// There is no NUL within so many bytes.
    TooLong(usize),
    /// A name of no bytes.
    Empty,
    /// Not UTF-8, or with control characters.
    NotText,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(error) => write!(f, "open /proc/self/mem: {error}"),
            Self::Unreadable(n) => write!(
                f,
                "all_funcs runs out of memory at entry {n}: its last entry must be all zero"
            ),
            Self::Empty => f.write_str("all_funcs offers no function"),
            Self::TooMany => write!(
                f,
                "all_funcs has more than {MAX_FUNCTIONS} entries: its last entry must be all zero"
            ),
            Self::Version(n, major, minor) => write!(
                f,
                "entry {n} of all_funcs is for ABI {major}.{minor}, this is srv6pipes with ABI {}.{}: build the module anew",
                abi::ABI_MAJOR,
                abi::ABI_MINOR
            ),
            Self::StructSize(n, size) => write!(
                f,
                "entry {n} of all_funcs has struct_size {size}: at least {} are needed, the same in all entries",
                size_of::<abi::Func>()
            ),
            Self::Text(n, field, fault) => write!(f, "entry {n} of all_funcs: {field} {fault}"),
            Self::NullCall(name, call) => write!(f, "function '{name}': {call} is NULL"),
            Self::NoRouted(name) => write!(
                f,
                "function '{name}': func_routed is NULL, but func_route is not: whoever routes must hear what became of it"
            ),
            Self::Duplicate(name) => write!(f, "two functions are called '{name}'"),
        }
    }
}

// No source(): Display says it all, and a chain would print it twice.
impl Error for TableError {}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("is NULL"),
            Self::Unreadable => f.write_str("points out of memory"),
            Self::TooLong(max) => write!(f, "has no NUL within {max} bytes"),
            Self::Empty => f.write_str("is empty"),
            Self::NotText => f.write_str("is not UTF-8 text without control characters"),
        }
    }
}

/// Reads the table that starts at an address.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn read(start: *const abi::Func) -> Result<Vec<Description>, TableError> {
    let memory = Memory::open().map_err(TableError::Memory)?;
    let mut functions: Vec<Description> = Vec::new();
    let mut stride = None;
    for n in 1..=MAX_FUNCTIONS + 1 {
        let at = start.wrapping_byte_add((n - 1) * stride.unwrap_or(0));
        let mut head = [0; HEAD];
        memory
            .exactly(at.addr(), &mut head)
            .map_err(|_| TableError::Unreadable(n))?;
        if head == [0; HEAD] {
            return if functions.is_empty() {
                Err(TableError::Empty)
            } else {
                Ok(functions)
            };
        }
        if n > MAX_FUNCTIONS {
            break;
        }
        stride = Some(struct_size(n, head, stride)?);
        let function = describe(&memory, n, at)?;
        if functions.iter().any(|other| other.name == function.name) {
            return Err(TableError::Duplicate(function.name));
        }
        functions.push(function);
    }
    Err(TableError::TooMany)
}

/// The size of an entry that is of our ABI, bytes.
fn struct_size(n: usize, head: [u8; HEAD], stride: Option<usize>) -> Result<usize, TableError> {
    let [m0, m1, n0, n1, size @ ..] = head;
    let (major, minor) = (u16::from_ne_bytes([m0, m1]), u16::from_ne_bytes([n0, n1]));
    if major != abi::ABI_MAJOR {
        return Err(TableError::Version(n, major, minor));
    }
    let size = u32::from_ne_bytes(size);
    match usize::try_from(size) {
        Ok(bytes)
            if (size_of::<abi::Func>()..=MAX_STRUCT).contains(&bytes)
                && stride.is_none_or(|stride| stride == bytes) =>
        {
            Ok(bytes)
        }
        _ => Err(TableError::StructSize(n, size)),
    }
}

fn describe(memory: &Memory, n: usize, at: *const abi::Func) -> Result<Description, TableError> {
    memory
        .exactly(at.addr(), &mut [0; size_of::<abi::Func>()])
        .map_err(|_| TableError::Unreadable(n))?;
    // SAFETY: the kernel has just read these bytes for us, the module's image stays mapped, and
    // every bit pattern is a valid `Func`: integers, raw pointers, and calls that may be null.
    let entry = unsafe { at.read_unaligned() };
    let text = |field, start, max| {
        memory
            .text(start, max)
            .map_err(|fault| TableError::Text(n, field, fault))
    };
    let name = text("name", entry.name, MAX_NAME)?;
    if name.is_empty() {
        return Err(TableError::Text(n, "name", TextFault::Empty));
    }
    let lacks = |call| TableError::NullCall(name.clone(), call);
    let calls = Calls {
        init: entry.func_init.ok_or_else(|| lacks("func_init"))?,
        spawn: entry.func_spawn.ok_or_else(|| lacks("func_spawn"))?,
        process: entry.func_process.ok_or_else(|| lacks("func_process"))?,
        despawn: entry.func_despawn.ok_or_else(|| lacks("func_despawn"))?,
        deinit: entry.func_deinit.ok_or_else(|| lacks("func_deinit"))?,
        route: entry.func_route,
        routed: entry.func_routed,
        report: entry.func_report,
    };
    if calls.route.is_some() && calls.routed.is_none() {
        return Err(TableError::NoRouted(name));
    }
    Ok(Description {
        summary: text("summary", entry.summary, MAX_SUMMARY)?,
        version: text("version", entry.version, MAX_NAME)?,
        name,
        capabilities: entry.capabilities,
        abi_minor: entry.abi_minor,
        calls,
    })
}

/// Our own memory, read by the kernel.
struct Memory(File);

impl Memory {
    fn open() -> io::Result<Self> {
        File::open("/proc/self/mem").map(Self)
    }

    fn exactly(&self, address: usize, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(bytes, address as u64)
    }

    /// The text at an address, without its NUL.
    fn text(&self, start: *const c_char, max: usize) -> Result<String, TextFault> {
        if start.is_null() {
            return Err(TextFault::Null);
        }
        let mut bytes = vec![0; max + 1];
        // What lies behind the NUL may be unreadable: the kernel then reads less, which is fine.
        let read = self
            .0
            .read_at(&mut bytes, start.addr() as u64)
            .map_err(|_| TextFault::Unreadable)?;
        bytes.truncate(read);
        let Some(len) = bytes.iter().position(|&byte| byte == 0) else {
            return Err(if read > max {
                TextFault::TooLong(max)
            } else {
                TextFault::Unreadable
            });
        };
        bytes.truncate(len);
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => Ok(text),
            _ => Err(TextFault::NotText),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn a_table_out_of_memory_is_an_error() {
        for address in [0, 16, usize::MAX - 3] {
            let table = read(ptr::without_provenance(address));
            assert!(
                matches!(table, Err(TableError::Unreadable(1))),
                "{address}: {table:?}"
            );
        }
    }

    #[test]
    fn a_text_ends_where_its_nul_is() {
        let memory = Memory::open().unwrap();
        assert_eq!(memory.text(c"four".as_ptr(), 4), Ok("four".to_owned()));
        assert_eq!(memory.text(c"four".as_ptr(), 3), Err(TextFault::TooLong(3)));
        assert_eq!(memory.text(ptr::null(), 3), Err(TextFault::Null));
        assert_eq!(
            memory.text(ptr::without_provenance(1), 3),
            Err(TextFault::Unreadable)
        );
    }
}
