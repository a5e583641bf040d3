//! `module run`: a function as a filter, and pairs that undo each other.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::modules::{TempDir, compile, copy_rust_modules};
use crate::program::{Ended, end, program};

/// Bytes of which none of 0 to 255 is missing, and that repeat nowhere near.
fn bytes(length: u32) -> Vec<u8> {
    let number = |n: u32| n.wrapping_mul(2_654_435_761).to_le_bytes();
    (0..length).flat_map(|n| number(n)[3..].to_vec()).collect()
}

fn xor(dir: &TempDir) -> PathBuf {
    copy_rust_modules(dir.path());
    dir.join("libxor.so")
}

fn run(file: &Path, words: &[&str], input: &[u8]) -> Ended {
    end(program(["run"]).arg(file).args(words), input)
}

#[test]
fn what_comes_in_goes_out_through_the_function() {
    let dir = TempDir::new();
    let xor = xor(&dir);
    let plain = bytes(300_000);
    let wanted: Vec<u8> = plain.iter().map(|byte| byte ^ 0x2a).collect();
    for words in [
        &["--argument", "0x2a"][..],
        &["--argument", "42", "--function", "xor", "--chunk", "7"],
        &["--argument", "42", "--direction", "downstream"],
    ] {
        let ended = run(&xor, words, &plain);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{words:?}");
        assert!(ended.stdout == wanted, "{words:?}");
    }
    let ended = run(&xor, &[], b"");
    assert_eq!((ended.code, ended.stdout.len()), (Some(0), 0));

    compile("order", &dir.join("order.so"), &[]);
    let tell = |direction| {
        let words = [
            "--function",
            "tell",
            "--argument",
            "0x61626364",
            "--direction",
            direction,
        ];
        run(&dir.join("order.so"), &words, b"e").text()
    };
    assert_eq!(
        (tell("upstream"), tell("downstream")),
        ("abcde".to_owned(), "e".to_owned())
    );
    assert_eq!(run(&xor, &["--direction", "sideways"], b"").code, Some(64));
}

#[test]
fn a_function_that_waits_is_waited_for_and_woken() {
    let dir = TempDir::new();
    let module = dir.join("waiting.so");
    compile("waiting", &module, &["-lpthread"]);
    let plain = bytes(200_000);
    for function in ["paces", "asks"] {
        let ended = run(&module, &["--function", function], &plain);
        assert_eq!(ended.code, Some(0), "{function}: {}", ended.stderr);
        assert!(ended.stdout == plain, "{function}");
    }
    // What has come goes on before more comes.
    let mut child = program(["run"])
        .arg(&module)
        .args(["--function", "asks"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for line in [b"one\n", b"two\n"] {
        stdin.write_all(line).unwrap();
        let mut came = [0; 4];
        stdout.read_exact(&mut came).unwrap();
        assert_eq!(&came, line);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn memory_does_not_grow_with_the_stream() {
    let dir = TempDir::new();
    let mut child = program(["run"])
        .arg(xor(&dir))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let block = bytes(1 << 20);
    let blocks = 64;
    let reader = std::thread::spawn(move || {
        let mut came = vec![0; 1 << 20];
        (0..blocks).for_each(|_| stdout.read_exact(&mut came).unwrap());
        stdout
    });
    for _ in 0..blocks {
        stdin.write_all(&block).unwrap();
    }
    let stdout = reader.join().unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let most: usize = most
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(most < 48 << 10, "{most} KiB");
    drop((stdin, stdout));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is() {
    let dir = TempDir::new();
    let xor = xor(&dir);
    let mut child = program(["run"])
        .arg(&xor)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    // The pipe breaks under us, too, once it has noticed.
    let block = bytes(1 << 20);
    let mut stdin = child.stdin.take().unwrap();
    let broken = (0..1000).any(|_| stdin.write_all(&block).is_err());
    assert!(broken);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));

    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut child = program(["run"])
        .arg(&xor)
        .stdin(Stdio::piped())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(b"hello");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("write standard output: No space left"),
        "{stderr}"
    );
}

#[test]
fn a_function_that_ends_the_flow_or_breaks_a_promise_is_named() {
    let dir = TempDir::new();
    for (fixture, text) in [
        ("fails", "function 'zoo' ended the flow: ERROR"),
        (
            "overproduces",
            "function 'zoo': func_process claims to have written beyond its room",
        ),
        ("failing_spawn", "] function 'zoo' refused the flow (9)"),
        (
            "failing_init",
            "function 'failing_init': func_init refused its options (7)",
        ),
    ] {
        let module = dir.join(fixture).with_extension("so");
        compile(fixture, &module, &[]);
        let ended = run(&module, &[], b"hello");
        assert_eq!((ended.code, ended.stdout.len()), (Some(1), 0), "{ended:?}");
        assert!(ended.stderr.contains(text), "{ended:?}");
    }
    compile("breaks", &dir.join("breaks.so"), &["-lpthread"]);
    let ended = run(&dir.join("breaks.so"), &[], b"hello");
    let text = "offers several functions: choose one by --function: right, writes_behind";
    assert!(ended.stderr.contains(text), "{ended:?}");
    assert_eq!(ended.code, Some(1));
}

#[test]
fn a_pair_gives_back_what_went_in_or_says_where_it_does_not() {
    let dir = TempDir::new();
    let module = dir.join("inverse.so");
    compile("inverse", &module, &[]);
    let plain = bytes(100_000);
    for chunk in ["1", "65536"] {
        let words = ["--function", "salt", "--pair", "unsalt", "--chunk", chunk];
        let ended = run(&module, &words, &plain);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
        let text = "100000 bytes, 100008 between salt and unsalt (1.000), came back identical\n";
        let text = format!("upstream    {text}downstream  {text}");
        assert_eq!(ended.text(), text);
    }
    let ended = run(&module, &["--function", "salt", "--pair", "unsalt"], b"");
    assert_eq!(ended.code, Some(0));
    let text = "upstream    0 bytes, 8 between salt and unsalt, came back identical\n";
    assert!(ended.text().starts_with(text), "{ended:?}");

    let words = [
        "--function",
        "salt",
        "--pair",
        "unsalt",
        "--pair-argument",
        "1",
    ];
    let ended = run(&module, &words, &plain);
    assert!(
        ended
            .stderr
            .contains("function 'unsalt' ended the flow: RESET"),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(1));

    let xor = xor(&dir);
    let ended = run(&xor, &["--pair", "xor", "--pair-argument", "4"], b"hello");
    assert!(
        ended.text().contains("came back different at byte 0\n"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("what came back is not what went in"),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(1));

    compile("verdicts", &dir.join("verdicts.so"), &[]);
    let words = [
        "--function",
        "ends_early",
        "--pair",
        "reverses",
        "--argument",
        "0",
    ];
    let words = [&words[..], &["--pair-argument", "3"]].concat();
    let ended = run(&dir.join("verdicts.so"), &words, &plain);
    assert!(ended.text().contains("only 10 came back\n"), "{ended:?}");
    assert_eq!(ended.code, Some(1));
}
