//! The ABI as Rust sees it: `include/srv6pipes_vnf.h`, line by line, and nothing else.
//!
//! The header is the contract and says what everything means; `tests/module_abi.rs` of srv6pipes
//! compares the two, size by size and offset by offset.

use std::ffi::{CStr, c_char, c_int, c_void};

/// `SRV6PIPES_ABI_MAJOR`.
pub const ABI_MAJOR: u16 = 0;
/// `SRV6PIPES_ABI_MINOR`.
pub const ABI_MINOR: u16 = 2;

/// `SRV6PIPES_MIN_ROOM`, bytes.
pub const MIN_ROOM: usize = 4096;
/// `SRV6PIPES_MAX_WINDOW`, bytes.
pub const MAX_WINDOW: usize = 65536;

/// `SRV6PIPES_LOG_ERROR`.
pub const LOG_ERROR: u32 = 1;
/// `SRV6PIPES_LOG_WARN`.
pub const LOG_WARN: u32 = 2;
/// `SRV6PIPES_LOG_INFO`.
pub const LOG_INFO: u32 = 3;
/// `SRV6PIPES_LOG_DEBUG`.
pub const LOG_DEBUG: u32 = 4;
/// `SRV6PIPES_LOG_TRACE`.
pub const LOG_TRACE: u32 = 5;

/// `SRV6PIPES_UPSTREAM`.
pub const UPSTREAM: u32 = 0;
/// `SRV6PIPES_DOWNSTREAM`.
pub const DOWNSTREAM: u32 = 1;

/// `SRV6PIPES_END`.
pub const END: u32 = 1;

/// `SRV6PIPES_MORE`.
pub const MORE: u32 = 0;
/// `SRV6PIPES_FINISHED`.
pub const FINISHED: u32 = 1;
/// `SRV6PIPES_PASS`.
pub const PASS: u32 = 2;
/// `SRV6PIPES_CLOSE`.
pub const CLOSE: u32 = 3;
/// `SRV6PIPES_RESET`.
pub const RESET: u32 = 4;
/// `SRV6PIPES_ERROR`.
pub const ERROR: u32 = 5;
/// `SRV6PIPES_WAIT`.
pub const WAIT: u32 = 6;

/// `SRV6PIPES_ROUTE_ATTEMPTS`.
pub const ROUTE_ATTEMPTS: u32 = 8;
/// `SRV6PIPES_ROUTE_PATIENCE_MS`, milliseconds.
pub const ROUTE_PATIENCE_MS: u32 = 3000;

/// `SRV6PIPES_ROUTE_CONNECTED`.
pub const ROUTE_CONNECTED: u32 = 0;
/// `SRV6PIPES_ROUTE_FAILED`.
pub const ROUTE_FAILED: u32 = 1;
/// `SRV6PIPES_ROUTE_DROPPED`.
pub const ROUTE_DROPPED: u32 = 2;
/// `SRV6PIPES_ROUTE_ENDED`.
pub const ROUTE_ENDED: u32 = 3;

/// `SRV6PIPES_REPORT_LAST`.
pub const REPORT_LAST: u32 = 1;

/// `SRV6PIPES_CAP_PASS_AT_ONCE`.
pub const CAP_PASS_AT_ONCE: u64 = 1;
/// `SRV6PIPES_CAP_READS_FILES`.
pub const CAP_READS_FILES: u64 = 2;
/// `SRV6PIPES_CAP_SPEAKS_FIRST`.
pub const CAP_SPEAKS_FIRST: u64 = 4;
/// `SRV6PIPES_CAP_FAILS_CLOSED`.
pub const CAP_FAILS_CLOSED: u64 = 8;

/// `SRV6PIPES_COUNTERS`.
pub const COUNTERS: &CStr = c"srv6pipes.counters/1";

/// `struct srv6pipes_host`.
#[repr(C)]
#[derive(Debug)]
pub struct Host {
    /// Bytes, as the host knows the structure.
    pub struct_size: u32,
    /// One line for the log.
    pub log: Option<unsafe extern "C" fn(*const Host, u32, *const c_char)>,
    /// The extension of a name, or null.
    pub get_extension: Option<unsafe extern "C" fn(*const Host, *const c_char) -> *const c_void>,
    /// Has a waiting flow's function called.
    pub wake: Option<unsafe extern "C" fn(*const Host, u64)>,
}

/// `struct srv6pipes_counter`: opaque.
#[repr(C)]
#[derive(Debug)]
pub struct Counter {
    _opaque: [u8; 0],
}

/// `struct srv6pipes_counters`.
#[repr(C)]
#[derive(Debug)]
pub struct Counters {
    /// Bytes, as the host knows the structure.
    pub struct_size: u32,
    /// The counter of a name and a label, or null.
    pub open: Option<
        unsafe extern "C" fn(
            *const Host,
            name: *const c_char,
            label: *const c_char,
        ) -> *mut Counter,
    >,
    /// Adds.
    pub add: Option<unsafe extern "C" fn(*mut Counter, u64)>,
    /// Sets.
    pub set: Option<unsafe extern "C" fn(*mut Counter, u64)>,
    /// Gives it back.
    pub close: Option<unsafe extern "C" fn(*mut Counter)>,
}

/// `struct srv6pipes_option`.
#[repr(C)]
#[derive(Debug)]
pub struct ConfigOption {
    /// Never null.
    pub key: *const c_char,
    /// Never null.
    pub value: *const c_char,
}

/// `struct srv6pipes_setup`.
#[repr(C)]
#[derive(Debug)]
pub struct Setup {
    /// Bytes, as the host knows the structure.
    pub struct_size: u32,
    /// Of the host.
    pub abi_major: u16,
    /// Of the host.
    pub abi_minor: u16,
    /// For the log.
    pub host_version: *const c_char,
    /// In the order of the file.
    pub options: *const ConfigOption,
    /// How many.
    pub option_count: usize,
    /// Lives as long as the process.
    pub host: *const Host,
    /// Tells the operator what is wrong with an option, or with the section.
    pub complain:
        Option<unsafe extern "C" fn(*const Setup, *const ConfigOption, message: *const c_char)>,
    /// The section's `option id`.
    pub function_id: u16,
}

/// `struct srv6pipes_flow`.
#[repr(C)]
#[derive(Debug)]
pub struct Flow {
    /// Bytes, as the host knows the structure.
    pub struct_size: u32,
    /// The low 32 bits of the SID.
    pub argument: u32,
    /// IPv6, network order.
    pub client_address: [u8; 16],
    /// IPv6, network order.
    pub server_address: [u8; 16],
    /// Host order.
    pub client_port: u16,
    /// Host order.
    pub server_port: u16,
    /// For [`Host::wake`].
    pub id: u64,
    /// What the function's `func_route` chose.
    pub choice: u64,
}

/// `struct srv6pipes_route`.
#[repr(C)]
#[derive(Debug)]
pub struct Route {
    /// Bytes, as the host knows the structure.
    pub struct_size: u32,
    /// 0, then one more each time what was chosen did not answer.
    pub attempt: u32,
    /// In and out: IPv6, network order.
    pub server_address: [u8; 16],
    /// In and out, if there is one.
    pub next_segment: [u8; 16],
    /// In and out: host order.
    pub server_port: u16,
    /// 0: the server is next.
    pub has_next_segment: u16,
    /// Out: comes back in `func_routed`.
    pub choice: u64,
}

/// `struct srv6pipes_report`.
#[repr(C)]
#[derive(Debug)]
pub struct Report {
    /// Bytes, as the host knows the structure.
    pub struct_size: u32,
    /// [`REPORT_LAST`].
    pub flags: u32,
    /// Read from the client.
    pub upstream_in_bytes: u64,
    /// Written towards the server.
    pub upstream_out_bytes: u64,
    /// Read from the server's side.
    pub downstream_in_bytes: u64,
    /// Written to the client.
    pub downstream_out_bytes: u64,
    /// Since the client's connection was accepted.
    pub age_us: u64,
    /// Round trip of the client's handshake; 0: not known.
    pub client_rtt_us: u64,
    /// How long the next segment took to answer; 0: it has not.
    pub connect_us: u64,
    /// From accept to the first byte from the server; 0: none came.
    pub first_byte_us: u64,
}

/// `struct srv6pipes_result`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ProcessResult {
    /// Bytes taken from the front of the input.
    pub consumed: usize,
    /// Bytes written to the front of the output.
    pub produced: usize,
    /// [`MORE`] to [`WAIT`].
    pub verdict: u32,
    /// Milliseconds, with [`WAIT`]; 0 is no limit.
    pub wait_ms: u32,
}

/// `func_init`.
pub type FuncInit = unsafe extern "C" fn(*const Setup, *mut *mut c_void) -> c_int;
/// `func_spawn`.
pub type FuncSpawn = unsafe extern "C" fn(*mut c_void, *const Flow, *mut *mut c_void) -> c_int;
/// `func_process`.
pub type FuncProcess =
    unsafe extern "C" fn(*mut c_void, u32, *const u8, usize, *mut u8, usize, u32) -> ProcessResult;
/// `func_despawn`.
pub type FuncDespawn = unsafe extern "C" fn(*mut c_void);
/// `func_deinit`.
pub type FuncDeinit = unsafe extern "C" fn(*mut c_void);

/// `func_route`.
pub type FuncRoute = unsafe extern "C" fn(*mut c_void, *const Flow, *mut Route) -> c_int;
/// `func_routed`.
pub type FuncRouted = unsafe extern "C" fn(*mut c_void, choice: u64, event: u32);
/// `func_report`.
pub type FuncReport = unsafe extern "C" fn(*mut c_void, *const Report);

/// `struct srv6pipes_func`. A call is an `Option` because a module in C can leave it null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Func {
    /// [`ABI_MAJOR`].
    pub abi_major: u16,
    /// [`ABI_MINOR`].
    pub abi_minor: u16,
    /// Bytes; also the stride of the array.
    pub struct_size: u32,
    /// What `option name` says.
    pub name: *const c_char,
    /// One line for people.
    pub summary: *const c_char,
    /// Of the function.
    pub version: *const c_char,
    /// [`CAP_PASS_AT_ONCE`] to [`CAP_FAILS_CLOSED`].
    pub capabilities: u64,
    /// Once per configured function.
    pub func_init: Option<FuncInit>,
    /// Once per flow.
    pub func_spawn: Option<FuncSpawn>,
    /// The work.
    pub func_process: Option<FuncProcess>,
    /// The flow is over.
    pub func_despawn: Option<FuncDespawn>,
    /// The function is no longer configured.
    pub func_deinit: Option<FuncDeinit>,
    /// Where a flow goes. Optional.
    pub func_route: Option<FuncRoute>,
    /// What became of that. Optional.
    pub func_routed: Option<FuncRouted>,
    /// What a flow has moved. Optional.
    pub func_report: Option<FuncReport>,
}
