//! A function between `func_init` and `func_deinit`.
//!
//! SAFETY comments quote `srv6pipes_vnf.h`; what a module promises there is all that can be known.
#![allow(unsafe_code, reason = "every call here goes to C")]

use std::error::Error;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use crate::config::model;
use crate::vnf::FlowInfo;
use crate::vnf::c::c_flow;
use crate::vnf::host::Host;
use crate::vnf::instance::Instance;
use crate::vnf::setup::{Complaint, Setup};
use crate::vnf::table::{Calls, Description};

/// A function at work; `func_deinit` is its `Drop`.
pub(super) struct Active {
    pub(super) name: String,
    pub(super) calls: Calls,
    /// As the module has them.
    pub(super) capabilities: u64,
    pub(super) state: *mut c_void,
    host: &'static Host,
}

// SAFETY: the header: func_deinit is [any-thread].
unsafe impl Send for Active {}
// SAFETY: the header: func_spawn and func_route run on several worker threads at once.
unsafe impl Sync for Active {}

/// Why a function could not be made ready.
#[derive(Debug, PartialEq, Eq)]
pub enum InitError {
    /// The option of this index has a NUL in it.
    Nul(usize),
    /// `func_init` complained of this, at least one thing.
    Complaints(Vec<Complaint>),
    /// `func_init` returned this number, without a complaint; the reason is in the log.
    Refused(i32),
}

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
    pub fn init(function: &Description, configured: &model::Function) -> Result<Self, InitError> {
        let host = Host::of(configured.id, &function.name);
        let setup = Setup::new(configured.id, &configured.options, host.as_abi())
            .map_err(InitError::Nul)?;
        let mut state = ptr::null_mut();
        // SAFETY: both structures outlive the call, and so does what they point to.
        let code = unsafe { (function.calls.init)(setup.as_abi(), &raw mut state) };
        let complaints = setup.complaints();
        // Returned 0: whatever else is wrong, func_deinit is due.
        let active = (code == 0).then(|| Self {
            name: function.name.clone(),
            calls: function.calls,
            capabilities: function.capabilities,
            state,
            host,
        });
        match active {
            _ if !complaints.is_empty() => Err(InitError::Complaints(complaints)),
            Some(active) => Ok(active),
            None => Err(InitError::Refused(code)),
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
            0 => Ok(Instance::new(Arc::clone(self), state)),
            code => Err(SpawnError {
                function: self.name.clone(),
                code,
            }),
        }
    }

    /// What the host does for it, and keeps for it.
    pub fn host(&self) -> &'static Host {
        self.host
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
