//! `srv6pipes module`, as those who write modules use it: no network, and no root.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../modules/mod.rs"]
mod modules;

mod bench;
mod check;
mod program;
mod refused;
mod run;
mod stock;
