//! What a child is given, and what not.

use std::fs;

use super::{filter, make};
use crate::program;

/// A line of our own /proc/self/status.
fn own_status(name: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name));
    line.unwrap().to_owned()
}

/// Descriptors that whoever started this test left open for all: not ours to close.
fn handed_down() -> Vec<u32> {
    let entries = fs::read_dir("/proc/self/fdinfo").unwrap();
    let names = entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let kept = names.filter(|name| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{name}"));
        let flags = info.unwrap_or_default();
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags:"));
        // O_CLOEXEC in octal; what is gone meanwhile is no matter.
        flags.is_some_and(|flags| i64::from_str_radix(flags.trim(), 8).unwrap() & 0o200_0000 == 0)
    });
    kept.map(|name| name.parse().unwrap()).collect()
}

#[test]
fn a_child_has_no_descriptor_but_its_three() {
    let exec = make(&["ls", "/proc/self/fd"], &[], &[]);
    let text = String::from_utf8(filter(&exec, b"").unwrap()).unwrap();
    let mut fds: Vec<u32> = text.lines().map(|fd| fd.parse().unwrap()).collect();
    let inherited = handed_down();
    fds.retain(|fd| !inherited.contains(fd) || *fd <= 2);
    // The fourth is the folder that it lists.
    assert!(fds.len() == 4 && fds.starts_with(&[0, 1, 2]), "{fds:?}");
}

#[test]
fn a_child_starts_clean() {
    let script = "read go; pwd; env | sort; id -u; id -G; ulimit -v; ulimit -t; nice; \
        grep -E '^(SigBlk|SigIgn|CapEff|CapAmb|NoNewPrivs)' /proc/self/status; \
        ps -o pgid= -p $$ | tr -d ' '; echo $$";
    let limits = [("nice", "7"), ("memory_limit", "100"), ("cpu_limit", "9")];
    let exec = make(&["sh", "-c", script], &[], &limits);
    let text = String::from_utf8(filter(&exec, b"go\n").unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let own = rustix::process::getuid();
    let (uid, groups) = match own.is_root() {
        true => ("65534".to_owned(), "65534".to_owned()),
        false => (own.as_raw().to_string(), lines[6].to_owned()),
    };
    // Rust's own start has SIGPIPE, signal 13, ignored; a child has not.
    let ignored = own_status("SigIgn").replace("SigIgn:\t", "");
    let ignored = u64::from_str_radix(&ignored, 16).unwrap() & !(1 << 12);
    let path = format!("PATH={}", program::PATH);
    let ignored = format!("SigIgn:\t{ignored:016x}");
    let expected = [
        "/",
        "LANG=C",
        &path,
        "PWD=/",
        "SRV6PIPES_ARGUMENT=42",
        &uid,
        &groups,
        "102400",
        "9",
        "7",
        "SigBlk:\t0000000000000000",
        &ignored,
        "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        // It leads its group.
        lines[16],
    ];
    // In the order of the file, which the kernel chooses.
    let (mut found, mut expected) = (lines[..16].to_vec(), expected);
    found[10..15].sort_unstable();
    expected[10..15].sort_unstable();
    assert_eq!(found, expected, "{text}");
}
