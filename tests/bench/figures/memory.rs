//! Memory in user space of the process at M1: at rest, with 10 000 idle flows, and the most it
//! held with 1 000 busy ones.

use std::net::TcpStream;

use srv6pipes::demo::lab::{Options, SERVER};

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::{Figure, Series};
use crate::figures::Scope;
use crate::load::Load;
use crate::peers;

/// Flows that only stand there, where the limit of descriptors allows so many.
const IDLE: u64 = 10_000;
/// Flows at once that carry bytes.
const BUSY: u32 = 1000;

/// Each contender once: memory is no matter of luck.
pub fn measure(_scope: Scope) -> Vec<Figure> {
    // haproxy wants five descriptors for two flows.
    let count = IDLE.min(peers::descriptors() * 2 / 5 - 500);
    let options = Options {
        checksum_offload: true,
        ..Options::default()
    };
    let kinds = [
        ("srv6pipes, copy", Kind::Pipes(Pipes::COPY)),
        ("srv6pipes, xor", Kind::Pipes(Pipes::XOR)),
        ("haproxy, splice", Kind::HaproxySplice),
        ("nginx stream", Kind::Nginx),
    ];
    let series = kinds.iter().map(|(name, kind)| {
        let contender = Contender::start(name, *kind, &options);
        let mebibytes = |kibibytes: u64| vec![kibibytes as f64 / 1024.0];
        let (at_rest, _) = contender.memory().unwrap();
        let connect = || TcpStream::connect((SERVER, 80)).unwrap();
        let flows: Vec<TcpStream> = contender
            .lab
            .client()
            .run(|| (0..count).map(|_| connect()).collect())
            .unwrap();
        let (idle, _) = contender.memory().unwrap();
        drop(flows);
        let busy = Load {
            size: 1_000_000,
            keep_alive: true,
            connections: BUSY,
            seconds: 5,
        };
        contender.serve(&busy);
        let (_, most) = contender.memory().unwrap();
        Series {
            name: contender.name.clone(),
            rounds: vec![mebibytes(at_rest), mebibytes(idle), mebibytes(most)],
        }
    });
    vec![Figure {
        name: "memory".to_owned(),
        title: "Memory of the process at M1 (resident set; of the first process, where there are several)"
            .to_owned(),
        thesis: None,
        unit: "MiB",
        axis: "flows",
        places: vec![
            "after the first".to_owned(),
            format!("{count} idle"),
            format!("{BUSY} busy, the most"),
        ],
        series: series.collect(),
        less_is_better: true,
    }]
}
