//! What `option tuning` gives: 10 MB objects at once and over 50 ms of round trip, where buffers
//! matter. In a namespace of its own the daemon can set tcp_rmem and tcp_wmem only; client and
//! server have what their kernel gave them.

use std::time::Duration;

use srv6pipes::demo::lab::Options;

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::{Figure, Series};
use crate::figures::Scope;
use crate::figures::sizes::series;
use crate::harness::wire::{Settings, Wire};
use crate::load::Load;
use crate::rounds;

const TUNED: Pipes = Pipes {
    tuning: true,
    ..Pipes::COPY
};
const KINDS: [(&str, Kind); 3] = [
    ("kernel router", Kind::Router),
    ("srv6pipes, saved_syn", Kind::Pipes(Pipes::COPY)),
    ("srv6pipes, saved_syn, tuning", Kind::Pipes(TUNED)),
];

/// One figure with both round trips.
pub fn measure(scope: Scope) -> Vec<Figure> {
    let mut figure = Figure {
        name: "tuning".to_owned(),
        title: "Throughput with and without option tuning, 10 MB objects, 4 connections kept alive"
            .to_owned(),
        unit: "Mbit/s",
        axis: "round trip",
        ..Figure::default()
    };
    let rounds = if scope.quick { 1 } else { 3 };
    for (rtt, seconds) in [(0, 2), (50, 4)] {
        let one_way = Settings {
            delay: Duration::from_micros(rtt * 1000 / 4),
            ..Settings::default()
        };
        let options = Options {
            cut: rtt > 0,
            checksum_offload: rtt == 0,
            ..Options::default()
        };
        let (contenders, _wires): (Vec<_>, Vec<_>) = KINDS
            .iter()
            .map(|(name, kind)| {
                Contender::start_with(name, *kind, &options, |lab| {
                    let links = if rtt > 0 { 0..2 } else { 0..0 };
                    let wires = links.map(|k| Wire::start(lab, k, [one_way; 2]));
                    wires.collect::<Vec<_>>()
                })
            })
            .unzip();
        let load = Load {
            size: 10_000_000,
            keep_alive: true,
            connections: 4,
            seconds,
        };
        let samples = rounds::run(&contenders, &[load], rounds);
        let measured = series(&contenders, &samples, |s| s.served.megabits_per_second);
        figure.places.push(format!("{rtt} ms"));
        for (s, Series { name, rounds }) in measured.into_iter().enumerate() {
            if figure.series.len() <= s {
                let rounds = Vec::new();
                figure.series.push(Series { name, rounds });
            }
            figure.series[s].rounds.extend(rounds);
        }
    }
    vec![figure]
}
