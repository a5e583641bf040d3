//! What people read and type beside `--help` says the same as it: the manual page, and the
//! completions of three shells. The page also has every option of the configuration.

#![allow(clippy::unwrap_used, reason = "this is a test, helpers included")]

mod completions;
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use srv6pipes::demo::program;

/// Options by the words of their command, which are empty for the program itself. `--help`, which
/// all of them have, is left out but there.
type Words = BTreeMap<String, BTreeSet<String>>;

/// A file of this source tree.
fn path(file: &str) -> String {
    format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// What `--help` of every command lists.
fn helped() -> Words {
    let mut words = Words::new();
    let mut todo = vec![String::new()];
    while let Some(command) = todo.pop() {
        let mut help = Command::new(env!("CARGO_BIN_EXE_srv6pipes"));
        help.args(command.split_whitespace()).arg("--help");
        let text = said(&mut help);
        let list = |heading: &str| {
            let lines = text.lines().skip_while(|line| *line != heading).skip(1);
            let lines = lines.take_while(|line| line.starts_with("  "));
            // What is further in goes on about the line above.
            let lines = lines.filter_map(|line| line.strip_prefix("  "));
            let lines: Vec<String> = lines
                .filter(|line| !line.starts_with(' '))
                .map(str::to_owned)
                .collect();
            lines
        };
        let mut options: BTreeSet<String> = list("Options:")
            .iter()
            .flat_map(|line| {
                line.split([' ', ','])
                    .take_while(|word| word.starts_with('-') || word.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .filter(|word| !word.is_empty())
            .collect();
        assert!(options.remove("--help"), "{text}");
        if command.is_empty() {
            options.insert("--help".to_owned());
        }
        for line in list("Commands:") {
            let word = line.split(' ').next().unwrap();
            todo.push(format!("{command} {word}").trim().to_owned());
        }
        words.insert(command, options);
    }
    assert!(
        words.len() > 10 && words["module check"].contains("--patience"),
        "{words:#?}"
    );
    words
}

/// What `command` writes to standard output; it must end well and say nothing else.
fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stderr.is_empty(),
        "{}: {}: {stderr}",
        program::words(command),
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Whether `program` is installed; where it is not, that is said, and in CI it is an error.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(Path::new(program)).is_file()) {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{program} is missing, and CI is set"
    );
    // Not eprintln!: of a test that passes, the runner would swallow it.
    let line = format!("SKIPPED part of tests/manual: {program} is missing\n");
    io::stderr().write_all(line.as_bytes()).unwrap();
    false
}
