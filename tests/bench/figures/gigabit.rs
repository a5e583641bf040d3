//! Links of 1 Gb/s: whether anybody can tell the proxy from the router there, as on the thesis's
//! Turris Omnia.

use srv6pipes::demo::lab::Options;

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::Figure;
use crate::figures::Scope;
use crate::figures::sizes::{KEPT, NEW, figures, loads};
use crate::shape::{GIGABIT, shape};
use crate::thesis;

const KINDS: [(&str, Kind); 3] = [
    ("kernel router", Kind::Router),
    ("srv6pipes, saved_syn", Kind::Pipes(Pipes::COPY)),
    ("haproxy, splice", Kind::HaproxySplice),
];

/// New connections, and such that are kept.
pub fn measure(scope: Scope) -> Vec<Figure> {
    let options = Options {
        checksum_offload: true,
        ..Options::default()
    };
    let contenders = KINDS.map(|(name, kind)| {
        Contender::start_with(name, kind, &options, |lab| shape(lab, GIGABIT)).0
    });
    let sizes = [1000, 100_000, 10_000_000];
    let rounds = if scope.quick { 1 } else { 3 };
    let mut all = Vec::new();
    for (suffix, how, kept) in [("", NEW, false), ("-kept", KEPT, true)] {
        let how = format!("links of 1 Gb/s, {how}");
        let suffix = format!("-gigabit{suffix}");
        let mut loads = loads(&sizes, kept);
        for load in loads.iter_mut().filter(|load| load.size > 100_000) {
            // Of 50 at once none would end within three seconds.
            (load.connections, load.seconds) = (8, 3);
        }
        all.extend(figures(&suffix, &how, &contenders, &loads, rounds));
    }
    for figure in &mut all {
        if figure.name == "throughput-gigabit" {
            figure.thesis = Some(&thesis::OMNIA);
        }
        // An answer's bytes are fewer than its frames': more than the rate, and nothing is shaped.
        let rate = GIGABIT as f64 / 1e6;
        let values = figure.series.iter().flat_map(|s| s.rounds.iter().flatten());
        let most = values.copied().fold(0.0, f64::max);
        assert!(
            figure.unit != "Mbit/s" || most <= rate,
            "{most} Mbit/s through a gigabit"
        );
    }
    all
}
