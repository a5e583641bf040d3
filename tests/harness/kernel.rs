//! The state of a namespace that a set-up could have changed, to compare before and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use srv6pipes::demo::namespace::Namespace;
use srv6pipes::demo::program;

/// What is asked, and how.
const QUESTIONS: &[&[&str]] = &[
    &["ip", "-6", "rule", "show"],
    &["ip", "-4", "rule", "show"],
    &["ip", "-6", "route", "show", "table", "all"],
    &["ip", "-4", "route", "show", "table", "all"],
    &["ip", "-o", "link", "show"],
    &["ip", "-o", "address", "show"],
    &["nft", "list", "ruleset"],
];

/// Sysctls: all files directly in these folders, and for the last one in its sub-folders.
const SYSCTLS: &[&str] = &["net/core", "net/ipv4", "net/ipv6", "net/mptcp"];
/// One folder per device.
const PER_DEVICE: &str = "net/ipv6/conf";

/// Answers by question; a sysctl is a question too.
pub type State = BTreeMap<String, String>;

/// All of it, now.
pub fn state(namespace: &Namespace) -> State {
    let mut state = State::new();
    for words in QUESTIONS {
        let mut command: Command = namespace.command(words[0]);
        let answer = program::run(command.args(&words[1..])).unwrap();
        state.insert(words.join(" "), String::from_utf8(answer).unwrap());
    }
    // In one thread: /proc/sys/net shows the namespace of whoever opens a file there.
    let sysctls = namespace.run(|| {
        let mut sysctls = State::new();
        for folder in SYSCTLS {
            read(folder, &mut sysctls);
        }
        for device in fs::read_dir(Path::new("/proc/sys").join(PER_DEVICE)).unwrap() {
            let device = device.unwrap().file_name();
            read(
                &format!("{PER_DEVICE}/{}", device.to_str().unwrap()),
                &mut sysctls,
            );
        }
        sysctls
    });
    state.extend(sysctls.unwrap());
    state
}

/// Puts every readable file of `folder` into `sysctls`.
fn read(folder: &str, sysctls: &mut State) {
    let Ok(entries) = fs::read_dir(Path::new("/proc/sys").join(folder)) else {
        return; // this kernel has no MPTCP
    };
    for entry in entries {
        let entry = entry.unwrap();
        // Some are write-only, some answer only once set (stable_secret).
        if entry.file_type().unwrap().is_file()
            && let Ok(value) = fs::read_to_string(entry.path())
        {
            let name = entry.file_name();
            sysctls.insert(format!("{folder}/{}", name.to_str().unwrap()), value);
        }
    }
}

/// What differs, one line each: empty when nothing does.
pub fn difference(before: &State, after: &State) -> Vec<String> {
    let questions = before
        .keys()
        .chain(after.keys().filter(|q| !before.contains_key(*q)));
    let mut lines = Vec::new();
    for question in questions {
        let [old, new] =
            [before, after].map(|state| state.get(question).map_or("", String::as_str));
        let gone = old
            .lines()
            .filter(|line| !new.lines().any(|other| other == *line));
        lines.extend(gone.map(|line| format!("{question}: - {line}")));
        let come = new
            .lines()
            .filter(|line| !old.lines().any(|other| other == *line));
        lines.extend(come.map(|line| format!("{question}: + {line}")));
    }
    lines
}
