//! The stock function `exec`: a Unix filter as a function, each direction of a flow through the
//! stdin and stdout of a child.
//!
//! The bytes go straight between the flow and the child's pipes, on the worker's thread and without
//! blocking; two threads of the function start the children and watch them. Options, limits and an
//! example: README.md.
#![deny(unsafe_code)]

mod children;
mod flow;
mod options;
mod program;
mod spawner;
mod stderr;
#[cfg(test)]
mod tests;
mod user;
mod watcher;

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use srv6pipes_vnf::{FlowInfo, Function, Reason, Setup};

use crate::children::{Children, Counted, Permit};
use crate::flow::{ExecFlow, Lane};
use crate::options::Options;
use crate::program::Program;

/// The function.
#[derive(Debug)]
pub struct Exec {
    /// Upstream and downstream.
    programs: [Option<Arc<Program>>; 2],
    max_children: usize,
    /// How many permits are out.
    permits: Arc<AtomicUsize>,
    children: Children,
}

impl Function for Exec {
    const NAME: &CStr = c"exec";
    const SUMMARY: &CStr = c"each direction through the stdin and stdout of a program";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    type Flow = ExecFlow;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        let options = Options::read(setup)?;
        let counted = Counted::open(setup.counters());
        let (waker, log) = (setup.waker(), setup.log());
        let children = Children::start(options.terms, waker, log, counted)
            .map_err(|error| format!("cannot watch programs: {error}"))?;
        Ok(Self {
            programs: options.programs,
            max_children: options.max_children,
            permits: Arc::default(),
            children,
        })
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<ExecFlow, Reason> {
        let needed = self.programs.iter().flatten().count();
        let most = self.max_children;
        let Some(permits) = Permit::take(&self.permits, most, needed) else {
            self.children.counted().refused_flows.one();
            return Err(format!("{needed} more would be over max_children, {most}").into());
        };
        let mut permits = permits.into_iter();
        let lanes = [0, 1].map(|direction: usize| match &self.programs[direction] {
            Some(program) => Lane::Ready(Arc::clone(program), permits.next()),
            None => Lane::Passes,
        });
        Ok(ExecFlow {
            starter: self.children.starter().ok_or("the function is over")?,
            id: flow.id,
            argument: flow.argument,
            lanes,
        })
    }
}

srv6pipes_vnf::export_functions!(Exec);
