//! Replays the fuzz corpora, and the golden packets with them, without a fuzzer.
//!
//! A crash found by `cargo fuzz` is kept as a file of the corpus and stays found here.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking; Clippy exempts #[test] functions only"
)]

use std::fs;
use std::path::Path;

#[path = "fuzz/src/lib.rs"]
mod targets;

fn replay(folder: &str, extension: Option<&str>, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let mut replayed = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().and_then(|e| e.to_str()) == extension {
            // Shown by the harness when the target panics.
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
            replayed += 1;
        }
    }
    assert_ne!(replayed, 0, "{} is empty", folder.display());
}

#[test]
fn srh() {
    replay("fuzz/corpus/srh", None, targets::srh);
    replay("fixtures/packets", Some("bin"), targets::srh);
}

#[test]
fn uci() {
    replay("fuzz/corpus/uci", None, targets::uci);
    replay("fixtures/uci/good", Some("uci"), targets::uci);
    replay("fixtures/uci/broken", Some("uci"), targets::uci);
}

#[test]
fn control() {
    replay("fuzz/corpus/control", None, targets::control);
}

#[test]
fn clienthello() {
    replay("fuzz/corpus/clienthello", None, targets::clienthello);
}

#[test]
fn request() {
    replay("fuzz/corpus/request", None, targets::request);
}
