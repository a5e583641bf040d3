//! What every file of the tree keeps to, as far as a test can see it.

mod files;

use files::{below, is_rust, root, text};

/// A file longer than this says two things.
const LINES: usize = 400;

/// Folders of the machines that this was made on; in pieces, so that this file passes.
const MACHINE: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/tmp/", "wt"),
    concat!("/tmp/", "t-"),
];

/// `check` says what is wrong with a path and text, if anything is.
fn all(rust_only: bool, check: impl Fn(&str) -> Option<String>) {
    let files = below(&root());
    let files: Vec<_> = files
        .iter()
        .filter(|path| !rust_only || is_rust(path))
        .collect();
    assert!(files.len() > 10, "the check sees {} files", files.len());
    let found: Vec<_> = files
        .iter()
        .filter_map(|path| {
            let wrong = check(&text(path))?;
            let path = path.strip_prefix(root()).unwrap_or(path);
            Some(format!("{}: {wrong}", path.display()))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_source_says_first_what_it_is() {
    all(true, |text| {
        (!text.starts_with("//! ")).then(|| "does not open with //!".to_owned())
    });
}

#[test]
fn no_source_is_too_long() {
    all(true, |text| {
        let lines = text.lines().count();
        (lines > LINES).then(|| format!("{lines} lines"))
    });
}

#[test]
fn no_source_has_tabs_or_trailing_space() {
    all(true, |text| {
        let wrong = |line: &str| line.contains('\t') || line.ends_with(' ');
        let line = text.lines().position(wrong)?;
        Some(format!("line {}", line + 1))
    });
}

#[test]
fn no_file_knows_the_machine_it_was_made_on() {
    all(false, |text| {
        let path = MACHINE.iter().find(|path| text.contains(**path))?;
        Some(format!("names {path}"))
    });
}
