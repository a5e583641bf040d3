//! Modules under real flows: what each verdict does to both ends, and what keeps a module out.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;
mod modules;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::peer::{Habit, Server, assert_reset, assert_reset_soon, connect, exchange};
use harness::proxy::{PROGRAM, Proxy, base_config};
use harness::status::{COPIED, counted};
use harness::{PREFIX, kernel, lab, noise};
use modules::TempDir;
use modules::uci::section;
use srv6pipes::demo::lab::{Lab, sid};
use srv6pipes::demo::workdir::Workdir;

/// The functions of tests/fixtures/modules/verdicts.c, numbered from 1 in the order of `names`.
fn verdicts(names: &[&str], options: &str) -> (TempDir, String) {
    let folder = TempDir::new();
    modules::compile("verdicts", &folder.join("verdicts.so"), &[]);
    let sections = (1..)
        .zip(names)
        .map(|(id, name)| section(id, &folder, "verdicts.so", name, options))
        .collect();
    (folder, sections)
}

/// A proxy with these functions, through which the client's flows go by the first of them.
fn proxy_with(lab: &Lab, names: &[&str], options: &str, argument: u32) -> (TempDir, Proxy) {
    let (folder, sections) = verdicts(names, options);
    let proxy = Proxy::start_with(lab, 1, "", &sections);
    lab.steer(&[sid(1, 1, argument)]).unwrap();
    (folder, proxy)
}

const UPSTREAM: u32 = 0;
const DOWNSTREAM: u32 = 1;
const BOTH: u32 = 2;

/// What a function of verdicts.c makes of a stream.
fn transformed(function: &str, bytes: &[u8]) -> Vec<u8> {
    match function {
        "doubles" => {
            let mut twice: Vec<u8> = bytes.iter().flat_map(|byte| [*byte, *byte]).collect();
            twice.extend(b"<doubled>");
            twice
        }
        "halves" => {
            let mut half: Vec<u8> = bytes.iter().step_by(2).copied().collect();
            half.extend(b"<halved>");
            half
        }
        "reverses" => {
            let mut records: Vec<u8> = bytes
                .chunks(1000)
                .flat_map(|record| record.iter().rev().copied())
                .collect();
            records.extend(b"<reversed>");
            records
        }
        "hoards" => bytes.to_vec(),
        other => panic!("{other}"),
    }
}

#[test]
fn functions_that_grow_shrink_wait_and_add_a_tail_work_alone_and_in_chains() {
    let Some(lab) = lab(1) else { return };
    let names = ["doubles", "halves", "reverses", "hoards"];
    let (_folder, sections) = verdicts(&names, "");
    let proxy = Proxy::start_with(&lab, 1, "option threads '1'", &sections);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let bytes = noise::bytes(3, 100_001);
    let alone = (0..4).map(|i| vec![i]);
    let pairs = (0..4).flat_map(|i| (0..4).map(move |j| vec![i, j]));
    let chains: Vec<Vec<usize>> = alone.chain(pairs).chain([vec![2, 0, 3, 1]]).collect();
    for chain in &chains {
        let segments: Vec<_> = chain
            .iter()
            .map(|i| sid(1, u16::try_from(i + 1).unwrap(), BOTH))
            .collect();
        lab.steer(&segments).unwrap();
        let upstream = chain
            .iter()
            .fold(bytes.clone(), |bytes, i| transformed(names[*i], &bytes));
        let downstream = chain.iter().rev();
        let expected = downstream.fold(upstream.clone(), |bytes, i| transformed(names[*i], &bytes));
        let stream = connect(lab.client(), server.address()).unwrap();
        let answer = exchange(&stream, &bytes).unwrap();
        let report = server.report();
        assert!(report.end.is_ok(), "{chain:?}: {report:?}");
        assert_eq!(report.received, upstream.len() as u64, "{chain:?} upstream");
        assert_eq!(report.sum, noise::sha256(&upstream), "{chain:?} upstream");
        assert!(answer == expected, "{chain:?} downstream");
    }
    let flows = chains.len() as u64;
    counted(&proxy, &[("finished_flows", flows), ("live_flows", 0)]).assert_adds_up();
}

#[test]
fn after_pass_the_kernel_moves_what_remains() {
    let Some(lab) = lab(1) else { return };
    let (_folder, proxy) = proxy_with(&lab, &["inverts_head"], "", BOTH);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let bytes = noise::bytes(4, 3_000_000);
    let stream = connect(lab.client(), server.address()).unwrap();
    let answer = exchange(&stream, &bytes).unwrap();
    assert!(answer == bytes, "inverted twice is as it was");
    let mut inverted = bytes;
    for byte in &mut inverted[..1000] {
        *byte = !*byte;
    }
    assert_eq!(server.report().sum, noise::sha256(&inverted));
    let status = counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]);
    assert_eq!(status.counter("upstream_out_bytes"), 3_000_000);
    assert_eq!(status.counter("downstream_out_bytes"), 3_000_000);
    assert_eq!(status.function(1, "in_bytes"), 2000);
    let spliced = status.counter("spliced_bytes");
    assert!(spliced >= 6_000_000 - 2 * COPIED, "{spliced}");
}

#[test]
fn close_delivers_what_was_produced_and_ends_both_sides_in_order() {
    let Some(lab) = lab(1) else { return };
    for argument in [UPSTREAM, DOWNSTREAM] {
        let (_folder, proxy) = proxy_with(&lab, &["closes"], "", argument);
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let mut stream = connect(lab.client(), server.address()).unwrap();
        stream.write_all(b"the last words. and more").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let report = server.report();
        report.end.unwrap();
        if argument == UPSTREAM {
            assert_eq!(report.received, 14);
            // The echo of it comes back only if it was faster than the end.
            assert!(b"the last words".starts_with(&answer), "{answer:?}");
        } else {
            assert_eq!(report.received, 24);
            assert_eq!(answer, b"the last words");
        }
        // The client has not ended its side, and may go on for a while.
        for _ in 0..20 {
            stream.write_all(&noise::bytes(1, 50_000)).unwrap();
        }
        assert!(stream.take_error().unwrap().is_none());
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        stream.shutdown(Shutdown::Write).unwrap();
        counted(&proxy, &[("ended_by_function_flows", 1), ("live_flows", 0)]).assert_adds_up();
    }
}

#[test]
fn reset_is_a_reset_at_both_ends() {
    let Some(lab) = lab(1) else { return };
    for argument in [UPSTREAM, DOWNSTREAM] {
        let (_folder, proxy) = proxy_with(&lab, &["resets"], "", argument);
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let mut stream = connect(lab.client(), server.address()).unwrap();
        stream.write_all(b"enough. ").unwrap();
        assert_reset(&stream);
        let end = server.report().end.unwrap_err();
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
        counted(&proxy, &[("ended_by_function_flows", 1), ("live_flows", 0)]).assert_adds_up();
    }
}

#[test]
fn who_finishes_early_does_not_stop_the_sender() {
    let Some(lab) = lab(1) else { return };
    let (_folder, proxy) = proxy_with(&lab, &["ends_early"], "", UPSTREAM);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let stream = connect(lab.client(), server.address()).unwrap();
    let bytes = noise::bytes(5, 20_000_000);
    // All of it is taken off the client's hands, and its answer is whole.
    assert_eq!(exchange(&stream, &bytes).unwrap(), bytes[..10]);
    let report = server.report();
    report.end.unwrap();
    assert_eq!(report.received, 10);
    counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]).assert_adds_up();
    drop((proxy, server));

    let (_folder, proxy) = proxy_with(&lab, &["ends_early"], "", DOWNSTREAM);
    let length = 20_000_000;
    let server = Server::start(lab.server(), 19, Habit::Give { length, seed: 6 });
    let mut stream = connect(lab.client(), server.address()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, noise::bytes(6, 16)[..10]);
    stream.shutdown(Shutdown::Write).unwrap();
    server.report().end.unwrap();
    counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]).assert_adds_up();
}

#[test]
fn a_function_that_takes_no_flow_refuses_it_by_reset() {
    let Some(lab) = lab(1) else { return };
    let folder = TempDir::new();
    modules::copy_rust_modules(folder.path());
    modules::compile("failing_spawn", &folder.join("failing_spawn.so"), &[]);
    let sections = section(1, &folder, "failing_spawn.so", "zoo", "")
        + &section(2, &folder, "libpanics.so", "panics", "")
        + &section(3, &folder, "libxor.so", "xor", "");
    for capture in ["saved_syn", "nfqueue"] {
        let options = format!("option capture '{capture}'");
        let proxy = Proxy::start_with(&lab, 1, &options, &sections);
        let server = Server::start(lab.server(), 7, Habit::Echo);
        for (id, argument) in [(1, 0), (2, 1)] {
            lab.steer(&[sid(1, 3, 42), sid(1, id, argument)]).unwrap();
            assert_reset_soon(connect(lab.client(), server.address()));
            if capture == "nfqueue" {
                // Its SYN was held until the server had answered.
                server.report().end.unwrap_err();
            }
        }
        lab.steer(&[sid(1, 3, 42)]).unwrap();
        let stream = connect(lab.client(), server.address()).unwrap();
        assert_eq!(exchange(&stream, b"and this").unwrap(), b"and this");
        let expected = [
            ("spawn_refused_flows", 2),
            ("finished_flows", 1),
            ("live_flows", 0),
        ];
        counted(&proxy, &expected).assert_adds_up();
    }
}

/// Runs the daemon with function 7 out of `module`; it must end by itself, with an error that says
/// all of `words` and names the line, and without a trace in the kernel.
fn assert_refused(lab: &Lab, module: &Path, name: &str, options: &str, words: &[&str]) {
    let workdir = Workdir::new(PREFIX).unwrap();
    let base = base_config(lab, 1, &workdir, "");
    let line = base.lines().count() + 1;
    let config = format!(
        "{base}config function\noption id '7'\noption module '{}'\noption name '{name}'\n{options}\n",
        module.display()
    );
    let config = workdir.write("proxy.conf", &config).unwrap();
    let before = kernel::state(lab.proxy(1));
    let mut run = lab.proxy(1).command(PROGRAM);
    let output = run.arg("run").arg("-c").arg(&config).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let place = format!("{}:{line}: ", config.display());
    let module = module.display().to_string();
    for word in [&[place.as_str(), "0x0007", name, module.as_str()], words].concat() {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
    let after = kernel::state(lab.proxy(1));
    assert_eq!(kernel::difference(&before, &after), [""; 0]);
    let left: Vec<_> = std::fs::read_dir(workdir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["proxy.conf"]);
}

#[test]
fn a_bad_module_ends_run_with_a_reason_before_the_kernel_is_touched() {
    let Some(lab) = lab(1) else { return };
    let folder = TempDir::new();
    for (fixture, name, words) in [
        ("no_symbol", "zoo", ["is no module", "all_funcs"]),
        ("wrong_major", "zoo", ["ABI", "0"]),
        (
            "null_function",
            "zoo",
            ["function 'zoo'", "func_despawn is NULL"],
        ),
        (
            "failing_init",
            "failing_init",
            ["func_init refused its options (7)", "today"],
        ),
        ("good", "bad", ["the module offers only: zoo", ""]),
    ] {
        let module = folder.join(format!("{fixture}.so"));
        modules::compile(fixture, &module, &[]);
        assert_refused(&lab, &module, name, "", &words);
    }
    modules::copy_rust_modules(folder.path());
    let panics = folder.join("libpanics.so");
    assert_refused(
        &lab,
        &panics,
        "panics",
        "option init 'panic'",
        &["panic", "in init"],
    );
    let words = ["told to refuse"];
    assert_refused(&lab, &panics, "panics", "option init 'refuse'", &words);
    assert_refused(
        &lab,
        &folder.join("missing.so"),
        "zoo",
        "",
        &["No such file"],
    );
}

#[test]
fn a_module_that_others_can_write_is_refused_with_the_way_out() {
    let Some(lab) = lab(1) else { return };
    let folder = TempDir::new();
    let module = folder.join("good.so");
    modules::compile("good", &module, &[]);
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (path, open, shut) in [
        (module.clone(), 0o666, 0o644),
        (module.clone(), 0o664, 0o644),
        (folder.path().to_owned(), 0o777, 0o755),
    ] {
        allow(&path, open);
        let fix = format!("chmod go-w {}", path.display());
        assert_refused(&lab, &module, "zoo", "", &[&fix]);
        allow(&path, shut);
    }
}
