//! Figures 3.9 and 3.10 of the thesis: paths that lose and delay packets, on both sides of M1 or
//! only between it and the server. The wires are those of `tests/harness/wire.rs`.

use std::time::Duration;

use srv6pipes::demo::lab::Options;

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::Figure;
use crate::figures::Scope;
use crate::figures::sizes::series;
use crate::harness::wire::{Settings, Wire};
use crate::load::Load;
use crate::rounds;
use crate::thesis::{self, Thesis};

/// One direction of a link.
fn lossy(delay_ms: u64, loss_percent: u32, seed: u64) -> Settings {
    Settings {
        delay: Duration::from_millis(delay_ms),
        loss_ppm: loss_percent * 10_000,
        seed,
        queue: 16 << 20,
        ..Settings::default()
    }
}

/// Both figures.
pub fn measure(scope: Scope) -> Vec<Figure> {
    let plain = Settings::default();
    let both = [
        [lossy(25, 1, 1), lossy(25, 1, 2)],
        [lossy(25, 1, 3), lossy(25, 1, 4)],
    ];
    let behind = [[plain, plain], [lossy(50, 2, 5), lossy(50, 2, 6)]];
    vec![
        figure(
            scope,
            "lossy",
            "Throughput with 1 % of loss and 25 ms of delay on each link, each way",
            &thesis::LOSSY,
            both,
        ),
        figure(
            scope,
            "lossy-behind",
            "Throughput with 2 % of loss and 50 ms of delay between M1 and the server, each way",
            &thesis::LOSSY_BEHIND,
            behind,
        ),
    ]
}

fn figure(
    scope: Scope,
    name: &str,
    title: &str,
    thesis: &'static Thesis,
    settings: [[Settings; 2]; 2],
) -> Figure {
    let options = Options {
        cut: true,
        ..Options::default()
    };
    let kinds = [
        ("kernel router", Kind::Router),
        ("srv6pipes, copy", Kind::Pipes(Pipes::COPY)),
        ("haproxy, splice", Kind::HaproxySplice),
    ];
    let (contenders, _wires): (Vec<_>, Vec<_>) = kinds
        .iter()
        .map(|(name, kind)| {
            // The wires must carry before a contender is asked whether it works.
            Contender::start_with(name, *kind, &options, |lab| {
                [0, 1].map(|k| Wire::start(lab, k, settings[k]))
            })
        })
        .unzip();
    let sizes: &[u64] = if scope.quick {
        &[100_000]
    } else {
        &[1000, 100_000, 10_000_000]
    };
    let loads: Vec<Load> = sizes
        .iter()
        .map(|size| Load {
            size: *size,
            keep_alive: false,
            connections: 50,
            seconds: if *size > 1_000_000 { 8 } else { 3 },
        })
        .collect();
    let rounds = if scope.quick { 2 } else { 3 };
    let samples = rounds::run(&contenders, &loads, rounds);
    Figure {
        name: name.to_owned(),
        title: title.to_owned(),
        thesis: Some(thesis),
        unit: "Mbit/s",
        axis: "object",
        places: loads.iter().map(Load::size_name).collect(),
        series: series(&contenders, &samples, |sample| {
            sample.served.megabits_per_second
        }),
        ..Figure::default()
    }
}
