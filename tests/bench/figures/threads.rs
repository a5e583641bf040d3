//! Figures 3.16 to 3.19 of the thesis: how many threads are best.

use srv6pipes::demo::lab::Options;

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::Figure;
use crate::figures::Scope;
use crate::figures::sizes::series;
use crate::load::Load;
use crate::rounds;
use crate::thesis;

/// 1, 2, 4 and 8 workers, beside the router.
pub fn measure(scope: Scope) -> Vec<Figure> {
    let options = Options {
        checksum_offload: true,
        ..Options::default()
    };
    let mut contenders = vec![Contender::start("kernel router", Kind::Router, &options)];
    for threads in [1, 2, 4, 8] {
        let pipes = Pipes {
            threads,
            ..Pipes::COPY
        };
        let name = format!("srv6pipes, {threads} threads");
        contenders.push(Contender::start(&name, Kind::Pipes(pipes), &options));
    }
    let loads = [1000, 100_000, 10_000_000].map(|size| Load::new(size, false));
    let rounds = if scope.quick { 3 } else { 5 };
    let samples = rounds::run(&contenders, &loads, rounds);
    vec![Figure {
        name: "threads".to_owned(),
        title: "Requests per second by threads, a new connection for each request".to_owned(),
        thesis: Some(&thesis::THREADS),
        unit: "requests/s",
        axis: "object",
        places: loads.iter().map(Load::size_name).collect(),
        series: series(&contenders, &samples, |sample| {
            sample.served.requests_per_second
        }),
        ..Figure::default()
    }]
}
