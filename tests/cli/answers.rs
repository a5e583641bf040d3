//! What a running daemon answers, in words and on its socket.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::ended::to_end;
use crate::harness::peer::{Habit, Server};
use crate::harness::proxy::{PROGRAM, Proxy};
use crate::harness::talk::Talk;
use crate::harness::{PATIENCE, lab};
use srv6pipes::demo::lab::sid;
use srv6pipes::stats::{Counters, FunctionCounters};

#[test]
fn status_and_flows_have_every_documented_key() {
    let Some(lab) = lab(1) else { return };
    let proxy = Proxy::start(&lab, 1);
    lab.steer(&[sid(1, 1, 0x2a), sid(1, 1, 0x15)]).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut talk = Talk::begin(&lab, &server).unwrap();
    talk.say(&[b'x'; 1000]).unwrap();

    let status = proxy.json("status");
    let keys = [
        "capture",
        "counters",
        "functions",
        "kernel",
        "locators",
        "pid",
        "uptime_seconds",
    ];
    assert_eq!(
        keys_of(&status),
        [&keys[..], &["version", "workers"]].concat()
    );
    assert_eq!(status["pid"], proxy.pid());
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["capture"], "saved_syn");
    assert_eq!(status["locators"], serde_json::json!(["fd00:99:1::/80"]));
    assert_eq!(keys_of(&status["kernel"]), ["ip6_in_hdr_errors_packets"]);
    assert_eq!(
        keys_of(&status["counters"]),
        names(&Counters::default().snapshot())
    );
    for (name, number) in [
        ("live_flows", 1),
        ("accepted_flows", 1),
        ("piped_flows", 1),
        ("upstream_in_bytes", 1000),
        ("downstream_out_bytes", 1000),
        ("finished_flows", 0),
    ] {
        assert_eq!(status["counters"][name], number, "{name}");
    }
    let functions = status["functions"].as_array().unwrap();
    let mut keys = names(&FunctionCounters::default().snapshot());
    keys.extend(["counters", "id", "module", "name", "version"].map(str::to_owned));
    keys.sort();
    assert_eq!(functions.len(), 2);
    assert!(functions.iter().all(|function| keys_of(function) == keys));
    assert_eq!(functions[0]["id"], "0x0001");
    assert_eq!(
        (&functions[0]["flows"], &functions[0]["in_bytes"]),
        (&2.into(), &4000.into())
    );

    let flows = proxy.json("flows");
    assert_eq!(keys_of(&flows), ["flows"]);
    let flow = &flows["flows"][0];
    let keys = [
        "age_seconds",
        "client",
        "downstream_in_bytes",
        "downstream_out_bytes",
        "functions",
        "server",
        "spliced_bytes",
        "state",
        "upstream_in_bytes",
        "upstream_out_bytes",
    ];
    assert_eq!(keys_of(flow), keys);
    assert_eq!(flow["client"], talk.client().to_string());
    assert_eq!(flow["server"], server.address().to_string());
    assert_eq!(flow["state"], "piping");
    assert_eq!(flow["functions"], serde_json::json!(["0x0001", "0x0001"]));
    assert_eq!(flow["upstream_out_bytes"], 1000);

    let table = to_end(&mut proxy.command("flows")).with(0).stdout;
    let line = format!(
        "{} → {}  piping  functions [0x0001 0x0001]  ",
        talk.client(),
        server.address()
    );
    assert!(table.starts_with(&line), "{table}");
    assert!(
        table.ends_with("  up 1.0 kB  down 1.0 kB\n1 flows\n"),
        "{table}"
    );
    let table = to_end(&mut proxy.command("status")).with(0).stdout;
    assert!(table.contains("locator   fd00:99:1::/80\n"), "{table}");
    assert!(table.contains("           1  live flows\n"), "{table}");
    talk.end();
}

fn keys_of(value: &Value) -> Vec<String> {
    let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

fn names(counters: &[(&'static str, u64)]) -> Vec<String> {
    let mut names: Vec<String> = counters
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    names.sort();
    names
}

/// Says `words` to the control socket, then ends its side if `end`; the answer.
fn say(socket: &Path, words: &[u8], end: bool) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The daemon may have answered and gone before all of it is said.
    let _ = stream.write_all(words);
    if end {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let mut answer = Vec::new();
    // Or a reset, if it did not read all of it.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn the_control_socket_is_roots_and_survives_whatever_is_said_to_it() {
    let Some(lab) = lab(1) else { return };
    let proxy = Proxy::start(&lab, 1);
    let socket = proxy.workdir().path().join("control.sock");
    let meta = fs::metadata(&socket).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o600, 0));
    for (words, end, error) in [
        (&b"status"[..], true, "ends before its newline"),
        (b"stat", false, "ends before its newline"),
        (b"", true, "ends before its newline"),
        (b"", false, "ends before its newline"),
        (b"\n", true, "no such request"),
        (b"STATUS\n", true, "no such request"),
        (b"status --json\n", true, "no such request"),
        (b"\0\xff\xfe{}\n", true, "no such request"),
        (&[b'x'; 64], true, "ends before its newline"),
        (&[b'x'; 65], false, "longer than 64 bytes"),
        (&[b'x'; 100_000], false, "longer than 64 bytes"),
        (&[b'\n'; 5], true, "no such request"),
    ] {
        let answer = say(&socket, words, end);
        // Bytes that were not read make a reset of the close, which may overtake the answer.
        if !(answer.is_empty() && words.len() > 65) {
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let text = answer["error"].as_str().unwrap();
            assert!(text.contains(error), "{}: {text}", words.escape_ascii());
        }
        proxy.json("status");
    }
    // In pieces, with a word too many, and an answer that nobody waits for.
    let mut stream = UnixStream::connect(&socket).unwrap();
    for byte in b" flows \r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let _ = stream.write_all(b"and more");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert_eq!(answer, "{\"flows\":[]}\n");
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"status\n").unwrap();
    drop(stream);
    proxy.json("status");
}

#[test]
fn many_operators_at_once_and_silent_ones_hold_up_nobody() {
    let Some(lab) = lab(1) else { return };
    let proxy = Proxy::start(&lab, 1);
    let socket = proxy.workdir().path().join("control.sock");
    let silent: Vec<UnixStream> = (0..100)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    let asked = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let answer = say(&socket, b"status\n", false);
                let answer: Value = serde_json::from_str(&answer).unwrap();
                assert_eq!(answer["pid"], proxy.pid());
            });
        }
    });
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    drop(silent);
    // Nor does one that is silent while the daemon is to stop.
    let _silent = UnixStream::connect(&socket).unwrap();
    let mut proxy = proxy;
    assert_eq!(proxy.stop().code(), Some(0));
}

#[test]
fn a_stale_socket_is_replaced_and_another_file_in_its_place_is_kept() {
    let Some(lab) = lab(1) else { return };
    let mut proxy = Proxy::start(&lab, 1);
    let socket = proxy.workdir().path().join("control.sock");
    proxy.kill_9();
    assert!(socket.exists());
    proxy.restart(&lab);
    proxy.stop();
    assert!(!socket.exists());

    fs::write(&socket, "precious").unwrap();
    let mut command = lab.proxy(1).command(PROGRAM);
    let ended = to_end(command.arg("run").arg("-c").arg(proxy.config_path())).with(1);
    let words = format!(
        "control socket {}: something that is not a socket is in the way",
        socket.display()
    );
    assert!(ended.stderr.contains(&words), "{ended:?}");
    let mut command = lab.proxy(1).command(PROGRAM);
    to_end(command.arg("clean").arg("-c").arg(proxy.config_path())).with(0);
    assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
}

#[test]
fn whoever_has_broken_the_file_may_still_ask() {
    let Some(lab) = lab(1) else { return };
    let proxy = Proxy::start(&lab, 1);
    let text = fs::read_to_string(proxy.config_path()).unwrap();
    fs::write(
        proxy.config_path(),
        text.replace("fd00:99:1::/80", "fd00:99:1::/64"),
    )
    .unwrap();
    assert_eq!(proxy.json("status")["pid"], proxy.pid());
    assert_eq!(proxy.json("flows")["flows"], serde_json::json!([]));
    let twice = "option control_socket '/a'\noption control_socket '/b'\n";
    fs::write(
        proxy.config_path(),
        format!("config srv6pipes 'main'\n{twice}"),
    )
    .unwrap();
    let ended = to_end(&mut proxy.command("status")).with(1);
    assert!(ended.stderr.contains("proxy.conf:3: "), "{ended:?}");
}
