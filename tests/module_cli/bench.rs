//! `module bench` says numbers that can be; how large they are is no test's business.

use std::path::Path;

use serde_json::Value;

use crate::modules::{TempDir, compile, copy_rust_modules};
use crate::program::{Ended, end, program};

fn bench(file: &Path, words: &[&str]) -> Ended {
    let rounds = if words.contains(&"--rounds") {
        &[][..]
    } else {
        &["--rounds", "3"]
    };
    end(program(["bench"]).arg(file).args(rounds).args(words), b"")
}

fn rows(file: &Path, words: &[&str]) -> Vec<Value> {
    let ended = bench(file, &[words, &["--json"]].concat());
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    report["rows"].as_array().unwrap().clone()
}

/// The numbers of a row fit each other.
fn plausible(row: &Value) {
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{row}"));
    for key in [
        "mb_per_s",
        "copy_mb_per_s",
        "memcpy_mb_per_s",
        "clock_mb_per_s",
    ] {
        let spread = &row[key];
        let [least, median, most] = ["min", "median", "max"].map(|key| number(&spread[key]));
        assert!(0.0 < least && least <= median && median <= most, "{row}");
    }
    let ratio = number(&row["mb_per_s"]["median"]) / number(&row["copy_mb_per_s"]["median"]);
    assert!((number(&row["of_copy"]) - ratio).abs() < 1e-6, "{row}");
    assert!(number(&row["of_memcpy"]) > 0.0);
}

#[test]
fn every_kind_of_stream_in_both_directions_has_its_numbers() {
    let dir = TempDir::new();
    copy_rust_modules(dir.path());
    let xor = dir.join("libxor.so");
    let measured = rows(&xor, &["--argument", "0x2a"]);
    let kinds: Vec<_> = measured
        .iter()
        .map(|row| (&row["data"], &row["direction"]))
        .collect();
    assert_eq!(kinds.len(), 4);
    assert_eq!((kinds[0].0, kinds[3].0), (&"text".into(), &"random".into()));
    assert_eq!(
        (kinds[0].1, kinds[1].1),
        (&"upstream".into(), &"downstream".into())
    );
    measured.iter().for_each(plausible);

    let text = bench(&xor, &["--argument", "0x2a"]).text();
    assert!(
        text.starts_with("xor 0.1.0, argument 0x2a: 64 KiB windows, one core"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 8, "{text}");
    assert!(text.contains("\na function that only copies: "), "{text}");
}

#[test]
fn what_cannot_be_measured_says_so_in_its_row() {
    let dir = TempDir::new();
    copy_rust_modules(dir.path());
    let passes = rows(&dir.join("libcopy.so"), &[]);
    assert_eq!(
        passes[0]["note"],
        "passes within 65536 bytes: the kernel moves the rest"
    );

    let module = dir.join("inverse.so");
    compile("inverse", &module, &["-O2"]);
    let alone = rows(&module, &["--function", "unsalt"]);
    assert_eq!(
        alone[0]["note"],
        "ended the flow (RESET) within 65536 bytes"
    );
    plausible(&alone[1]);
    for row in rows(&module, &["--function", "unsalt", "--inverse", "salt"]) {
        plausible(&row);
    }
    let ended = bench(&module, &["--function", "unsalt", "--inverse", "unsalt"]);
    assert!(
        ended.stderr.contains("'unsalt' does not undo the function"),
        "{ended:?}"
    );
    assert_eq!((ended.code, ended.stdout.len()), (Some(1), 0));
}

#[test]
fn who_waits_is_waited_for_only_if_it_holds_something_up() {
    let dir = TempDir::new();
    let module = dir.join("waiting.so");
    compile("waiting", &module, &["-O2", "-lpthread"]);
    for function in ["lingers", "asks"] {
        let measured = rows(&module, &["--function", function, "--rounds", "1"]);
        measured.iter().for_each(plausible);
    }
    let text = bench(&module, &["--function", "paces", "--rounds", "1"]).text();
    assert_eq!(text.matches("  waits: ").count(), 4, "{text}");
}

#[test]
fn a_sample_takes_the_place_of_our_own_bytes() {
    let dir = TempDir::new();
    copy_rust_modules(dir.path());
    let sample = dir.join("sample");
    std::fs::write(&sample, b"hello").unwrap();
    let words = ["--sample", sample.to_str().unwrap()];
    let measured = rows(&dir.join("libpasses.so"), &words);
    assert_eq!(measured.len(), 2);
    assert_eq!(measured[0]["data"], "sample");
    let ended = bench(&dir.join("libpasses.so"), &["--sample", "/nowhere/at/all"]);
    assert!(
        ended.stderr.contains("read /nowhere/at/all: No such file"),
        "{ended:?}"
    );
}
