//! What a contender adds to the time until the first byte of an answer: connections one after
//! the other, at no delay and at 50 ms round trip (25 of them on each side of M1).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use srv6pipes::demo::lab::{Options, SERVER};

use crate::contender::{Contender, Kind};
use crate::figure::{Figure, Series};
use crate::figures::Scope;
use crate::figures::sizes::ALL;
use crate::harness::wire::{Settings, Wire};
use crate::rounds::progress;

const QUICK: &[(&str, Kind)] = &[ALL[0], ALL[2], ALL[3], ALL[4]];
const REQUEST: &[u8] = b"GET /1000 HTTP/1.0\r\n\r\n";

/// Median and 99th percentile over many connections, as places of one figure.
pub fn measure(scope: Scope) -> Vec<Figure> {
    let mut figure = Figure {
        name: "set-up".to_owned(),
        title: "Time to the first byte of a 1 KB answer, one new connection after the other"
            .to_owned(),
        unit: "ms",
        axis: "round trip, statistic",
        less_is_better: true,
        ..Figure::default()
    };
    for rtt in [0_u64, 50] {
        if scope.quick && rtt > 0 {
            continue;
        }
        let one_way = Settings {
            delay: Duration::from_micros(rtt * 1000 / 4),
            ..Settings::default()
        };
        let options = Options {
            cut: rtt > 0,
            ..Options::default()
        };
        let kinds = if scope.quick { QUICK } else { ALL };
        let (contenders, _wires): (Vec<_>, Vec<_>) = kinds
            .iter()
            .map(|(name, kind)| {
                Contender::start_with(name, *kind, &options, |lab| {
                    let links = if rtt > 0 { 0..2 } else { 0..0 };
                    links
                        .map(|k| Wire::start(lab, k, [one_way; 2]))
                        .collect::<Vec<_>>()
                })
            })
            .unzip();
        // Where packets only wait, four clients at once do not meet.
        let (rounds, connections, clients) = if rtt > 0 { (4, 10, 4) } else { (7, 400, 1) };
        figure.places.push(format!("{rtt} ms, median"));
        figure.places.push(format!("{rtt} ms, 99 %"));
        for (c, contender) in contenders.iter().enumerate() {
            if figure.series.len() <= c {
                figure.series.push(Series {
                    name: contender.name.clone(),
                    rounds: Vec::new(),
                });
            }
            figure.series[c].rounds.extend([Vec::new(), Vec::new()]);
        }
        for round in 0..=rounds {
            for turn in 0..contenders.len() {
                let c = (turn + round) % contenders.len();
                progress(&format!("{rtt} ms, round {round} of {rounds}"));
                let mut times = first_bytes(&contenders[c], connections, clients);
                times.sort();
                if round > 0 {
                    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1000.0;
                    let places = figure.series[c].rounds.len();
                    figure.series[c].rounds[places - 2].push(at(50));
                    figure.series[c].rounds[places - 1].push(at(99));
                }
            }
        }
    }
    progress("");
    vec![figure]
}

/// From connect to the first byte of the answer, for each connection: so many `clients` at once,
/// each with `connections` one after the other.
fn first_bytes(contender: &Contender, connections: usize, clients: usize) -> Vec<Duration> {
    let one = || {
        let began = Instant::now();
        let mut stream = TcpStream::connect((SERVER, 80)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(REQUEST).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let took = began.elapsed();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        took
    };
    let client = || (0..connections).map(|_| one()).collect::<Vec<_>>();
    let all = || {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
            let times = threads.into_iter().map(|thread| thread.join().unwrap());
            times.flatten().collect()
        })
    };
    contender.lab.client().run(all).unwrap()
}
