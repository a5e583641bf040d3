//! The glue between the calls of C and the traits: the one file of a module with `unsafe` in it.
//!
//! Every call checks its pointers, catches panics (nothing may unwind into the host) and turns
//! boxes into pointers and back. Read `include/srv6pipes_vnf.h` first: SAFETY comments quote it.
#![allow(
    unsafe_code,
    reason = "a C caller is on the other side of every function here"
)]

mod flow;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::ptr;

use crate::abi;
use crate::host::{Host, Log, c_text};
use crate::module::{Flow, FlowInfo, Function, Route, Routed};
use crate::panics::{guarded, hush, text_of};
use crate::setup::{Complaint, Setup};
use crate::shim::flow::{FlowState, despawn, process, report};

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

/// What `function_state` points to.
struct FunctionState<F> {
    function: F,
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
        capabilities: capability(F::PASS_AT_ONCE, abi::CAP_PASS_AT_ONCE)
            | capability(F::READS_FILES, abi::CAP_READS_FILES)
            | capability(F::SPEAKS_FIRST, abi::CAP_SPEAKS_FIRST)
            | capability(F::FAILS_CLOSED, abi::CAP_FAILS_CLOSED),
        func_init: Some(init::<F>),
        func_spawn: Some(spawn::<F>),
        func_process: Some(process::<F::Flow>),
        func_despawn: Some(despawn::<F::Flow>),
        func_deinit: Some(deinit::<F>),
        func_route: if F::ROUTES { Some(route::<F>) } else { None },
        func_routed: if F::ROUTES { Some(routed::<F>) } else { None },
        func_report: if F::Flow::REPORTS {
            Some(report::<F::Flow>)
        } else {
            None
        },
    }
}

const fn capability(has: bool, bit: u64) -> u64 {
    if has { bit } else { 0 }
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
        func_route: None,
        func_routed: None,
        func_report: None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a constant below 100")]
const STRUCT_SIZE: u32 = size_of::<abi::Func>() as u32;

unsafe extern "C" fn init<F: Function>(
    of_host: *const abi::Setup,
    function_state: *mut *mut c_void,
) -> c_int {
    // SAFETY: null, or the host's structure, valid until this call returns.
    let Some(setup) = (unsafe { of_host.as_ref() }) else {
        return BAD_CALL;
    };
    // SAFETY: null, or the host's structure, which lives as long as the process.
    let host = unsafe { Host::new(setup.host) };
    let log = Log(host);
    hush();
    let made = guarded(|| {
        let Some(options) = options(setup) else {
            return Err(vec![Complaint {
                option: None,
                text: "an option is not UTF-8".to_owned(),
            }]);
        };
        Setup::new(options, host, setup.function_id).make::<F>()
    });
    match made {
        Err(panicked) => {
            log.error(panicked);
            PANICKED
        }
        Ok(Err(complaints)) => {
            for complaint in complaints {
                complain(of_host, setup, log, &complaint);
            }
            REFUSED
        }
        // SAFETY: the host hands a pointer that may be written, and frees through `deinit`.
        Ok(Ok(function)) => unsafe { hand_out(FunctionState { function, log }, function_state) },
    }
}

/// Tells the operator. The host gets the pointer it gave, `of_host`, and not one of `setup`, which
/// would lead to the structure we know and no further: the host's may be longer.
fn complain(of_host: *const abi::Setup, setup: &abi::Setup, log: Log, complaint: &Complaint) {
    let Some(complain) = setup.complain else {
        return log.error(complaint);
    };
    let option = match complaint.option {
        Some(index) if index < setup.option_count => setup.options.wrapping_add(index),
        _ => ptr::null(),
    };
    let text = c_text(complaint);
    // SAFETY: the header: during func_init, with one of its options or NULL, and a text.
    unsafe { complain(of_host, option, text.as_ptr()) };
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
    let info = flow_info(flow);
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

unsafe extern "C" fn route<F: Function>(
    function_state: *mut c_void,
    flow: *const abi::Flow,
    route: *mut abi::Route,
) -> c_int {
    // SAFETY: null, or what `init::<F>` handed out; shared by threads, so only ever `&`.
    let Some(state) = (unsafe { function_state.cast::<FunctionState<F>>().as_ref() }) else {
        return BAD_CALL;
    };
    // SAFETY: null, or the host's structure, valid until this call returns.
    let Some(flow) = (unsafe { flow.as_ref() }) else {
        return BAD_CALL;
    };
    // SAFETY: null, or the host's structure, ours alone until this call returns.
    let Some(place) = (unsafe { route.as_mut() }) else {
        return BAD_CALL;
    };
    let has_next = place.has_next_segment != 0;
    let mut route = Route {
        attempt: place.attempt,
        server: address(place.server_address, place.server_port),
        next_segment: has_next.then(|| Ipv6Addr::from(place.next_segment)),
        choice: 0,
    };
    let info = flow_info(flow);
    let log = state.log;
    match guarded(|| state.function.route(&info, &mut route).map_err(text_of)) {
        Err(panicked) => {
            log.debug(panicked);
            PANICKED
        }
        Ok(Err(reason)) => {
            log.debug(reason);
            REFUSED
        }
        Ok(Ok(())) if route.next_segment.is_some() != has_next => {
            log.debug("route neither adds a next segment nor takes it away");
            REFUSED
        }
        Ok(Ok(())) => {
            place.server_address = route.server.ip().octets();
            place.server_port = route.server.port();
            place.next_segment = route.next_segment.map_or([0; 16], |next| next.octets());
            place.choice = route.choice;
            OK
        }
    }
}

unsafe extern "C" fn routed<F: Function>(function_state: *mut c_void, choice: u64, event: u32) {
    // SAFETY: null, or what `init::<F>` handed out; shared by threads, so only ever `&`.
    let Some(state) = (unsafe { function_state.cast::<FunctionState<F>>().as_ref() }) else {
        return;
    };
    let event = match event {
        abi::ROUTE_CONNECTED => Routed::Connected,
        abi::ROUTE_FAILED => Routed::Failed,
        abi::ROUTE_DROPPED => Routed::Dropped,
        abi::ROUTE_ENDED => Routed::Ended,
        _ => return,
    };
    if let Err(panicked) = guarded(|| state.function.routed(choice, event)) {
        state.log.debug(panicked);
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

fn flow_info(flow: &abi::Flow) -> FlowInfo {
    FlowInfo {
        argument: flow.argument,
        client: address(flow.client_address, flow.client_port),
        server: address(flow.server_address, flow.server_port),
        id: flow.id,
        choice: flow.choice,
    }
}

fn address(octets: [u8; 16], port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, 0)
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
