//! Figures 3.6 to 3.8 of the thesis: throughput, requests per second and their spread by the size
//! of the object, every contender; and CPU time per gigabyte.

use srv6pipes::demo::lab::Options;

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::{Figure, Series};
use crate::figures::Scope;
use crate::load::Load;
use crate::rounds::{self, Sample, Samples};
use crate::server::SIZES;

const NFQUEUE: Pipes = Pipes {
    capture: "nfqueue",
    ..Pipes::COPY
};
const ALL: &[(&str, Kind)] = &[
    ("kernel router", Kind::Router),
    ("kernel router, End", Kind::End),
    ("srv6pipes, saved_syn", Kind::Pipes(Pipes::COPY)),
    ("srv6pipes, nfqueue", Kind::Pipes(NFQUEUE)),
    ("haproxy, splice", Kind::HaproxySplice),
    ("haproxy, no splice", Kind::Haproxy),
    ("nginx stream", Kind::Nginx),
    ("realm_io, splice", Kind::Realm),
];
const QUICK: &[(&str, Kind)] = &[ALL[0], ALL[2], ALL[4], ALL[5]];

/// Measures new connections for each request, and in a whole run also connections kept alive.
pub fn measure(scope: Scope) -> Vec<Figure> {
    let options = Options {
        checksum_offload: true,
        ..Options::default()
    };
    let kinds = if scope.quick { QUICK } else { ALL };
    let contenders: Vec<Contender> = kinds
        .iter()
        .map(|(name, kind)| Contender::start(name, *kind, &options))
        .collect();
    let sizes: &[u64] = if scope.quick {
        &[1000, 100_000, 10_000_000]
    } else {
        &SIZES
    };
    let (rounds, seconds) = if scope.quick { (4, 2) } else { (10, 2) };
    let load = |size: &u64, keep_alive| Load {
        size: *size,
        keep_alive,
        connections: 50,
        seconds,
    };
    let new: Vec<Load> = sizes.iter().map(|size| load(size, false)).collect();
    let mut figures = figures("", &contenders, &new, rounds);
    if !scope.quick {
        let kept: Vec<Load> = sizes.iter().map(|size| load(size, true)).collect();
        figures.extend(self::figures("-kept", &contenders, &kept, 5));
    }
    figures
}

fn figures(suffix: &str, contenders: &[Contender], loads: &[Load], rounds: usize) -> Vec<Figure> {
    let samples = rounds::run(contenders, loads, rounds);
    let how = if suffix.is_empty() {
        "a new connection for each request"
    } else {
        "50 connections kept alive"
    };
    let places: Vec<String> = loads.iter().map(Load::size_name).collect();
    let of = |what: fn(&Sample) -> f64| series(contenders, &samples, what);
    vec![
        Figure {
            name: format!("requests{suffix}"),
            title: format!("Requests per second by object size, {how}"),
            thesis: Some(
                "figure 3.7: 26 634 requests/s through the proxy and 28 613 through the router at 1 KB \
                 (0.93), no difference from 100 KB on; Turris Omnia, figure 3.17: 0.82 at 1 KB",
            ),
            unit: "requests/s",
            axis: "object",
            places: places.clone(),
            series: of(|sample| sample.served.requests_per_second),
            less_is_better: false,
        },
        Figure {
            name: format!("throughput{suffix}"),
            title: format!("Throughput by object size, {how}"),
            thesis: Some(
                "figure 3.6: 253 Mb/s through the proxy and 272 through the router at 1 KB, 9 841 and \
                 9 838 at 10 MB (10 Gb/s links)",
            ),
            unit: "Mbit/s",
            axis: "object",
            places: places.clone(),
            series: of(|sample| sample.served.megabits_per_second),
            less_is_better: false,
        },
        Figure {
            name: format!("cpu{suffix}"),
            title: format!("CPU time of the proxy's processes per gigabyte, {how}"),
            thesis: None,
            unit: "CPU seconds/GB",
            axis: "object",
            places,
            series: of(|sample| sample.cpu_seconds / (sample.served.bytes / 1e9))
                .into_iter()
                // The kernel's forwarding is on nobody's account.
                .filter(|series| !series.name.starts_with("kernel"))
                .collect(),
            less_is_better: true,
        },
    ]
}

/// One number of all samples.
pub fn series(
    contenders: &[Contender],
    samples: &Samples,
    what: impl Fn(&Sample) -> f64,
) -> Vec<Series> {
    contenders
        .iter()
        .zip(samples)
        .map(|(contender, loads)| Series {
            name: contender.name.clone(),
            rounds: loads
                .iter()
                .map(|rounds| rounds.iter().map(&what).collect())
                .collect(),
        })
        .collect()
}
