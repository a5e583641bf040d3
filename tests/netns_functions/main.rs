//! The catalogue of functions under real flows: each through the real daemon, with the peers that
//! people use it with.

#[path = "../modules/mod.rs"]
mod fixtures;
#[path = "../harness/mod.rs"]
mod harness;

mod meter;
mod seal;
