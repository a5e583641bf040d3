//! One flow of a function: every answer checked.
//!
//! SAFETY comments quote `srv6pipes_vnf.h`; what a module promises there is all that can be known.
#![allow(unsafe_code, reason = "every call here goes to C")]

use std::ffi::c_void;
use std::sync::Arc;

use srv6pipes_vnf::abi;

use crate::vnf::active::Active;
use crate::vnf::c::c_report;
use crate::vnf::{Broken, Direction, Progress, Report, Transform, Verdict};

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

impl Instance {
    /// Of what `func_spawn` set when it returned 0.
    pub fn new(function: Arc<Active>, state: *mut c_void) -> Self {
        Self {
            function,
            state,
            broken: None,
        }
    }
}

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

    fn speaks_first(&self) -> bool {
        self.function.capabilities & abi::CAP_SPEAKS_FIRST != 0
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
