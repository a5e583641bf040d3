//! The calls for one flow.

use std::ffi::c_void;
use std::time::Duration;

use crate::abi;
use crate::host::Log;
use crate::module::{Direction, Flow, Report, Verdict};
use crate::panics::{guarded, text_of};

/// What `flow_state` points to.
pub struct FlowState<S> {
    pub flow: S,
    pub log: Log,
}

pub unsafe extern "C" fn process<S: Flow>(
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
        wait_ms: 0,
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
                Verdict::Wait(_) => abi::WAIT,
            },
            wait_ms: match progress.verdict {
                Verdict::Wait(ms) => ms,
                _ => 0,
            },
        },
    }
}

pub unsafe extern "C" fn report<S: Flow>(flow_state: *mut c_void, report: *const abi::Report) {
    // SAFETY: null, or what `spawn` handed out; calls for one flow never overlap.
    let Some(state) = (unsafe { flow_state.cast::<FlowState<S>>().as_mut() }) else {
        return;
    };
    // SAFETY: null, or the host's structure, valid until this call returns.
    let Some(report) = (unsafe { report.as_ref() }) else {
        return;
    };
    let known = |us: u64| (us != 0).then(|| Duration::from_micros(us));
    let report = Report {
        last: report.flags & abi::REPORT_LAST != 0,
        upstream_in: report.upstream_in_bytes,
        upstream_out: report.upstream_out_bytes,
        downstream_in: report.downstream_in_bytes,
        downstream_out: report.downstream_out_bytes,
        age: Duration::from_micros(report.age_us),
        client_rtt: known(report.client_rtt_us),
        connect: known(report.connect_us),
        first_byte: known(report.first_byte_us),
    };
    let log = state.log;
    if let Err(panicked) = guarded(|| state.flow.report(&report)) {
        log.debug(panicked);
    }
}

pub unsafe extern "C" fn despawn<S: Flow>(flow_state: *mut c_void) {
    if !flow_state.is_null() {
        // SAFETY: the host hands back what `spawn` handed out, once.
        let state = unsafe { Box::from_raw(flow_state.cast::<FlowState<S>>()) };
        let log = state.log;
        if let Err(panicked) = guarded(|| drop(state)) {
            log.debug(panicked);
        }
    }
}
