//! Modules that break their promises under real flows: what that costs their own flows, and that
//! it costs nobody else's.

mod harness;
mod modules;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use harness::peer::{Habit, Server, assert_reset, assert_reset_soon, connect, exchange};
use harness::proxy::Proxy;
use harness::status::{Status, counted};
use harness::{lab, noise};
use modules::TempDir;
use modules::uci::section;
use srv6pipes::demo::lab::sid;

/// Argument of the functions of verdicts.c: do it to both directions.
const BOTH: u32 = 2;

/// Everything that breaks its promise: file, function, argument, and what the log says of it.
const BREAKERS: &[(&str, &str, u32, &str)] = &[
    ("fails", "zoo", 0, "failed"),
    (
        "overproduces",
        "zoo",
        0,
        "claims to have written beyond its room",
    ),
    (
        "overconsumes",
        "zoo",
        0,
        "claims to have read beyond its input",
    ),
    (
        "unknown_verdict",
        "zoo",
        0,
        "gave a verdict unknown to this version",
    ),
    ("stalls", "zoo", 0, "took nothing and gave nothing"),
    ("libpanics", "panics", 2, "failed"),
    ("verdicts", "endless", BOTH, "took nothing and gave nothing"),
    (
        "verdicts",
        "breaks_late",
        BOTH,
        "claims to have written beyond its room",
    ),
];

/// All of [`BREAKERS`] as functions from 1, with `xor` as function 100.
fn breakers(options: &str) -> (TempDir, String) {
    let folder = TempDir::new();
    modules::copy_rust_modules(folder.path());
    let mut sections = section(100, &folder, "libxor.so", "xor", "");
    for (id, (file, name, _, _)) in (1..).zip(BREAKERS) {
        let module = format!("{file}.so");
        if !file.starts_with("lib") {
            modules::compile(file, &folder.join(&module), &[]);
        }
        sections += &section(id, &folder, &module, name, options);
    }
    (folder, sections)
}

#[test]
fn a_broken_promise_costs_its_own_flow_and_nobody_elses() {
    const EACH: u64 = 3;
    let Some(lab) = lab(1) else { return };
    let (_folder, sections) = breakers("");
    // One worker: whoever harms others harms these.
    let proxy = Proxy::start_with(&lab, 1, "option threads '1'", &sections);
    let echo = Server::start(lab.server(), 7, Habit::Echo);
    let giver = Server::start(
        lab.server(),
        19,
        Habit::Give {
            length: 80_000,
            seed: 7,
        },
    );
    lab.steer(&[sid(1, 100, 42)]).unwrap();
    let mut healthy = connect(lab.client(), echo.address()).unwrap();
    let mut said = 0_u8;
    let mut say = |healthy: &mut TcpStream| {
        said += 1;
        healthy.write_all(&[said]).unwrap();
        let mut answer = [0];
        healthy.read_exact(&mut answer).unwrap();
        assert_eq!(answer[0], said);
    };
    say(&mut healthy);
    for (id, (file, name, argument, _)) in (1..).zip(BREAKERS) {
        lab.steer(&[sid(1, id, *argument)]).unwrap();
        // Upstream, by what the client sends; the end is what some wait for.
        for _ in 0..EACH - 1 {
            let mut stream = connect(lab.client(), echo.address()).unwrap();
            stream.write_all(&noise::bytes(8, 2000)).unwrap();
            // The reset may be here already.
            let _ended = stream.shutdown(Shutdown::Write);
            assert_reset(&stream);
            let end = echo.report().end;
            let end = end.expect_err(&format!("{file} {name}"));
            assert_eq!(
                end.kind(),
                ErrorKind::ConnectionReset,
                "{file} {name}: {end}"
            );
        }
        // Downstream, by what the server sends.
        assert_reset_soon(connect(lab.client(), giver.address()));
        let end = giver.report().end;
        end.expect_err(&format!("{file} {name}, downstream"));
        say(&mut healthy);
    }
    healthy.shutdown(Shutdown::Write).unwrap();
    assert_eq!(healthy.read(&mut [0]).unwrap(), 0);
    echo.report().end.unwrap();
    let broken = EACH * BREAKERS.len() as u64;
    let status = counted(
        &proxy,
        &[
            ("broken_function_flows", broken),
            ("finished_flows", 1),
            ("live_flows", 0),
        ],
    );
    status.assert_adds_up();
    let log = proxy.log();
    for (id, (file, name, _, what)) in (1..).zip(BREAKERS) {
        assert_eq!(status.function(id, "flows"), EACH, "{file} {name}");
        assert_eq!(status.function(id, "broken_flows"), EACH, "{file} {name}");
        let blamed: Vec<_> = log
            .lines()
            .filter(|line| line.contains(&format!("function {id:#06x} ")))
            .collect();
        assert_eq!(blamed.len(), 1, "{file} {name}: {blamed:?}");
        assert!(
            blamed[0].contains("WARN") && blamed[0].contains(what),
            "{}",
            blamed[0]
        );
    }
    assert_eq!(status.function(100, "broken_flows"), 0);
}

#[test]
fn on_failure_pass_lets_the_flow_go_on_with_every_byte() {
    let Some(lab) = lab(1) else { return };
    let (_folder, sections) = breakers("option on_failure 'pass'");
    let proxy = Proxy::start_with(&lab, 1, "", &sections);
    let echo = Server::start(lab.server(), 7, Habit::Echo);
    let bytes = noise::bytes(9, 300_000);
    let mut flows = 0;
    for (id, (file, name, argument, what)) in (1..).zip(BREAKERS) {
        lab.steer(&[sid(1, id, *argument)]).unwrap();
        for _ in 0..2 {
            let stream = connect(lab.client(), echo.address()).unwrap();
            let answer = exchange(&stream, &bytes).unwrap();
            let report = echo.report();
            report.end.unwrap();
            let mut upstream = bytes.clone();
            let mut expected = bytes.clone();
            if *name == "breaks_late" {
                // Upstream it broke after 1000 bytes; downstream it was not asked any more.
                for byte in &mut upstream[..1000] {
                    *byte = !*byte;
                }
                expected[..1000].copy_from_slice(&upstream[..1000]);
            }
            assert_eq!(report.sum, noise::sha256(&upstream), "{file} {name}");
            assert!(answer == expected, "{file} {name}");
            flows += 1;
        }
        let status = counted(&proxy, &[("finished_flows", flows), ("live_flows", 0)]);
        assert_eq!(status.function(id, "broken_flows"), 2, "{file} {name}");
        let log = proxy.log();
        let blamed: Vec<_> = log
            .lines()
            .filter(|line| line.contains(&format!("function {id:#06x} ")))
            .collect();
        assert_eq!(blamed.len(), 1, "{file} {name}: {blamed:?}");
        let line = blamed[0];
        assert!(line.contains("WARN") && line.contains(what), "{line}");
        assert!(line.contains("goes on untouched"), "{line}");
    }
    let status = Status::of(&proxy);
    assert_eq!(status.counter("broken_function_flows"), 0);
    assert!(status.counter("spliced_bytes") > 1_000_000);
    status.assert_adds_up();
}
