//! The stock function `passes`: work that leaves no trace. The argument n makes it go 2 × n times
//! over the bytes, XORing each with a key, so that they come out as they went in.
//!
//! The thesis's microbenchmark (section 3.5.4, figure 3.11): what a function costs that computes.
//! UCI options: `key`, 1 to 255, the byte to XOR with; 90 by default.
#![deny(unsafe_code)]

use std::ffi::CStr;
use std::hint::black_box;

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, Setup};

/// Most pairs of passes: the client chooses the number, and more would hold up the other flows of
/// the worker for too long. The thesis tried up to 4 (figure 3.11, 2 × n = 8).
const MAX_PAIRS: u32 = 64;

/// 01011010: half of the bits change.
const DEFAULT_KEY: u8 = 0x5a;

/// The function.
#[derive(Debug)]
pub struct Passes {
    key: u8,
}

/// One flow.
#[derive(Debug)]
pub struct PassesFlow {
    pairs: u32,
    key: u8,
}

impl Function for Passes {
    const NAME: &CStr = c"passes";
    const SUMMARY: &CStr = c"XORs every byte 2 x argument times: costs time, changes nothing";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    type Flow = PassesFlow;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        let key = setup.number("key", 1..=255);
        let key = key.and_then(|key| u8::try_from(key).ok());
        let key = key.unwrap_or(DEFAULT_KEY);
        Ok(Self { key })
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<PassesFlow, Reason> {
        let pairs = flow.argument;
        if pairs > MAX_PAIRS {
            return Err(format!("argument {pairs}: at most {MAX_PAIRS} pairs of passes").into());
        }
        Ok(PassesFlow {
            pairs,
            key: self.key,
        })
    }
}

impl Flow for PassesFlow {
    fn process(
        &mut self,
        _direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        let n = input.len().min(output.len());
        let work = &mut output[..n];
        work.copy_from_slice(&input[..n]);
        let key = self.key;
        for _ in 0..2 * self.pairs {
            for byte in work.iter_mut() {
                *byte ^= key;
            }
            // Else the optimiser sees that two passes cancel each other.
            black_box(&mut *work);
        }
        Ok(if end && n == input.len() {
            Progress::finished(n, n)
        } else {
            Progress::more(n, n)
        })
    }
}

srv6pipes_vnf::export_functions!(Passes);

#[cfg(test)]
mod tests {
    use super::*;

    fn spawn(argument: u32) -> Result<PassesFlow, Reason> {
        Passes::init(&Setup::detached(&[]))?.spawn(&FlowInfo::detached(argument))
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        for pairs in [0, 1, 3, MAX_PAIRS] {
            let mut out = [0; 7];
            let done = spawn(pairs)
                .unwrap()
                .process(Direction::Upstream, b"hello", &mut out, true);
            assert_eq!(
                (done.unwrap(), &out[..5]),
                (Progress::finished(5, 5), &b"hello"[..])
            );
        }
    }

    #[test]
    fn more_pairs_than_a_worker_can_bear_are_refused() {
        let refused = spawn(MAX_PAIRS + 1).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "argument 65: at most 64 pairs of passes"
        );
    }

    #[test]
    fn the_key_is_a_byte_that_changes_something() {
        let make = |key| Setup::detached(&[("key", key)]).make::<Passes>();
        assert_eq!(make("255").unwrap().key, 255);
        for wrong in ["0", "256", "", "x"] {
            let complaints = make(wrong).unwrap_err();
            assert_eq!(
                complaints[0].text, "must be a number from 1 to 255",
                "{wrong}"
            );
            assert_eq!(complaints[0].option, Some(0));
        }
    }
}
