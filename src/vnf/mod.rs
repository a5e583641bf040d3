//! The host's side of the module ABI: what the pipe sees of a function, and how it gets one.
//!
//! ```text
//!  config::Function ─▶ registry ─▶ trust ─▶ loader ─▶ table      file → checked descriptions
//!                         │        (or builtin, in a build without files)
//!                         ├──────▶ active (setup, host, counters)  func_init
//!                         └──────▶ route, instance ─▶ dyn Transform  per flow
//!  module, any thread ─▶ host ─▶ wake ─▶ Bell of the flow's worker
//! ```
//!
//! Read `vnf-modules/srv6pipes-vnf/include/srv6pipes_vnf.h` first: it is the contract.

pub mod active;
mod c;
pub mod counters;
#[cfg(not(feature = "builtin-modules"))]
mod elf;
mod host;
mod instance;
#[cfg(feature = "builtin-modules")]
#[path = "builtin.rs"]
pub mod loader;
#[cfg(not(feature = "builtin-modules"))]
pub mod loader;
pub mod open_error;
pub mod registry;
pub mod route;
pub mod setup;
pub mod table;
pub mod trust;
mod wake;

use std::fmt;

pub use srv6pipes_vnf::{Direction, FlowInfo, Progress, Report, Route, Routed, Verdict};

pub use crate::vnf::active::SpawnError;
pub use crate::vnf::loader::Library;
pub use crate::vnf::registry::{Function, LoadError, Registry};
pub use crate::vnf::route::{RouteError, RouteFault};
pub use crate::vnf::wake::Bell;

/// How a function broke its promise; ends the flow by the function's failure policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It said so itself, or panicked (the SDK turns a panic into this).
    Failed,
    /// `produced` is larger than the room it was given.
    Overproduced,
    /// `consumed` is larger than the input it was given.
    Overconsumed,
    /// A verdict this version does not know.
    UnknownVerdict,
    /// It consumed nothing and produced nothing, and there is nothing more to offer it.
    Stalled,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Overproduced => "claims to have written beyond its room",
            Self::Overconsumed => "claims to have read beyond its input",
            Self::UnknownVerdict => "gave a verdict unknown to this version",
            Self::Stalled => "took nothing and gave nothing, with all input and room there is",
        })
    }
}

impl std::error::Error for Broken {}

/// One flow's function, as the pipe sees it. Dropping it is `func_despawn`.
pub trait Transform: Send + fmt::Debug {
    /// Runs the function over `input` into `output`; `end` says that `input` is the last there is.
    ///
    /// `input` is at most `MAX_WINDOW` bytes, `output` at least 1; the progress lies within both.
    ///
    /// # Errors
    /// When the function broke its contract: the flow must not hand it anything more.
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Broken>;

    /// Whether [`Self::process`] is to be called as soon as the flow's ends are connected.
    fn speaks_first(&self) -> bool {
        false
    }

    /// Whether [`Self::report`] has anyone to tell.
    fn reports(&self) -> bool {
        false
    }

    /// Tells the function what its flow has moved so far, unless it broke its contract.
    fn report(&mut self, report: &Report) {
        let _ = report;
    }
}
