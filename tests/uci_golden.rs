//! Whole configuration files and what becomes of them: `good/*.uci` with the configuration as it
//! is printed, `broken/*.uci` with all the errors. To write the expected files anew, run with
//! `UPDATE_EXPECTED=1` and read the difference.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that can't be read fails the test"
)]

use std::fs;
use std::path::{Path, PathBuf};

use srv6pipes::config::{self, Problems};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/uci");

#[test]
fn good_files_print_as_expected_and_read_back_the_same() {
    let files = fixtures("good");
    assert!(files.len() >= 8);
    for file in files {
        let config = config::load(&file).unwrap_or_else(|problems| panic!("{problems}"));
        let printed = config.to_string();
        expect(&file, &printed);
        let again = config::parse(printed.as_bytes()).unwrap();
        assert_eq!(again.to_string(), printed, "{}", file.display());
    }
}

#[test]
fn broken_files_show_all_their_mistakes() {
    let files = fixtures("broken");
    assert!(files.len() >= 15);
    for file in files {
        let Err(Problems::Mistakes { problems, .. }) = config::load(&file) else {
            panic!("{} has no mistakes", file.display());
        };
        assert!(!problems.is_empty());
        let path = PathBuf::from("/etc/config/srv6pipes");
        let shown = Problems::Mistakes { path, problems };
        expect(&file, &format!("{shown}\n"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let problems = config::load(Path::new("/nowhere/srv6pipes")).unwrap_err();
    let shown = problems.to_string();
    assert!(shown.starts_with("read /nowhere/srv6pipes: No such file or directory"));
    let problems = config::load(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(problems.to_string(), "/dev/zero: larger than 1048576 bytes");
}

#[test]
fn no_truncation_panics() {
    for file in every_fixture() {
        let text = fs::read(&file).unwrap();
        // The fixtures that are made large by repetition are cut in steps.
        for end in (0..text.len()).step_by(1 + text.len() / 2000) {
            check(&text[..end]);
        }
    }
}

#[test]
fn no_mutation_panics() {
    let mut random = 0x5172_3669_7065_7321_u64;
    let mut next = move |bound: usize| {
        // xorshift64 (Marsaglia 2003): the same mutations in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % u64::try_from(bound).unwrap()).unwrap()
    };
    let pieces: [&[u8]; 12] = [
        b"'", b"\"", b"\\", b"\n", b"#", b";", b"\0", b"\xff", b" ", b"config ", b"option ", b"/",
    ];
    for file in every_fixture() {
        let original = fs::read(&file).unwrap();
        for _ in 0..200 {
            let mut text = original.clone();
            for _ in 0..=next(4) {
                let at = next(text.len() + 1);
                let to = (at + next(8)).min(text.len());
                text.splice(at..to, pieces[next(pieces.len())].iter().copied());
                text.push(b'\n');
            }
            check(&text);
        }
    }
}

/// What is read has a printed form that reads the same; what is not has sorted reasons.
fn check(text: &[u8]) {
    match config::parse(text) {
        Ok(config) => {
            let printed = config.to_string();
            let again = config::parse(printed.as_bytes()).unwrap();
            assert_eq!(again.to_string(), printed);
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "{}", text.escape_ascii());
            assert!(problems.is_sorted_by_key(|problem| problem.line));
            let lines = text.split(|&byte| byte == b'\n').count();
            for problem in problems {
                assert!(usize::try_from(problem.line).unwrap() <= lines);
                assert!(!problem.to_string().contains(char::is_control));
            }
        }
    }
}

fn every_fixture() -> Vec<PathBuf> {
    let mut files = fixtures("good");
    files.extend(fixtures("broken"));
    files
}

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(FIXTURES).join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "uci"))
        .collect();
    files.sort();
    files
}

#[track_caller]
fn expect(file: &Path, found: &str) {
    let path = file.with_extension("expected");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}", path.display());
}
