//! Interleaved rounds: every contender meets every load once a round, in an order that rotates;
//! the first round is for warming up.

use std::io::{IsTerminal, Write};

use crate::contender::Contender;
use crate::load::{Load, Served};

/// What one contender did under one load in one round.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// What the client saw.
    pub served: Served,
    /// CPU seconds that the processes at M1 used for it.
    pub cpu_seconds: f64,
}

/// `[contender][load][round]`.
pub type Samples = Vec<Vec<Vec<Sample>>>;

/// Runs `rounds` rounds, and one before them.
pub fn run(contenders: &[Contender], loads: &[Load], rounds: usize) -> Samples {
    let mut samples: Samples = vec![vec![Vec::new(); loads.len()]; contenders.len()];
    for round in 0..=rounds {
        for (l, load) in loads.iter().enumerate() {
            for turn in 0..contenders.len() {
                let c = (turn + round + l) % contenders.len();
                progress(&format!(
                    "round {round} of {rounds}, {}{}, {}",
                    load.size_name(),
                    if load.keep_alive { " kept alive" } else { "" },
                    contenders[c].name
                ));
                let before = contenders[c].cpu_seconds();
                let served = contenders[c].serve(load);
                let cpu_seconds = contenders[c].cpu_seconds() - before;
                if round > 0 {
                    samples[c][l].push(Sample {
                        served,
                        cpu_seconds,
                    });
                }
            }
        }
    }
    progress("");
    samples
}

/// One line that is written over, for whoever waits.
pub fn progress(text: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Nobody looks: their loss.
        let _ = write!(stderr, "\r\x1b[K{text}");
        let _ = stderr.flush();
    }
}
