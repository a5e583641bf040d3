//! `module check` finds nothing wrong with what is right, and of everything wrong the promise that
//! it breaks.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::modules::{TempDir, compile, copy_rust_modules, include_dir, run, templates};
use crate::program::{Ended, end, program};

pub fn check<W: AsRef<OsStr>>(file: &Path, words: impl IntoIterator<Item = W>) -> Ended {
    end(program(["check"]).arg(file).args(words), b"")
}

/// The cases of the only function that was checked.
fn cases(report: &Value) -> &Vec<Value> {
    let functions = report["functions"].as_array().unwrap();
    assert_eq!(functions.len(), 1, "{report}");
    functions[0]["cases"].as_array().unwrap()
}

/// Checks that one case breaks with this text.
fn breaks(file: &Path, function: &str, case: &str, text: &str) {
    let words = ["--function", function, "--case", case, "--patience", "1"];
    let ended = check(file, words.into_iter().chain(["--json"]));
    assert_eq!(ended.code, Some(1), "{function}: {ended:?}");
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let case = &cases(&report)[0];
    assert_eq!(case["result"], "broken", "{function}: {report}");
    let said = case["text"].as_str().unwrap();
    assert!(said.contains(text), "{function}: {said}");
}

#[test]
fn what_is_right_is_found_so() {
    let dir = TempDir::new();
    copy_rust_modules(dir.path());
    for (module, function) in [("xor", "xor"), ("copy", "copy"), ("passes", "passes")] {
        let ended = check(&dir.join(format!("lib{module}.so")), ["--argument", "0x2"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let text = ended.text();
        let all = format!("{function} keeps its promises in all 22 cases");
        assert!(text.contains(&all), "{text}");
        assert!(!text.contains("note"), "{text}");
        assert_eq!(ended.stderr, "");
    }
    compile("waiting", &dir.join("waiting.so"), &["-lpthread"]);
    let ended = check(&dir.join("waiting.so"), [""; 0]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = ended.text();
    assert!(
        text.contains("asks keeps its promises in all 22 cases"),
        "{text}"
    );
    assert!(text.contains("note    an unknown option: "), "{text}");
}

#[test]
fn a_function_and_its_inverse_are_tried_in_the_order_that_works() {
    let dir = TempDir::new();
    compile("inverse", &dir.join("inverse.so"), &[]);
    for (function, inverse) in [("salt", "unsalt"), ("unsalt", "salt")] {
        let words = [
            "--function",
            function,
            "--inverse",
            inverse,
            "--argument",
            "7",
        ];
        let ended = check(&dir.join("inverse.so"), words);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let text = ended.text();
        let all = format!("{function} keeps its promises in all 22 cases");
        assert!(text.contains(&all), "{text}");
    }
    // By itself it gives other bytes each time, or takes none.
    let ended = check(&dir.join("inverse.so"), ["--function", "salt", "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = check(
        &dir.join("inverse.so"),
        ["--function", "unsalt", "--case", "large"],
    );
    let text = ended.text();
    assert!(text.contains("It let nothing through: --inverse"), "{text}");
    assert_eq!(ended.code, Some(0));
    // The same with another key at the other end.
    let words = [
        "--function",
        "salt",
        "--inverse",
        "unsalt",
        "--inverse-argument",
        "8",
    ];
    let ended = check(&dir.join("inverse.so"), words);
    assert_eq!(ended.code, Some(1));
    let text = ended.text();
    assert!(
        text.contains("salt could not be tried: with 'unsalt' "),
        "{text}"
    );
    assert!(
        text.contains("the chain with the inverse ends the flow (RESET)"),
        "{text}"
    );
}

#[test]
fn each_broken_promise_is_named() {
    let dir = TempDir::new();
    let module = &dir.join("breaks.so");
    compile("breaks", module, &["-lpthread"]);
    for (function, case, text) in [
        (
            "writes_behind",
            "one byte",
            "func_process read or wrote outside of its room",
        ),
        (
            "writes_before",
            "before the buffers",
            "func_process read or wrote outside of its room",
        ),
        (
            "writes_input",
            "byte by byte",
            "func_process wrote into its input",
        ),
        (
            "reads_behind",
            "an empty stream",
            "func_process read or wrote outside of its input",
        ),
        (
            "crashes",
            "every split up",
            "func_process was killed by SIGSEGV",
        ),
        (
            "exits",
            "every split down",
            "func_process ended the whole process, with 3",
        ),
        ("hangs", "large", "func_process did not return within 1s"),
        (
            "blocks",
            "standing still",
            "a call of func_process stood still for ",
        ),
        (
            "loses",
            "one byte",
            "other bytes come out upstream than of the same stream in one piece, 1 instead of 320",
        ),
        (
            "loses",
            "little room",
            "with room for 2 upstream: other bytes",
        ),
        (
            "marks_cuts",
            "every split up",
            "cut into 1 + 319 bytes: other bytes come out upstream",
        ),
        ("marks_cuts", "large", "10007 bytes at a time"),
        ("gives_garbage", "byte by byte", "other bytes come out"),
        (
            "never_ends",
            "an empty stream",
            "never says FINISHED: 16842752 bytes have come out",
        ),
        (
            "waits_forever",
            "an empty stream",
            "never says FINISHED: 1 s after END it still waits",
        ),
        (
            "ends_both",
            "half-close upstream",
            "when upstream has ended before downstream begins: other",
        ),
        (
            "ends_both",
            "half-close downstream",
            "when downstream has ended before upstream begins: other",
        ),
        (
            "mixes_flows",
            "at once",
            "with 1000 flows at once: other bytes",
        ),
        (
            "trusts",
            "hostile",
            "gave a verdict unknown to this version",
        ),
        ("leaks", "in a row", "memory grows with every flow"),
        (
            "races",
            "four threads",
            "one of the calls was killed by SIGABRT",
        ),
        (
            "believes",
            "mid-stream",
            "func_despawn was killed by SIGABRT",
        ),
        (
            "choosy",
            "other arguments",
            "func_spawn was killed by SIGSEGV",
        ),
        ("opens", "begin and end", " open files before func_init"),
        (
            "starts",
            "begin and end",
            "there were 2 threads before func_init, and there are 3 after",
        ),
        (
            "shares",
            "two sections",
            "func_process was killed by SIGABRT",
        ),
    ] {
        breaks(module, function, case, text);
    }
    // It changes with what the other direction carries: that may be its purpose.
    let ended = check(module, ["--function", "mixes_directions"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = ended.text();
    assert!(
        text.contains("note    both directions in turns: "),
        "{text}"
    );
}

#[test]
fn answers_that_the_host_refuses_are_told_as_the_host_tells_them() {
    let dir = TempDir::new();
    for (name, text) in [
        ("overproduces", "claims to have written beyond its room"),
        ("overconsumes", "claims to have read beyond its input"),
        ("unknown_verdict", "gave a verdict unknown to this version"),
        (
            "stalls",
            "took nothing and gave nothing, with all input and room there is",
        ),
    ] {
        let module = dir.join(name).with_extension("so");
        compile(name, &module, &[]);
        breaks(&module, "zoo", "every split up", text);
    }
    // It sleeps for ever in every case: two are enough.
    compile("sleeps", &dir.join("sleeps.so"), &[]);
    let ended = check(&dir.join("sleeps.so"), ["--patience", "1"]);
    let text = ended.text();
    assert_eq!(
        text.matches("func_process did not return within 1s")
            .count(),
        1,
        "{text}"
    );
    assert!(
        text.contains("every split upstream: not tried after that"),
        "{text}"
    );
    assert!(text.contains("sleeps: asleep"), "the log is shown: {text}");
}

#[test]
fn a_function_that_ends_flows_is_within_its_rights() {
    let dir = TempDir::new();
    compile("fails", &dir.join("fails.so"), &[]);
    let ended = check(&dir.join("fails.so"), ["--patience", "1"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = ended.text();
    assert!(text.contains(" flows itself (ERROR)"), "{text}");
    assert!(text.contains("It let nothing through"), "{text}");
}

#[test]
fn the_report_for_programs_has_everything() {
    let dir = TempDir::new();
    compile("larger_struct", &dir.join("larger.so"), &[]);
    let ended = check(&dir.join("larger.so"), ["--json", "--case", "empty"]);
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["functions"].as_array().unwrap().len(), 2);
    let capabilities = &report["functions"][1]["capabilities"];
    let known = [
        "passes at once",
        "reads files",
        "speaks first",
        "fails closed",
        "unknown 0xfffffffffffffff0",
    ];
    assert_eq!(capabilities, &serde_json::json!(known));

    compile("reports", &dir.join("reports.so"), &[]);
    let ended = check(&dir.join("reports.so"), ["--json", "--case", "empty"]);
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["kept"], true, "{report}");
    let function = &report["functions"][0];
    assert_eq!(
        function["optional_calls"],
        serde_json::json!(["func_report"])
    );
    assert_eq!(function["abi"], "1.0");
    assert!(function["refused"].is_null());
    let case = &cases(&report)[0];
    assert_eq!(case["case"], "an empty stream");
    assert_eq!(case["result"], "kept");
    assert!(case["flows"].as_u64().unwrap() >= 4, "{case}");
    assert!(case["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_function_that_routes_is_asked_where_to() {
    let dir = TempDir::new();
    compile("routes", &dir.join("routes.so"), &[]);
    let ended = check(&dir.join("routes.so"), ["--argument", "1"]);
    let text = ended.text();
    // With argument 2 it sends flows to a multicast address.
    assert!(
        text.contains("BROKEN  other arguments: with argument 0x2: "),
        "{text}"
    );
    assert!(text.contains("chose the server [ff"), "{text}");
    assert!(text.contains("ok      routes\n"), "{text}");
    assert!(text.contains("in 1 of 23 cases"), "{text}");
    // With 4 there is nowhere to go.
    let ended = check(&dir.join("routes.so"), ["--argument", "4"]);
    assert!(
        ended.text().contains("has nowhere to send the flow (9)"),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(1));
}

#[test]
fn the_templates_are_right() {
    let dir = TempDir::new();
    // Its unit tests, too.
    templates::in_rust(dir.path(), &["test"]);
    let in_rust = templates::in_rust(dir.path(), &["build"]);
    for module in [templates::in_c(dir.path()), in_rust] {
        for words in [&[][..], &["--argument", "5"], &["--option", "limit=1000"]] {
            let ended = check(&module, words);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let text = ended.text();
            assert!(text.contains("upper keeps its promises in all "), "{text}");
            assert!(!text.contains("note"), "{text}");
        }
    }
    // The template's own way to ask.
    let path = Path::new(env!("CARGO_BIN_EXE_srv6pipes")).display();
    let said = run(Command::new("make")
        .args(["-C", "template-c", "check"])
        .current_dir(dir.path())
        .arg(format!("SRV6PIPES={path}"))
        .arg(format!("INCLUDE={}", include_dir().display())));
    assert_eq!(
        said.matches("keeps its promises in all").count(),
        2,
        "{said}"
    );
}
