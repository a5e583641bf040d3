//! `srv6pipes demo` from the outside: it shows what it promises, twice, and leaves nothing.

#![allow(clippy::unwrap_used, reason = "this is a test, helpers included")]

mod harness;
mod modules;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use harness::proxy::{PROGRAM, modules as stock};
use modules::{TempDir, templates};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The demo with the stock modules of this build.
fn demo() -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg("demo")
        .arg("--modules")
        .arg(stock())
        .stdin(Stdio::null());
    command
}

/// Runs it to its end with functions of its caller's; exit code, standard output and error.
fn demo_of(functions: &[&str]) -> (Option<i32>, String, String) {
    let mut command = demo();
    for function in functions {
        command.args(["--function", function]);
    }
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(left_by(pid), [""; 0]);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
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

#[test]
fn it_runs_a_function_of_ones_own() {
    if !harness::is_root() {
        return;
    }
    let dir = TempDir::new();
    let module = templates::in_c(dir.path());
    let (code, out, err) = demo_of(&[&format!("{}:upper", module.display())]);
    assert_eq!(code, Some(0), "{out}\n{err}");
    let line = "P1 runs upper with argument 0x0, P2 runs copy with argument 0x0.";
    assert!(out.contains(line), "{out}");
    // Only the wire to the client has the capitals.
    assert_eq!(out.matches("|.SERVER: NGINX/1|").count(), 1, "{out}");
    assert_eq!(out.matches("|.Server: nginx/1|").count(), 2, "{out}");
    let received = r#"curl received "HELLO FROM THE FAR END OF THE PIPE.\n""#;
    assert!(out.contains(received), "{out}");
    assert!(out.contains("the functions have changed it"), "{out}");
    assert!(
        out.contains("libupper.so): 3 flows, 67.1 MB in, 67.1 MB out, 0 broken"),
        "{out}"
    );
}

#[test]
fn it_runs_a_pair_of_functions() {
    if !harness::is_root() {
        return;
    }
    let pair = ["libcompress.so:compress", "libcompress.so:decompress:0x0"];
    let (code, out, err) = demo_of(&pair);
    assert_eq!(code, Some(0), "{out}\n{err}");
    let line = "P1 runs compress with argument 0x0, P2 runs decompress with argument 0x0.";
    assert!(out.contains(line), "{out}");
    assert_eq!(out.matches("-> 47 45 54 20 ").count(), 2, "{out}");
    assert!(out.contains("Byte for byte what nginx sent."), "{out}");
    // What the function counts itself.
    assert!(out.contains("  packed bytes  direction=upstream"), "{out}");
}

#[test]
fn it_says_why_a_function_cannot_be_shown() {
    if !harness::is_root() {
        return;
    }
    // nginx answers gibberish with an error that curl does not understand.
    let (code, out, err) = demo_of(&["libxor.so:xor:1"]);
    assert_eq!(code, Some(1), "{out}\n{err}");
    assert!(err.contains("curl: ("), "{err}");
    assert!(out.contains("P1 had logged:"), "{out}");
    let (code, _, err) = demo_of(&["./libnone.so:none"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("no module ./libnone.so"), "{err}");
    let (code, _, err) = demo_of(&["libnone.so:none"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("/libnone.so; `cargo build"), "{err}");
    let (code, _, err) = demo_of(&["libxor.so:xor:1"; 3]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("3 functions for two proxies"), "{err}");
    let (code, _, err) = demo_of(&["libxor.so"]);
    assert_eq!(code, Some(64), "{err}");
    assert!(err.contains("FILE:NAME:ARGUMENT"), "{err}");
}
