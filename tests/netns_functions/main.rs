//! The catalogue of functions under real flows: each through the real daemon, with the peers that
//! people use it with.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod balance;
mod exec;
#[path = "../modules/mod.rs"]
mod fixtures;
#[path = "../harness/mod.rs"]
mod harness;
mod own;
mod readme;
mod seal;
mod throttle;
