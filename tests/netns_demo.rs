//! `srv6pipes demo` from the outside: it shows what it promises, twice, and leaves nothing.

#![allow(clippy::unwrap_used, reason = "this is a test, helpers included")]

mod harness;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use harness::proxy::{PROGRAM, modules};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The demo with the stock modules of this build.
fn demo() -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg("demo")
        .arg("--modules")
        .arg(modules())
        .stdin(Stdio::null());
    command
}

/// Namespaces and folders of the demo that process `pid` ran.
fn left_by(pid: u32) -> Vec<String> {
    ["/run", "/run/netns"]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(&format!("srv6p-demo-{pid}-")))
        .collect()
}

#[test]
fn it_shows_the_chain_and_a_second_run_does_too() {
    if !harness::is_root() {
        return;
    }
    for _ in 0..2 {
        let child = demo()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stdout}\n{stderr}");
        // Wires 1 and 3 show the request, wire 2 does not.
        assert_eq!(stdout.matches("|GET /").count(), 2, "{stdout}");
        assert!(
            stdout.contains("SRH [fd00:99:1::1:0:2a, fd00:99:2::1:0:2a, fd00:5::1]"),
            "{stdout}"
        );
        assert!(
            stdout.contains("nginx saw the client as fd00:c::1"),
            "{stdout}"
        );
        let sums: Vec<_> = stdout
            .lines()
            .filter(|line| line.contains("SHA-256"))
            .filter_map(|line| line.split_whitespace().last())
            .collect();
        assert!(matches!(sums[..], [sent, received] if sent == received && sent.len() == 64));
        assert_eq!(left_by(pid), [""; 0]);
    }
}

#[test]
fn it_tidies_up_when_told_to_stop_half_way() {
    if !harness::is_root() {
        return;
    }
    for (signal, line) in [(Signal::SIGTERM, "Starting"), (Signal::SIGINT, "Sending")] {
        let mut child = demo()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The rest is read too, or the demo would end by a closed pipe.
        let mut told = false;
        for text in lines {
            if !told && text.unwrap().starts_with(line) {
                kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
                told = true;
            }
        }
        assert!(told, "never came to {line}");
        assert_eq!(child.wait().unwrap().code(), Some(1), "{signal}");
        assert_eq!(left_by(child.id()), [""; 0], "{signal}");
    }
}
