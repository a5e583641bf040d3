//! `make bench`: srv6pipes beside the kernel's router and the proxies people would use instead, on
//! this machine, in one run. Results as JSON, plots as one page, a table for people.
//!
//! Every contender has a laboratory of its own (`srv6pipes::demo::lab`); all of them stand at the
//! same time, and only one carries traffic at a time. Rounds are interleaved and their order is
//! rotated, so that what else the machine does meets everyone alike; the first round is dropped.
//!
//! ```text
//!  wrk ── C ── M1 ── S ── nginx        M1: router, router with End, srv6pipes, haproxy, nginx, realm_io
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot be made ends the run; figures are told with three digits"
)]

mod contender;
mod figure;
mod figures;
mod flood;
#[path = "../harness/mod.rs"]
mod harness;
mod honest;
mod load;
mod machine;
mod page;
mod peers;
mod plot;
mod rounds;
mod server;
mod shape;
mod sockets;
mod table;
mod thesis;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use argh::FromArgs;
use nix::sys::resource::{Resource, setrlimit};

use figure::Figure;
use machine::Machine;

/// What 10 000 flows through haproxy want, twice.
const DESCRIPTORS: u64 = 65_536;

/// Measure srv6pipes beside the kernel router and other proxies.
#[derive(FromArgs, Debug)]
struct Words {
    /// fewer sizes, contenders and rounds: under three minutes
    #[argh(switch)]
    quick: bool,
    /// only these figures, by name, separated by commas
    #[argh(option)]
    only: Option<String>,
    /// where results.json, plots.html and table.md go
    #[argh(option, default = "PathBuf::from(\"target/bench\")")]
    out: PathBuf,
    /// measure also on a machine that is busy with something else
    #[argh(switch)]
    force: bool,
    /// cargo's own word; does nothing
    #[argh(switch)]
    #[allow(dead_code, reason = "cargo bench says it")]
    bench: bool,
}

fn main() -> ExitCode {
    let words: Words = argh::from_env();
    if !harness::is_root() {
        eprintln!("make bench needs root, for network namespaces: sudo make bench");
        return ExitCode::FAILURE;
    }
    let machine = Machine::look();
    eprintln!("{machine}");
    if let Err(busy) = machine.calm() {
        eprintln!("{busy}");
        if !words.force {
            eprintln!("figures of a busy machine mean nothing; when it is idle, or with --force");
            return ExitCode::FAILURE;
        }
    }
    // More than the hard limit may be asked for, and must not be had everywhere.
    let raised = |most| setrlimit(Resource::RLIMIT_NOFILE, most, most);
    raised(DESCRIPTORS.max(peers::descriptors()))
        .or_else(|_| raised(peers::descriptors()))
        .unwrap();
    let began = Instant::now();
    let scope = figures::Scope { quick: words.quick };
    let wanted: Option<Vec<&str>> = words.only.as_deref().map(|only| only.split(',').collect());
    let mut done: Vec<Figure> = Vec::new();
    for (name, measure) in figures::ALL {
        let chosen = match &wanted {
            Some(wanted) => wanted.contains(name),
            None => !words.quick || figures::QUICK.contains(name),
        };
        if chosen {
            eprintln!("--- {name}");
            done.extend(measure(scope));
        }
    }
    if done.is_empty() {
        let names: Vec<&str> = figures::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("no such figure; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let table = table::markdown(&machine, &done);
    fs::create_dir_all(&words.out).unwrap();
    let results = serde_json::json!({
        "machine": machine.json(),
        "seconds": began.elapsed().as_secs(),
        "quick": words.quick,
        "figures": done.iter().map(Figure::json).collect::<Vec<_>>(),
    });
    for (name, text) in [
        (
            "results.json",
            serde_json::to_string_pretty(&results).unwrap(),
        ),
        ("plots.html", page::html(&machine, &done)),
        ("table.md", table.clone()),
    ] {
        fs::write(words.out.join(name), text).unwrap();
    }
    println!("{table}");
    eprintln!(
        "results.json, plots.html and table.md are in {}",
        words.out.display()
    );
    ExitCode::SUCCESS
}
