//! A SYN flood of 50 000/s beside 100 honest flows a second: who is still served, how late, and
//! what it costs.

use std::thread;
use std::time::{Duration, Instant};

use srv6pipes::demo::lab::{Options, sid};

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::{Figure, Series};
use crate::figures::Scope;
use crate::flood::Flood;
use crate::honest::{self, Fates};
use crate::machine;
use crate::rounds::progress;

/// SYNs a second.
const FLOOD: u32 = 50_000;
/// Honest flows a second.
const HONEST: u32 = 100;
/// How long the flood has every queue to itself.
const LEAD: Duration = Duration::from_secs(2);
/// Seconds of honest flows without it, and with it.
const SECONDS: [u32; 2] = [2, 5];

const KINDS: [(&str, Kind); 4] = [
    ("kernel router", Kind::Router),
    ("srv6pipes, saved_syn", Kind::Pipes(Pipes::COPY)),
    ("srv6pipes, nfqueue", Kind::Pipes(Pipes::NFQUEUE)),
    ("haproxy, splice", Kind::HaproxySplice),
];

/// What one contender did in one round.
struct Round {
    calm: Fates,
    flooded: Fates,
    /// SYNs a second that were really sent.
    sent: f64,
    /// CPU seconds a second of the processes at M1, and of the whole machine's softirqs.
    cpu: [f64; 2],
}

/// One figure for each unit.
pub fn measure(scope: Scope) -> Vec<Figure> {
    let options = Options {
        checksum_offload: true,
        ..Options::default()
    };
    let rounds = if scope.quick { 1 } else { 3 };
    let contenders = KINDS.map(|(name, kind)| Contender::start(name, kind, &options));
    let mut all: Vec<Vec<Round>> = KINDS.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let c = (turn + round) % contenders.len();
            let name = &contenders[c].name;
            progress(&format!("round {} of {rounds}, {name}", round + 1));
            all[c].push(meet(&contenders[c], KINDS[c].1));
        }
    }
    progress("");
    vec![
        figure(
            "flood",
            format!(
                "Honest flows that got their answer within {} s",
                honest::PATIENCE.as_secs()
            ),
            "%",
            &["no flood", "flood"],
            &all,
            |round| vec![round.calm.success(), round.flooded.success()],
        ),
        figure(
            "flood-first-byte",
            format!(
                "Time to the first byte of a 1 KB answer (no answer counts as {} s)",
                honest::PATIENCE.as_secs()
            ),
            "ms",
            &[
                "no flood, median",
                "no flood, 99 %",
                "flood, median",
                "flood, 99 %",
            ],
            &all,
            |round| {
                let of = |fates: &Fates| [fates.within(50), fates.within(99)];
                [of(&round.calm), of(&round.flooded)].concat()
            },
        ),
        figure(
            "flood-cpu",
            "CPU under the flood".to_owned(),
            "CPU seconds per second",
            &["processes at M1", "softirqs of the machine"],
            &all,
            |round| round.cpu.to_vec(),
        ),
        figure(
            "flood-sent",
            format!("The flood as it was really sent, of {FLOOD} SYNs per second"),
            "SYNs/s",
            &["flood"],
            &all,
            |round| vec![round.sent],
        ),
    ]
}

fn meet(contender: &Contender, kind: Kind) -> Round {
    let client = contender.lab.client();
    let calm = honest::visit(client, HONEST, SECONDS[0]);
    let segment = match kind {
        Kind::Pipes(pipes) => Some(sid(1, pipes.function, pipes.argument)),
        _ => None,
    };
    let flood = Flood::start(&contender.lab, segment, FLOOD);
    thread::sleep(LEAD);
    let before = [contender.cpu_seconds(), machine::softirq_seconds()];
    let began = Instant::now();
    let flooded = honest::visit(client, HONEST, SECONDS[1]);
    let took = began.elapsed().as_secs_f64();
    let after = [contender.cpu_seconds(), machine::softirq_seconds()];
    Round {
        calm,
        flooded,
        sent: flood.stop(),
        cpu: [0, 1].map(|i| (after[i] - before[i]) / took),
    }
}

fn figure(
    name: &str,
    title: String,
    unit: &'static str,
    places: &[&str],
    all: &[Vec<Round>],
    values: impl Fn(&Round) -> Vec<f64>,
) -> Figure {
    let series = KINDS.iter().zip(all).map(|((name, _), rounds)| {
        let values: Vec<Vec<f64>> = rounds.iter().map(&values).collect();
        let at = |place: usize| values.iter().map(|round| round[place]).collect();
        Series {
            name: (*name).to_owned(),
            rounds: (0..places.len()).map(at).collect(),
        }
    });
    Figure {
        name: name.to_owned(),
        title: format!("{HONEST} honest flows/s beside a SYN flood. {title}"),
        unit,
        axis: "",
        places: places.iter().map(|place| (*place).to_owned()).collect(),
        series: series.collect(),
        less_is_better: unit != "%" && unit != "SYNs/s",
        ..Figure::default()
    }
}
