//! Without transmit offload on any link: every packet is of 1500 bytes, as between real machines,
//! and the receiving side puts them together again. `sizes` is the other way.

use srv6pipes::demo::lab::Options;

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::Figure;
use crate::figures::Scope;
use crate::figures::sizes::{NEW, figures, loads};

const KINDS: [(&str, Kind); 4] = [
    ("kernel router", Kind::Router),
    ("srv6pipes, saved_syn", Kind::Pipes(Pipes::COPY)),
    ("haproxy, splice", Kind::HaproxySplice),
    ("haproxy, no splice", Kind::Haproxy),
];

/// 100 KB and 10 MB.
pub fn measure(scope: Scope) -> Vec<Figure> {
    let contenders = KINDS.map(|(name, kind)| Contender::start(name, kind, &Options::default()));
    let rounds = if scope.quick { 1 } else { 3 };
    let how = format!("without transmit offload, {NEW}");
    let mut loads = loads(&[100_000, 10_000_000], false);
    // The router carries twenty of them a second here.
    loads[1].connections = 8;
    figures("-offload", &how, &contenders, &loads, rounds)
}
