//! The glue between the calls of C and the traits: the one file of a module with `unsafe` in it.
//!
//! Every call checks its pointers, catches panics (nothing may unwind into the host) and turns
//! boxes into pointers and back. Read `include/srv6pipes_vnf.h` first: SAFETY comments quote it.
#![allow(
    unsafe_code,
    reason = "a C caller is on the other side of every function here"
)]

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt::{self, Display};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Once;

use crate::abi;
use crate::module::{Direction, Flow, FlowInfo, Function, Reason, Setup, Verdict};

/// What calls of C answer when all is well.
const OK: c_int = 0;
/// The function refused.
const REFUSED: c_int = 1;
/// The function panicked.
const PANICKED: c_int = 2;
/// The host broke the contract.
const BAD_CALL: c_int = 3;

// SAFETY: the pointers lead to constants of the module's image, which no one writes.
unsafe impl Sync for abi::Func {}

/// The host's log, under the function's name.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    host: *const abi::Host,
}

// SAFETY: the header: the host's structure lives, unchanged, as long as the process.
unsafe impl Send for Log {}
// SAFETY: as above, and its calls are [thread-safe].
unsafe impl Sync for Log {}

impl Log {
    pub(crate) const fn nowhere() -> Self {
        Self { host: ptr::null() }
    }

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
        let mut text = message.to_string();
        text.retain(|c| c != '\0');
        let Ok(text) = CString::new(text) else { return };
        // SAFETY: null, or a structure of the host that lives as long as the process.
        let Some(host) = (unsafe { self.host.as_ref() }) else {
            return;
        };
        if let Some(log) = host.log {
            // SAFETY: the header: [thread-safe]; `text` ends with NUL and outlives the call.
            unsafe { log(self.host, level, text.as_ptr()) };
        }
    }
}

/// What `function_state` points to.
struct FunctionState<F> {
    function: F,
    log: Log,
}

/// What `flow_state` points to.
struct FlowState<S> {
    flow: S,
    log: Log,
}

/// The entry of `all_funcs` for a function; `export_functions!` is the one to call it.
#[must_use]
pub const fn describe<F: Function>() -> abi::Func {
    abi::Func {
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        struct_size: STRUCT_SIZE,
        name: F::NAME.as_ptr(),
        summary: F::SUMMARY.as_ptr(),
        version: F::VERSION.as_ptr(),
        capabilities: if F::PASS_AT_ONCE {
            abi::CAP_PASS_AT_ONCE
        } else {
            0
        },
        func_init: Some(init::<F>),
        func_spawn: Some(spawn::<F>),
        func_process: Some(process::<F::Flow>),
        func_despawn: Some(despawn::<F::Flow>),
        func_deinit: Some(deinit::<F>),
    }
}

/// The entry that ends `all_funcs`.
#[must_use]
pub const fn last() -> abi::Func {
    abi::Func {
        abi_major: 0,
        abi_minor: 0,
        struct_size: 0,
        name: ptr::null(),
        summary: ptr::null(),
        version: ptr::null(),
        capabilities: 0,
        func_init: None,
        func_spawn: None,
        func_process: None,
        func_despawn: None,
        func_deinit: None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a constant below 100")]
const STRUCT_SIZE: u32 = size_of::<abi::Func>() as u32;

unsafe extern "C" fn init<F: Function>(
    setup: *const abi::Setup,
    function_state: *mut *mut c_void,
) -> c_int {
    // SAFETY: null, or the host's structure, valid until this call returns.
    let Some(setup) = (unsafe { setup.as_ref() }) else {
        return BAD_CALL;
    };
    let log = Log { host: setup.host };
    hush_panics();
    let made = guarded(|| {
        let options = options(setup).ok_or_else(|| "an option is not UTF-8".to_owned())?;
        F::init(&Setup { options, log }).map_err(text_of)
    });
    match made {
        Err(panicked) => {
            log.error(panicked);
            PANICKED
        }
        Ok(Err(reason)) => {
            log.error(reason);
            REFUSED
        }
        // SAFETY: the host hands a pointer that may be written, and frees through `deinit`.
        Ok(Ok(function)) => unsafe { hand_out(FunctionState { function, log }, function_state) },
    }
}

unsafe extern "C" fn spawn<F: Function>(
    function_state: *mut c_void,
    flow: *const abi::Flow,
    flow_state: *mut *mut c_void,
) -> c_int {
    // SAFETY: null, or what `init::<F>` handed out; shared by threads, so only ever `&`.
    let Some(state) = (unsafe { function_state.cast::<FunctionState<F>>().as_ref() }) else {
        return BAD_CALL;
    };
    // SAFETY: null, or the host's structure, valid until this call returns.
    let Some(flow) = (unsafe { flow.as_ref() }) else {
        return BAD_CALL;
    };
    let info = FlowInfo {
        argument: flow.argument,
        client: SocketAddrV6::new(Ipv6Addr::from(flow.client_address), flow.client_port, 0, 0),
        server: SocketAddrV6::new(Ipv6Addr::from(flow.server_address), flow.server_port, 0, 0),
    };
    let log = state.log;
    match guarded(|| state.function.spawn(&info).map_err(text_of)) {
        Err(panicked) => {
            log.debug(panicked);
            PANICKED
        }
        Ok(Err(reason)) => {
            log.debug(reason);
            REFUSED
        }
        // SAFETY: the host hands a pointer that may be written, and frees through `despawn`.
        Ok(Ok(flow)) => unsafe { hand_out(FlowState { flow, log }, flow_state) },
    }
}

unsafe extern "C" fn process<S: Flow>(
    flow_state: *mut c_void,
    direction: u32,
    input: *const u8,
    in_len: usize,
    output: *mut u8,
    out_cap: usize,
    flags: u32,
) -> abi::ProcessResult {
    const FAILED: abi::ProcessResult = abi::ProcessResult {
        consumed: 0,
        produced: 0,
        verdict: abi::ERROR,
    };
    // SAFETY: null, or what `spawn` handed out; calls for one flow never overlap.
    let Some(state) = (unsafe { flow_state.cast::<FlowState<S>>().as_mut() }) else {
        return FAILED;
    };
    let direction = match direction {
        abi::UPSTREAM => Direction::Upstream,
        abi::DOWNSTREAM => Direction::Downstream,
        _ => return FAILED,
    };
    let input: &[u8] = match (input.is_null(), in_len) {
        (_, 0) => &[],
        (true, _) => return FAILED,
        // SAFETY: the host: `in_len` bytes to read until this call returns, apart from `out`.
        (false, _) => unsafe { std::slice::from_raw_parts(input, in_len) },
    };
    let output: &mut [u8] = match (output.is_null(), out_cap) {
        (_, 0) => &mut [],
        (true, _) => return FAILED,
        // SAFETY: the host: `out_cap` bytes of its own to write until this call returns.
        (false, _) => unsafe { std::slice::from_raw_parts_mut(output, out_cap) },
    };
    let end = flags & abi::END != 0;
    let log = state.log;
    let flow = &mut state.flow;
    match guarded(|| flow.process(direction, input, output, end).map_err(text_of)) {
        Err(panicked) => {
            log.debug(panicked);
            FAILED
        }
        Ok(Err(reason)) => {
            log.debug(reason);
            FAILED
        }
        Ok(Ok(progress)) => abi::ProcessResult {
            consumed: progress.consumed,
            produced: progress.produced,
            verdict: match progress.verdict {
                Verdict::More => abi::MORE,
                Verdict::Finished => abi::FINISHED,
                Verdict::Pass => abi::PASS,
                Verdict::Close => abi::CLOSE,
                Verdict::Reset => abi::RESET,
            },
        },
    }
}

unsafe extern "C" fn despawn<S: Flow>(flow_state: *mut c_void) {
    if !flow_state.is_null() {
        // SAFETY: the host hands back what `spawn` handed out, once.
        let state = unsafe { Box::from_raw(flow_state.cast::<FlowState<S>>()) };
        let log = state.log;
        if let Err(panicked) = guarded(|| drop(state)) {
            log.debug(panicked);
        }
    }
}

unsafe extern "C" fn deinit<F: Function>(function_state: *mut c_void) {
    if !function_state.is_null() {
        // SAFETY: the host hands back what `init` handed out, once, after the last flow.
        let state = unsafe { Box::from_raw(function_state.cast::<FunctionState<F>>()) };
        let log = state.log;
        if let Err(panicked) = guarded(|| drop(state)) {
            log.error(panicked);
        }
    }
}

/// Where and why a function panicked.
struct Panicked(String);

impl Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

thread_local! {
    /// Whether this thread runs a function now.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// What the hook was told of the last panic.
    static LAST_PANIC: Cell<String> = const { Cell::new(String::new()) };
}

/// Lets panics of functions go to the host's log alone: the usual hook would write some lines to
/// standard error for each flow that a client makes panic. Other panics are not concerned.
fn hush_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if INSIDE.get() {
                LAST_PANIC.set(info.to_string());
            } else {
                usual(info);
            }
        }));
    });
}

/// Runs `work`, and never unwinds.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    INSIDE.set(true);
    // What `work` leaves half done is not used again: after a refused init or spawn there is no
    // state, and after ERROR the host calls nothing but `func_despawn`.
    let done = catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let panicked = Panicked(LAST_PANIC.take());
        // What a panic carries may panic in turn when dropped, and only what that carries is
        // leaked: a client that makes a function panic must not cost memory each time.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(payload);
        }
        panicked
    });
    INSIDE.set(false);
    done
}

/// A reason as text, made where a panic of its author's code is caught.
#[expect(
    clippy::needless_pass_by_value,
    reason = "its Drop is its author's code too"
)]
fn text_of(reason: Reason) -> String {
    reason.to_string()
}

/// Boxes `state` and gives the pointer to the host.
///
/// # Safety
/// `place` is null or may be written.
unsafe fn hand_out<T>(state: T, place: *mut *mut c_void) -> c_int {
    if place.is_null() {
        return BAD_CALL;
    }
    // SAFETY: not null, and the caller promises the rest.
    unsafe { place.write(Box::into_raw(Box::new(state)).cast()) };
    OK
}

/// The options as texts; nothing if one is not UTF-8, which the host rules out.
fn options(setup: &abi::Setup) -> Option<Vec<(&str, &str)>> {
    if setup.options.is_null() || setup.option_count == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the host: an array of `option_count`, valid as long as `setup`.
    let options = unsafe { std::slice::from_raw_parts(setup.options, setup.option_count) };
    options
        .iter()
        .map(|option| Some((text(setup, option.key)?, text(setup, option.value)?)))
        .collect()
}

/// A text of the host that lives as long as `setup`, the structure that leads to it.
fn text(_setup: &abi::Setup, start: *const c_char) -> Option<&str> {
    if start.is_null() {
        return None;
    }
    // SAFETY: the host: ends with NUL and is valid until `func_init` returns, as `setup` is.
    unsafe { CStr::from_ptr(start) }.to_str().ok()
}
