//! Figure 3.14 of the thesis: two proxies in a row that XOR, against two routers.

use srv6pipes::demo::lab::Options;

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::Figure;
use crate::figures::Scope;
use crate::figures::sizes::series;
use crate::load::Load;
use crate::rounds;
use crate::thesis;

/// Client – P1 – P2 – server.
pub fn measure(scope: Scope) -> Vec<Figure> {
    let options = Options {
        proxies: 2,
        checksum_offload: true,
        ..Options::default()
    };
    let contenders = [
        Contender::start("two kernel routers", Kind::Router, &options),
        Contender::start("two srv6pipes, copy", Kind::Pipes(Pipes::COPY), &options),
        Contender::start("two srv6pipes, xor", Kind::Pipes(Pipes::XOR), &options),
    ];
    let loads = [1000, 100_000, 10_000_000].map(|size| Load::new(size, false));
    let rounds = if scope.quick { 2 } else { 6 };
    let samples = rounds::run(&contenders, &loads, rounds);
    vec![Figure {
        name: "chain".to_owned(),
        title: "Throughput through two in a row, a new connection for each request".to_owned(),
        thesis: Some(&thesis::CHAIN),
        unit: "Mbit/s",
        axis: "object",
        places: loads.iter().map(Load::size_name).collect(),
        series: series(&contenders, &samples, |sample| {
            sample.served.megabits_per_second
        }),
        ..Figure::default()
    }]
}
