//! The function `upper` in Rust: ASCII capitals towards the client. Copy the folder and start from
//! here; the documentation of the crate `srv6pipes_vnf` says the rest.
//!
//! ```text
//! config function
//!         option id '7'
//!         option module 'libupper.so'
//!         option name 'upper'
//!         option limit '4096'         # ours: so many bytes of each flow; without it, all
//! ```
//!
//! An argument that is not 0 is the limit instead.
#![deny(unsafe_code)] // `deny`, not `forbid`: the export macro allows its own line.

use std::ffi::CStr;

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, Setup};

/// One per `config function` section.
#[derive(Debug)]
struct Upper {
    limit: Option<usize>,
}

/// One per flow.
#[derive(Debug)]
struct UpperFlow {
    left: Option<usize>,
}

impl Function for Upper {
    const NAME: &CStr = c"upper";
    const SUMMARY: &CStr = c"ASCII capitals towards the client";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    type Flow = UpperFlow;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        // A wrong one has been complained of, with its line, and the function is refused for it.
        let limit = setup.number("limit", 1..=1_000_000);
        let limit = limit.map(usize::try_from).transpose()?;
        Ok(Self { limit })
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<UpperFlow, Reason> {
        let left = match flow.argument {
            0 => self.limit,
            limit => Some(usize::try_from(limit)?),
        };
        Ok(UpperFlow { left })
    }
}

impl Flow for UpperFlow {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        // Nothing to do here, nor behind the limit: the kernel moves those bytes.
        if direction == Direction::Upstream {
            return Ok(Progress::pass(0, 0));
        }
        let mut n = input.len().min(output.len());
        if let Some(left) = &mut self.left {
            n = n.min(*left);
            *left -= n;
        }
        output[..n].copy_from_slice(&input[..n]);
        output[..n].make_ascii_uppercase();
        Ok(if self.left == Some(0) {
            Progress::pass(n, n)
        } else if end && n == input.len() {
            Progress::finished(n, n) // the last byte is through
        } else {
            Progress::more(n, n)
        })
    }
}

srv6pipes_vnf::export_functions!(Upper);

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(options: &[(&str, &str)], argument: u32) -> UpperFlow {
        let upper: Upper = Setup::detached(options).make().unwrap();
        upper.spawn(&FlowInfo::detached(argument)).unwrap()
    }

    #[test]
    fn letters_become_capitals_towards_the_client() {
        let mut flow = flow(&[], 0);
        let mut out = [0; 4];
        let done = flow.process(Direction::Downstream, b"Hi, you", &mut out, true);
        assert_eq!((done.unwrap(), &out), (Progress::more(4, 4), b"HI, "));
        let done = flow.process(Direction::Downstream, b"you", &mut out, true);
        assert_eq!(
            (done.unwrap(), &out[..3]),
            (Progress::finished(3, 3), &b"YOU"[..])
        );
        let done = flow.process(Direction::Upstream, b"get", &mut out, false);
        assert_eq!(done.unwrap(), Progress::pass(0, 0));
    }

    #[test]
    fn what_is_behind_the_limit_passes() {
        for mut flow in [flow(&[("limit", "2")], 0), flow(&[("limit", "9")], 2)] {
            let mut out = [0; 8];
            let done = flow.process(Direction::Downstream, b"abc", &mut out, false);
            assert_eq!(
                (done.unwrap(), &out[..2]),
                (Progress::pass(2, 2), &b"AB"[..])
            );
        }
    }

    #[test]
    fn a_limit_out_of_range_is_complained_of() {
        for wrong in ["0", "1000001", "much"] {
            let complaints = Setup::detached(&[("limit", wrong)])
                .make::<Upper>()
                .unwrap_err();
            assert_eq!(complaints[0].text, "must be a number from 1 to 1000000");
        }
    }
}
