//! The stock function `copy`: the bytes go on as they came, and it is never called for them.
//!
//! What the thesis measures in section 3.5.1: the cost of the proxy without that of a function.
#![deny(unsafe_code)]

use std::ffi::CStr;

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, Setup};

/// The function, and a flow of it: there is nothing to remember.
#[derive(Debug)]
pub struct Copy;

impl Function for Copy {
    const NAME: &CStr = c"copy";
    const SUMMARY: &CStr = c"passes every byte on untouched, without looking at it";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    const PASS_AT_ONCE: bool = true;
    type Flow = Self;

    fn init(_setup: &Setup) -> Result<Self, Reason> {
        Ok(Self)
    }

    fn spawn(&self, _flow: &FlowInfo) -> Result<Self, Reason> {
        Ok(Self)
    }
}

impl Flow for Copy {
    fn process(
        &mut self,
        _direction: Direction,
        _input: &[u8],
        _output: &mut [u8],
        _end: bool,
    ) -> Result<Progress, Reason> {
        Ok(Progress::pass(0, 0))
    }
}

srv6pipes_vnf::export_functions!(Copy);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_nothing_and_passes() {
        let done = Copy
            .process(Direction::Upstream, b"hello", &mut [0; 8], false)
            .unwrap();
        assert_eq!(done, Progress::pass(0, 0));
    }
}
