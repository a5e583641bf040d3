//! A function at work: initialised once, spawned per flow, every answer checked.
//!
//! SAFETY comments quote `srv6pipes_vnf.h`; what a module promises there is all that can be known.
#![allow(unsafe_code, reason = "every call here goes to C")]

use std::error::Error;
use std::ffi::{CString, NulError, c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use srv6pipes_vnf::{Report, abi};

use crate::vnf::host;
use crate::vnf::table::{Calls, Description};
use crate::vnf::{Broken, Direction, FlowInfo, Progress, Transform, Verdict};

/// A function between `func_init` and `func_deinit`; the latter is its `Drop`.
pub(super) struct Active {
    pub(super) name: String,
    pub(super) calls: Calls,
    pub(super) state: *mut c_void,
}

// SAFETY: the header: func_deinit is [any-thread].
unsafe impl Send for Active {}
// SAFETY: the header: func_spawn runs on several worker threads at once.
unsafe impl Sync for Active {}

/// Why a function could not be made ready.
#[derive(Debug, PartialEq, Eq)]
pub enum InitError {
    /// The option of this key has a NUL in it.
    Nul(String),
    /// `func_init` returned this; the reason is in the log.
    Refused(i32),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul(key) => write!(f, "option {key:?} has a NUL in it"),
            Self::Refused(code) => {
                write!(
                    f,
                    "func_init refused its options ({code}); the log says why"
                )
            }
        }
    }
}

impl Error for InitError {}

/// A function refused a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnError {
    /// The function's name.
    pub function: String,
    /// What `func_spawn` returned.
    pub code: i32,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "function '{}' refused the flow ({})",
            self.function, self.code
        )
    }
}

impl Error for SpawnError {}

impl Active {
    /// `func_init`, on the control thread.
    pub fn init(function: &Description, options: &[(String, String)]) -> Result<Self, InitError> {
        let text = |key: &str, text: &str| {
            CString::new(text).map_err(|_: NulError| InitError::Nul(key.to_owned()))
        };
        let texts = options
            .iter()
            .map(|(key, value)| Ok((text(key, key)?, text(key, value)?)))
            .collect::<Result<Vec<_>, InitError>>()?;
        let options: Vec<abi::ConfigOption> = texts
            .iter()
            .map(|(key, value)| abi::ConfigOption {
                key: key.as_ptr(),
                value: value.as_ptr(),
            })
            .collect();
        let setup = abi::Setup {
            struct_size: size_of_abi::<abi::Setup>(),
            abi_major: abi::ABI_MAJOR,
            abi_minor: abi::ABI_MINOR,
            host_version: HOST_VERSION.as_ptr(),
            options: if options.is_empty() {
                ptr::null()
            } else {
                options.as_ptr()
            },
            option_count: options.len(),
            host: host::host(&function.name),
            complain: None,
            function_id: 0,
        };
        let mut state = ptr::null_mut();
        // SAFETY: both structures outlive the call, and so does what they point to.
        let code = unsafe { (function.calls.init)(&raw const setup, &raw mut state) };
        match code {
            0 => Ok(Self {
                name: function.name.clone(),
                calls: function.calls,
                state,
            }),
            code => Err(InitError::Refused(code)),
        }
    }

    /// `func_spawn`, on a worker thread.
    pub fn spawn(self: &Arc<Self>, flow: &FlowInfo) -> Result<Instance, SpawnError> {
        let info = c_flow(flow);
        let mut state = ptr::null_mut();
        // SAFETY: `self.state` is what func_init set, func_deinit has not run while `self` lives,
        // and both pointers are valid for the call.
        let code: c_int =
            unsafe { (self.calls.spawn)(self.state, &raw const info, &raw mut state) };
        match code {
            0 => Ok(Instance {
                function: Arc::clone(self),
                state,
                broken: None,
            }),
            code => Err(SpawnError {
                function: self.name.clone(),
                code,
            }),
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        // SAFETY: func_init returned 0, no flow is left (each holds an Arc of us), and this is
        // the only call.
        unsafe { (self.calls.deinit)(self.state) };
    }
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Active")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// One flow of a function; its `Drop` is `func_despawn`.
#[derive(Debug)]
pub(super) struct Instance {
    function: Arc<Active>,
    state: *mut c_void,
    /// After this the module is only asked to despawn.
    broken: Option<Broken>,
}

// SAFETY: the header: the calls for a flow never overlap, and may come from different threads.
unsafe impl Send for Instance {}

impl Transform for Instance {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let (in_len, out_cap) = (input.len(), output.len());
        let direction = match direction {
            Direction::Upstream => abi::UPSTREAM,
            Direction::Downstream => abi::DOWNSTREAM,
        };
        let flags = if end { abi::END } else { 0 };
        // SAFETY: `self.state` is what func_spawn set; `&mut self` keeps calls apart; the slices
        // are live and, one being `&mut`, do not overlap.
        let result = unsafe {
            (self.function.calls.process)(
                self.state,
                direction,
                input.as_ptr(),
                in_len,
                output.as_mut_ptr(),
                out_cap,
                flags,
            )
        };
        let checked = check(result, in_len, out_cap, end);
        self.broken = checked.err();
        checked
    }

    fn reports(&self) -> bool {
        self.function.reports()
    }

    fn report(&mut self, report: &Report) {
        let (Some(call), None) = (self.function.calls.report, self.broken) else {
            return;
        };
        let report = c_report(report);
        // SAFETY: `self.state` is what func_spawn set, `&mut self` keeps calls apart, and the
        // structure outlives the call.
        unsafe { call(self.state, &raw const report) };
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: func_spawn returned 0, and this is the only call.
        unsafe { (self.function.calls.despawn)(self.state) };
    }
}

pub(super) fn c_flow(flow: &FlowInfo) -> abi::Flow {
    abi::Flow {
        struct_size: size_of_abi::<abi::Flow>(),
        argument: flow.argument,
        client_address: flow.client.ip().octets(),
        server_address: flow.server.ip().octets(),
        client_port: flow.client.port(),
        server_port: flow.server.port(),
        id: flow.id,
        choice: flow.choice,
    }
}

fn c_report(report: &Report) -> abi::Report {
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    // 0 says "not known".
    let known = |time: Option<Duration>| time.map_or(0, |time| us(time).max(1));
    abi::Report {
        struct_size: size_of_abi::<abi::Report>(),
        flags: if report.last { abi::REPORT_LAST } else { 0 },
        upstream_in_bytes: report.upstream_in,
        upstream_out_bytes: report.upstream_out,
        downstream_in_bytes: report.downstream_in,
        downstream_out_bytes: report.downstream_out,
        age_us: us(report.age),
        client_rtt_us: known(report.client_rtt),
        connect_us: known(report.connect),
        first_byte_us: known(report.first_byte),
    }
}

/// Holds an answer against what the header demands of it.
fn check(
    result: abi::ProcessResult,
    in_len: usize,
    out_cap: usize,
    end: bool,
) -> Result<Progress, Broken> {
    let abi::ProcessResult {
        consumed,
        produced,
        verdict,
        wait_ms,
    } = result;
    let verdict = match verdict {
        abi::MORE => Verdict::More,
        abi::FINISHED => Verdict::Finished,
        abi::PASS => Verdict::Pass,
        abi::CLOSE => Verdict::Close,
        abi::RESET => Verdict::Reset,
        abi::WAIT => Verdict::Wait(wait_ms),
        abi::ERROR => return Err(Broken::Failed),
        _ => return Err(Broken::UnknownVerdict),
    };
    if produced > out_cap {
        return Err(Broken::Overproduced);
    }
    if consumed > in_len {
        return Err(Broken::Overconsumed);
    }
    let idle = verdict == Verdict::More && consumed == 0 && produced == 0;
    if idle && out_cap >= abi::MIN_ROOM && (end || in_len >= abi::MAX_WINDOW) {
        return Err(Broken::Stalled);
    }
    Ok(Progress {
        consumed,
        produced,
        verdict,
    })
}

const HOST_VERSION: &std::ffi::CStr = srv6pipes_vnf::package_version!();

/// The size of a structure, as its first field has it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "structures of the ABI are below 100 bytes"
)]
pub(super) const fn size_of_abi<T>() -> u32 {
    size_of::<T>() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(consumed: usize, produced: usize, verdict: u32) -> abi::ProcessResult {
        abi::ProcessResult {
            consumed,
            produced,
            verdict,
            wait_ms: 0,
        }
    }

    #[test]
    fn answers_within_the_buffers_pass() {
        for (number, verdict) in [
            (abi::MORE, Verdict::More),
            (abi::FINISHED, Verdict::Finished),
            (abi::PASS, Verdict::Pass),
            (abi::CLOSE, Verdict::Close),
            (abi::RESET, Verdict::Reset),
        ] {
            let progress = check(answer(3, 4, number), 3, 4, false);
            assert_eq!(
                progress,
                Ok(Progress {
                    consumed: 3,
                    produced: 4,
                    verdict
                })
            );
        }
    }

    #[test]
    fn answers_beyond_them_do_not() {
        assert_eq!(
            check(answer(4, 0, abi::MORE), 3, 9, false),
            Err(Broken::Overconsumed)
        );
        assert_eq!(
            check(answer(0, 10, abi::MORE), 3, 9, false),
            Err(Broken::Overproduced)
        );
        assert_eq!(
            check(answer(0, 0, abi::ERROR), 3, 9, false),
            Err(Broken::Failed)
        );
        assert_eq!(
            check(answer(0, 0, 7), 3, 9, false),
            Err(Broken::UnknownVerdict)
        );
    }

    #[test]
    fn nothing_is_an_answer_until_there_is_nothing_more_to_offer() {
        let idle = answer(0, 0, abi::MORE);
        assert!(check(idle, abi::MAX_WINDOW - 1, abi::MIN_ROOM, false).is_ok());
        assert!(check(idle, abi::MAX_WINDOW, abi::MIN_ROOM - 1, false).is_ok());
        assert!(check(idle, 0, abi::MIN_ROOM - 1, true).is_ok());
        assert_eq!(
            check(idle, abi::MAX_WINDOW, abi::MIN_ROOM, false),
            Err(Broken::Stalled)
        );
        assert_eq!(check(idle, 0, abi::MIN_ROOM, true), Err(Broken::Stalled));
    }
}
