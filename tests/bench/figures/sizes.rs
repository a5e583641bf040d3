//! Figures 3.6 to 3.8 of the thesis: throughput, requests per second and their spread by the size
//! of the object, every contender; and CPU time per gigabyte.

use srv6pipes::demo::lab::Options;

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::{Figure, Form, Series, Spread};
use crate::figures::Scope;
use crate::load::Load;
use crate::rounds::{self, Sample, Samples};
use crate::server::SIZES;
use crate::thesis;

/// Everybody.
pub const ALL: &[(&str, Kind)] = &[
    ("kernel router", Kind::Router),
    ("kernel router, End", Kind::End),
    ("srv6pipes, saved_syn", Kind::Pipes(Pipes::COPY)),
    ("srv6pipes, nfqueue", Kind::Pipes(Pipes::NFQUEUE)),
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
    let start = |kinds: &[(&str, Kind)]| -> Vec<Contender> {
        let start = |(name, kind): &(&str, Kind)| Contender::start(name, *kind, &options);
        kinds.iter().map(start).collect()
    };
    let few = &[1000, 100_000, 10_000_000];
    if scope.quick {
        return figures("", NEW, &start(QUICK), &loads(few, false), 4);
    }
    let mut figures = figures("", NEW, &start(ALL), &loads(&SIZES, false), 8);
    figures.extend(self::figures(
        "-kept",
        KEPT,
        &start(QUICK),
        &loads(few, true),
        4,
    ));
    figures
}

/// What a set of figures is about.
pub const NEW: &str = "a new connection for each request";
/// The other one.
pub const KEPT: &str = "50 connections kept alive";

/// A load for each size.
pub fn loads(sizes: &[u64], keep_alive: bool) -> Vec<Load> {
    sizes
        .iter()
        .map(|size| Load::new(*size, keep_alive))
        .collect()
}

/// Requests, throughput, their spread and CPU time of `loads`, of which `how` says what they have
/// in common.
pub fn figures(
    suffix: &str,
    how: &str,
    contenders: &[Contender],
    loads: &[Load],
    rounds: usize,
) -> Vec<Figure> {
    let samples = rounds::run(contenders, loads, rounds);
    let places: Vec<String> = loads.iter().map(Load::size_name).collect();
    let of = |what: fn(&Sample) -> f64| series(contenders, &samples, what);
    let requests = of(|sample| sample.served.requests_per_second);
    let thesis = |thesis| suffix.is_empty().then_some(thesis);
    let mut figures = vec![
        Figure {
            name: format!("requests{suffix}"),
            title: format!("Requests per second by object size, {how}"),
            thesis: thesis(&thesis::REQUESTS),
            unit: "requests/s",
            axis: "object",
            places: places.clone(),
            series: requests,
            ..Figure::default()
        },
        Figure {
            name: format!("throughput{suffix}"),
            title: format!("Throughput by object size, {how}"),
            thesis: thesis(&thesis::THROUGHPUT),
            unit: "Mbit/s",
            axis: "object",
            places: places.clone(),
            series: of(|sample| sample.served.megabits_per_second),
            ..Figure::default()
        },
        Figure {
            name: format!("cpu{suffix}"),
            title: format!("CPU time of the proxy's processes per gigabyte, {how}"),
            unit: "CPU seconds/GB",
            axis: "object",
            places,
            series: of(|sample| sample.cpu_seconds / (sample.served.bytes / 1e9))
                .into_iter()
                // The kernel's forwarding is on nobody's account.
                .filter(|series| !series.name.starts_with("kernel"))
                .collect(),
            less_is_better: true,
            ..Figure::default()
        },
    ];
    if suffix.is_empty() {
        let stability = stability(&figures[0]);
        figures.extend(stability);
    }
    figures
}

/// How much `requests` differ from round to round: their spread, and each size round by round.
fn stability(requests: &Figure) -> Vec<Figure> {
    let spread = |values: &Vec<f64>| {
        let spread = Spread::of(values);
        vec![spread.map_or(f64::NAN, |s| 100.0 * (s.max - s.min) / s.median)]
    };
    let series = |change: &dyn Fn(&Series) -> Vec<Vec<f64>>| -> Vec<Series> {
        let changed = requests.series.iter().map(|series| Series {
            name: series.name.clone(),
            rounds: change(series),
        });
        changed.collect()
    };
    let mut figures = vec![Figure {
        name: "stability".to_owned(),
        title: "From the slowest round to the fastest, requests per second".to_owned(),
        thesis: Some(&thesis::STABILITY),
        unit: "% of the median",
        axis: "object",
        places: requests.places.clone(),
        series: series(&|series| series.rounds.iter().map(spread).collect()),
        less_is_better: true,
        ..Figure::default()
    }];
    for (p, place) in requests.places.iter().enumerate() {
        let rounds = requests.series.first().map_or(0, |s| s.rounds[p].len());
        figures.push(Figure {
            name: format!("stability-{}", place.replace(' ', "-")),
            title: format!("Requests per second round by round, {place}"),
            thesis: Some(&thesis::STABILITY),
            form: Form::Lines,
            unit: requests.unit,
            axis: "round",
            places: (1..=rounds).map(|round| round.to_string()).collect(),
            series: series(&|series| series.rounds[p].iter().map(|v| vec![*v]).collect()),
            ..Figure::default()
        });
    }
    figures
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
