//! Write functions for srv6pipes, in Rust and without `unsafe`.
//!
//! A module is a crate of type `cdylib`: it implements [`Function`] and [`Flow`] and names its
//! functions in [`export_functions!`]. This one turns ASCII letters into capitals on the way to
//! the client:
//!
//! ```
//! #![deny(unsafe_code)] // `deny`, not `forbid`: the export macro allows its own line.
//! use std::ffi::CStr;
//!
//! use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, Setup};
//!
//! struct Upper;
//!
//! impl Function for Upper {
//!     const NAME: &CStr = c"upper";
//!     const SUMMARY: &CStr = c"ASCII capitals towards the client";
//!     const VERSION: &CStr = srv6pipes_vnf::package_version!();
//!     type Flow = Self;
//!
//!     fn init(_setup: &Setup) -> Result<Self, Reason> {
//!         Ok(Self)
//!     }
//!
//!     fn spawn(&self, _flow: &FlowInfo) -> Result<Self, Reason> {
//!         Ok(Self)
//!     }
//! }
//!
//! impl Flow for Upper {
//!     fn process(
//!         &mut self,
//!         direction: Direction,
//!         input: &[u8],
//!         output: &mut [u8],
//!         end: bool,
//!     ) -> Result<Progress, Reason> {
//!         if direction == Direction::Upstream {
//!             return Ok(Progress::pass(0, 0));
//!         }
//!         let n = input.len().min(output.len());
//!         output[..n].copy_from_slice(&input[..n]);
//!         output[..n].make_ascii_uppercase();
//!         Ok(if end && n == input.len() { Progress::finished(n, n) } else { Progress::more(n, n) })
//!     }
//! }
//!
//! srv6pipes_vnf::export_functions!(Upper);
//! # fn main() {
//! #     let mut out = [0; 4];
//! #     let done = Upper.process(Direction::Downstream, b"ab!", &mut out, true).unwrap();
//! #     assert_eq!((done, &out), (Progress::finished(3, 3), b"AB!\0"));
//! # }
//! ```
//!
//! The contract is `include/srv6pipes_vnf.h`; [`abi`] mirrors it, for the host and for tests.
//! What a function must know of it here: calls for one flow never overlap, it may grow and shrink
//! the stream, and it must not block. A panic ends the one flow it happened in, if the module is
//! built with `panic = "unwind"`, as it is by default; the export macro insists on it.

pub mod abi;
mod host;
pub mod module;
mod panics;
mod setup;
#[doc(hidden)]
pub mod shim;

pub use host::{Counter, Counters, Log, Waker};
pub use module::{
    Direction, Flow, FlowInfo, Function, Progress, Reason, Report, Route, Routed, Verdict,
};
pub use setup::{Complaint, Given, Setup};

/// Exports functions as `all_funcs`, in this order; each is a type that implements [`Function`].
#[macro_export]
macro_rules! export_functions {
    ($($function:ty),+ $(,)?) => {
        #[cfg(panic = "abort")]
        compile_error!("a panic in a module built with panic = \"abort\" takes srv6pipes down");

        $crate::as_a_symbol! {
            /// What the host looks up.
            #[allow(non_upper_case_globals, reason = "the name is the ABI's")]
            pub static all_funcs: [$crate::abi::Func; [$(stringify!($function)),+].len() + 1] =
                [$($crate::shim::describe::<$function>(),)+ $crate::shim::last()];
        }
    };
}

/// One shared object has one `all_funcs`.
#[cfg(not(feature = "builtin"))]
#[doc(hidden)]
#[macro_export]
macro_rules! as_a_symbol {
    ($item:item) => {
        #[allow(unsafe_code, reason = "a symbol of this name is what makes a module")]
        #[unsafe(no_mangle)]
        $item
    };
}

/// A binary with many modules inside has many, and names each by its crate.
#[cfg(feature = "builtin")]
#[doc(hidden)]
#[macro_export]
macro_rules! as_a_symbol {
    ($item:item) => {
        $item
    };
}

/// The version of the crate that says it, from its `Cargo.toml`, for [`Function::VERSION`].
#[macro_export]
macro_rules! package_version {
    () => {
        const {
            match ::core::ffi::CStr::from_bytes_with_nul(
                ::core::concat!(::core::env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
            ) {
                Ok(version) => version,
                Err(_) => panic!("no NUL inside a version"),
            }
        }
    };
}
