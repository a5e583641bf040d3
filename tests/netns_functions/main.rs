//! The catalogue of functions under real flows: each through the real daemon, with the peers that
//! people use it with.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod compress;
mod exec;
mod firewall;
#[path = "../modules/mod.rs"]
mod fixtures;
#[path = "../harness/mod.rs"]
mod harness;
mod meter;
mod own;
mod pairs;
mod readme;
mod record;
mod rewrite;
mod seal;
mod throttle;
