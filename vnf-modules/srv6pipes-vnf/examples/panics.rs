//! A module that panics where it is told to: what the shim makes of a mistake.
//!
//! Built as a cdylib and loaded by `tests/module_abi.rs` of srv6pipes. The argument of a flow
//! chooses: 1 panics in spawn, 2 in process, 3 in despawn; `option init 'panic'` in init.
#![deny(unsafe_code)]
#![allow(clippy::panic, reason = "that is the point")]

use std::ffi::CStr;

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, Setup};

/// The function.
#[derive(Debug)]
pub struct Panics;

/// One flow.
#[derive(Debug)]
pub struct PanicsFlow {
    when: u32,
}

impl Function for Panics {
    const NAME: &CStr = c"panics";
    const SUMMARY: &CStr = c"panics in the call that the argument names";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    type Flow = PanicsFlow;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        match setup.option("init") {
            Some("panic") => panic!("in init"),
            Some("refuse") => Err("told to refuse".into()),
            _ => Ok(Self),
        }
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<PanicsFlow, Reason> {
        assert_ne!(flow.argument, 1, "in spawn");
        Ok(PanicsFlow {
            when: flow.argument,
        })
    }
}

impl Flow for PanicsFlow {
    fn process(
        &mut self,
        _direction: Direction,
        input: &[u8],
        _output: &mut [u8],
        _end: bool,
    ) -> Result<Progress, Reason> {
        assert_ne!(self.when, 2, "in process");
        Ok(Progress::more(input.len(), 0))
    }
}

impl Drop for PanicsFlow {
    fn drop(&mut self) {
        assert_ne!(self.when, 3, "in despawn");
    }
}

srv6pipes_vnf::export_functions!(Panics);
