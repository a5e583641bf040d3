//! The stock function `xor`: every byte, both ways, XORed with the low 8 bits of the argument.
//!
//! Two of them in a row undo each other: the thesis's demonstration of a chain (section 3.5.5).
#![deny(unsafe_code)]

use std::ffi::CStr;

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, Setup};

/// The function.
#[derive(Debug)]
pub struct Xor;

/// One flow's key.
#[derive(Debug)]
pub struct XorFlow {
    key: u8,
}

impl Function for Xor {
    const NAME: &CStr = c"xor";
    const SUMMARY: &CStr = c"XORs every byte with the low 8 bits of the argument";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    type Flow = XorFlow;

    fn init(_setup: &Setup) -> Result<Self, Reason> {
        Ok(Self)
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<XorFlow, Reason> {
        let [.., key] = flow.argument.to_be_bytes();
        Ok(XorFlow { key })
    }
}

impl Flow for XorFlow {
    fn process(
        &mut self,
        _direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        let n = input.len().min(output.len());
        let key = self.key;
        for (to, from) in output.iter_mut().zip(input) {
            *to = from ^ key;
        }
        Ok(if end && n == input.len() {
            Progress::finished(n, n)
        } else {
            Progress::more(n, n)
        })
    }
}

srv6pipes_vnf::export_functions!(Xor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_is_nothing_and_the_end_waits_for_the_last_byte() {
        let mut flow = XorFlow { key: 42 };
        let mut once = [0; 5];
        let done = flow
            .process(Direction::Upstream, b"hello", &mut once, false)
            .unwrap();
        assert_eq!(done, Progress::more(5, 5));
        assert_eq!(&once, b"BOFFE");

        let mut twice = [0; 3];
        let done = flow
            .process(Direction::Downstream, &once, &mut twice, true)
            .unwrap();
        assert_eq!((done, &twice), (Progress::more(3, 3), b"hel"));
        let done = flow
            .process(Direction::Downstream, &once[3..], &mut twice, true)
            .unwrap();
        assert_eq!((done, &twice[..2]), (Progress::finished(2, 2), &b"lo"[..]));
    }
}
