//! Make the kernel match the configuration, and undo it.
//!
//! `app` goes through here on the way up and down:
//!
//! ```text
//! Config ── plan ──▶ Plan ── apply ──▶ Setup ── revert ──▶ as before
//!                     │                 │  ▲
//!                   check            transition (reload), repair
//! ```
//!
//! What a killed run leaves behind stands in its journal: [`clean`] undoes it, and the next
//! [`Setup::apply`] takes it over.

pub mod apply;
pub mod doctor;
pub mod error;
pub mod expression;
pub mod journal;
pub mod kernel;
pub mod nft;
pub mod plan;
pub mod quoted;
mod repair;
pub mod ruleset;
mod selector;
mod statement;
pub mod sysctl;

pub use apply::{Setup, clean};
pub use error::Error;
pub use plan::{CaptureWay, Plan, plan};
