//! Memory at rest, with 10 000 idle flows, with 1 000 busy ones, and when they have gone: in user
//! space of the processes at M1, and of the kernel's in all sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use srv6pipes::demo::lab::{Options, SERVER};

use crate::contender::{Contender, Kind, Pipes};
use crate::figure::{Figure, Series};
use crate::figures::Scope;
use crate::load::Load;
use crate::peers;
use crate::rounds::progress;
use crate::sockets;

/// Flows that only stand there, where the limit of descriptors allows so many.
const IDLE: u64 = 10_000;
/// Flows at once that carry bytes.
const BUSY: u32 = 1000;
/// Between two looks at a busy contender.
const LOOK: Duration = Duration::from_millis(50);
/// Until those that have gone are gone everywhere.
const SETTLE: Duration = Duration::from_secs(2);
const REQUEST: &[u8] = b"GET /1000 HTTP/1.1\r\nHost: s\r\n\r\n";

const KINDS: [(&str, Kind); 6] = [
    ("kernel router", Kind::Router),
    ("srv6pipes, copy", Kind::Pipes(Pipes::COPY)),
    ("srv6pipes, 2 passes", Kind::Pipes(Pipes::passes(1))),
    ("haproxy, splice", Kind::HaproxySplice),
    ("haproxy, no splice", Kind::Haproxy),
    ("nginx stream", Kind::Nginx),
];

/// MiB at one moment: user space, socket buffers, slab.
type Memory = [f64; 3];

/// Each contender once: memory is no matter of luck.
pub fn measure(_scope: Scope) -> Vec<Figure> {
    // haproxy wants five descriptors for two flows.
    let count = IDLE.min(peers::descriptors() * 2 / 5 - 500);
    let options = Options {
        checksum_offload: true,
        ..Options::default()
    };
    let all: Vec<(&str, [Memory; 4])> = KINDS
        .iter()
        .map(|(name, kind)| {
            progress(name);
            (
                *name,
                moments(&Contender::start(name, *kind, &options), count),
            )
        })
        .collect();
    progress("");
    let places = [
        "after the first".to_owned(),
        format!("{count} idle"),
        format!("{BUSY} busy, the most"),
        "when all have gone".to_owned(),
    ];
    let figure = |what: usize, name: &str, title: &str, first: usize| Figure {
        name: name.to_owned(),
        title: title.to_owned(),
        unit: "MiB",
        axis: "flows",
        places: places.to_vec(),
        series: all[first..]
            .iter()
            .map(|(name, moments)| Series {
                name: (*name).to_owned(),
                rounds: moments.iter().map(|memory| vec![memory[what]]).collect(),
            })
            .collect(),
        less_is_better: true,
        ..Figure::default()
    };
    vec![
        figure(
            0,
            "memory",
            "Memory in user space of the processes at M1 (resident set)",
            1,
        ),
        figure(
            1,
            "memory-buffers",
            "Socket buffers in the kernel, those of client and server included: the router's row is theirs",
            0,
        ),
        figure(
            2,
            "memory-slab",
            "Sockets, files and what belongs to them in the kernel, beyond what was there before; client's \
             and server's included",
            0,
        ),
    ]
}

fn moments(contender: &Contender, count: u64) -> [Memory; 4] {
    let slab = sockets::slab();
    let now = || {
        let grown = sockets::slab().zip(slab).map(|(now, then)| now - then);
        [
            contender.resident(),
            sockets::buffers(),
            grown.unwrap_or(f64::NAN),
        ]
    };
    let at_rest = now();
    // An idle flow is one that has had its answer, as browsers leave them.
    let ask = || {
        let mut stream = TcpStream::connect((SERVER, 80)).unwrap();
        stream.write_all(REQUEST).unwrap();
        let mut answer = [0; 4096];
        let mut length = 0;
        while length <= 1000 {
            let more = stream.read(&mut answer[length..]).unwrap();
            assert!(more > 0, "an answer ended after {length} bytes");
            length += more;
        }
        stream
    };
    let flows = || (0..count).map(|_| ask()).collect();
    let flows: Vec<TcpStream> = contender.lab.client().run(flows).unwrap();
    let idle = now();
    drop(flows);
    thread::sleep(SETTLE);
    let load = Load {
        size: 1_000_000,
        keep_alive: true,
        connections: BUSY,
        seconds: 4,
    };
    let mut busy = now();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            contender.serve(&load);
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let seen = now();
            busy = [0, 1, 2].map(|i| f64::max(busy[i], seen[i]));
            thread::sleep(LOOK);
        }
    });
    thread::sleep(SETTLE);
    [at_rest, idle, busy, now()]
}
