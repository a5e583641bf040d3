//! Figure 3.11 of the thesis: what a function costs that goes n times over the bytes.

use srv6pipes::demo::lab::Options;

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::Figure;
use crate::figures::Scope;
use crate::figures::sizes::series;
use crate::load::Load;
use crate::rounds;
use crate::thesis;

/// 10 MB objects through `passes` with 0 to 8 passes.
pub fn measure(scope: Scope) -> Vec<Figure> {
    let options = Options {
        checksum_offload: true,
        ..Options::default()
    };
    let mut contenders = vec![
        Contender::start("kernel router", Kind::Router, &options),
        Contender::start("copy (splice)", Kind::Pipes(Pipes::COPY), &options),
    ];
    for pairs in 0..=4 {
        contenders.push(Contender::start(
            &format!("{} passes", 2 * pairs),
            Kind::Pipes(Pipes::passes(pairs)),
            &options,
        ));
    }
    let load = Load {
        size: 10_000_000,
        keep_alive: true,
        connections: 20,
        seconds: 2,
    };
    let rounds = if scope.quick { 3 } else { 5 };
    let samples = rounds::run(&contenders, &[load], rounds);
    vec![Figure {
        name: "passes".to_owned(),
        title: "Throughput of functions that go over the bytes n times, 10 MB objects".to_owned(),
        thesis: Some(&thesis::PASSES),
        unit: "Mbit/s",
        axis: "object",
        places: vec![load.size_name()],
        series: series(&contenders, &samples, |sample| {
            sample.served.megabits_per_second
        }),
        ..Figure::default()
    }]
}
