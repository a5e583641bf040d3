//! `srv6pipes module`: for people who write modules. Holds a function to what the header asks of
//! it, runs it between standard input and output, and measures it; no daemon, no network, no root.
//!
//! ```text
//!  open ─▶ function ─▶ feed (windows, room, END, waiting) ◀─ cases ◀─ check     a child per case
//!                        ▲────────────────────────────────── run, bench
//! ```
//!
//! Read `srv6pipes_vnf.h` first, then [`feed`].

mod alarm;
mod apart;
pub mod bench;
mod broke;
mod cases;
pub mod check;
mod desk;
pub mod feed;
pub mod open;
pub mod run;
mod samples;
mod stopwatch;
mod subject;
mod usage;
mod verdict;
mod watched;
