//! The figures there are: each sets its contenders up, measures, and takes all down again.

mod chain;
mod flood;
mod gigabit;
mod lossy;
mod memory;
mod offload;
mod passes;
mod set_up;
mod sizes;
mod threads;
mod tuning;

use crate::figure::Figure;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// For daily use: fewer of everything.
    pub quick: bool,
}

/// A figure's maker.
pub type Measure = fn(Scope) -> Vec<Figure>;

/// All of them, by the name `--only` knows.
pub const ALL: &[(&str, Measure)] = &[
    ("sizes", sizes::measure),
    ("passes", passes::measure),
    ("chain", chain::measure),
    ("threads", threads::measure),
    ("lossy", lossy::measure),
    ("set-up", set_up::measure),
    ("memory", memory::measure),
    ("flood", flood::measure),
    ("gigabit", gigabit::measure),
    ("offload", offload::measure),
    ("tuning", tuning::measure),
];

/// Those of a quick run.
pub const QUICK: &[&str] = &["sizes", "set-up"];
