//! The module ABI, from both sides: the header against its Rust mirror, and functions through the
//! real loader, the good ones and those that break their promises.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod modules;

use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use modules::{TempDir, compile, flow, include_dir, keep_log, logged, run, section, transform};
use srv6pipes::vnf::{Broken, Direction, Progress, Registry, Verdict};
use srv6pipes_vnf::abi;

/// Expressions of C beside what Rust makes of them.
macro_rules! layout {
    ($($tag:literal $rust:ty { $($field:ident)+ })+) => {
        vec![$(
            (format!("sizeof(struct {})", $tag), size_of::<$rust>()),
            $((format!("offsetof(struct {}, {})", $tag, stringify!($field)), offset_of!($rust, $field)),)+
        )+]
    };
}

macro_rules! constants {
    ($($name:ident)+) => {
        vec![$((concat!("SRV6PIPES_", stringify!($name)).to_owned(), usize::try_from(abi::$name).unwrap())),+]
    };
}

#[test]
fn the_header_and_its_mirror_agree() {
    let mut rows = layout! {
        "srv6pipes_host" abi::Host { struct_size log get_extension wake }
        "srv6pipes_counters" abi::Counters { struct_size open add set close }
        "srv6pipes_option" abi::ConfigOption { key value }
        "srv6pipes_setup" abi::Setup {
            struct_size abi_major abi_minor host_version options option_count host
            complain function_id
        }
        "srv6pipes_flow" abi::Flow {
            struct_size argument client_address server_address client_port server_port id
            choice
        }
        "srv6pipes_route" abi::Route {
            struct_size attempt server_address next_segment server_port has_next_segment choice
        }
        "srv6pipes_report" abi::Report {
            struct_size flags upstream_in_bytes upstream_out_bytes downstream_in_bytes
            downstream_out_bytes age_us client_rtt_us connect_us first_byte_us
        }
        "srv6pipes_result" abi::ProcessResult { consumed produced verdict wait_ms }
        "srv6pipes_func" abi::Func {
            abi_major abi_minor struct_size name summary version capabilities
            func_init func_spawn func_process func_despawn func_deinit
            func_route func_routed func_report
        }
    };
    rows.extend(constants! {
        ABI_MAJOR ABI_MINOR MIN_ROOM MAX_WINDOW LOG_ERROR LOG_WARN LOG_INFO LOG_DEBUG LOG_TRACE
        UPSTREAM DOWNSTREAM END MORE FINISHED PASS CLOSE RESET ERROR WAIT CAP_PASS_AT_ONCE
        CAP_READS_FILES CAP_SPEAKS_FIRST CAP_FAILS_CLOSED ROUTE_ATTEMPTS ROUTE_PATIENCE_MS
        ROUTE_CONNECTED ROUTE_FAILED ROUTE_DROPPED ROUTE_ENDED REPORT_LAST
    });
    let mut program =
        "#include <stdio.h>\n#include \"srv6pipes_vnf.h\"\nint main(void)\n{\n".to_owned();
    for (expression, _) in &rows {
        program += &format!("    printf(\"%lu\\n\", (unsigned long)({expression}));\n");
    }
    program += "    return 0;\n}\n";

    let dir = TempDir::new();
    for (compiler, language, standard) in [("cc", "c", "-std=c99"), ("c++", "c++", "-std=c++11")] {
        let (source, binary) = (dir.join(format!("layout.{language}")), dir.join(language));
        fs::write(&source, &program).unwrap();
        run(Command::new(compiler)
            .args([
                standard,
                "-Wall",
                "-Wextra",
                "-Werror",
                "-pedantic",
                "-x",
                language,
            ])
            .arg("-I")
            .arg(include_dir())
            .arg("-o")
            .args([&binary, &source]));
        let printed = run(&mut Command::new(&binary));
        let numbers = printed.lines().map(|line| line.parse::<usize>().unwrap());
        let of_c: Vec<_> = rows
            .iter()
            .map(|(expression, _)| expression.clone())
            .zip(numbers)
            .collect();
        assert_eq!(of_c, rows, "{language}");
    }
}

#[test]
fn a_function_is_called_as_the_header_says() {
    keep_log();
    let dir = TempDir::new();
    compile("diary", &dir.join("diary.so"), &[]);
    let options = [("b", "2"), ("a", "1"), ("a", "3")];
    let sections = [section(1, "diary.so", "diary", &options)];
    let registry = Registry::load(&sections, dir.path(), None).unwrap();
    let mut transform = registry.function(1).unwrap().spawn(&flow(0xabc)).unwrap();
    let mut output = [0; 9];
    let done = transform
        .process(Direction::Upstream, b"hello", &mut output, false)
        .unwrap();
    assert_eq!((done, output[0]), (Progress::more(5, 1), b'h'));
    transform
        .process(Direction::Downstream, b"hi", &mut output, true)
        .unwrap();
    // The flow outlives the configuration it was spawned from.
    drop(registry);
    drop(transform);
    assert_eq!(
        logged("diary"),
        [
            "INFO init b=2 a=1 a=3",
            "INFO spawn abc 2001..01:40000 fd00..02:80",
            "INFO process 0 5 9 0",
            "INFO process 1 2 9 1",
            "INFO despawn",
            "INFO deinit",
        ]
    );
}

/// The answer of the fixture to as much input and room as the host has.
fn answer(name: &str) -> Result<Progress, Broken> {
    let dir = TempDir::new();
    compile(name, &dir.join("zoo.so"), &[]);
    let mut transform = transform(dir.path(), "zoo.so", "zoo", 0);
    let mut output = vec![0; abi::MIN_ROOM];
    let first = transform.process(
        Direction::Upstream,
        &[0; abi::MAX_WINDOW],
        &mut output,
        false,
    );
    if first.is_err() {
        let again = transform.process(Direction::Downstream, b"x", &mut output, false);
        assert_eq!(again, first, "a broken flow stays broken");
    }
    first
}

#[test]
fn broken_promises_are_seen() {
    assert_eq!(answer("good").unwrap().verdict, Verdict::Pass);
    assert_eq!(answer("overproduces"), Err(Broken::Overproduced));
    assert_eq!(answer("overconsumes"), Err(Broken::Overconsumed));
    assert_eq!(answer("unknown_verdict"), Err(Broken::UnknownVerdict));
    assert_eq!(answer("stalls"), Err(Broken::Stalled));
    assert_eq!(answer("fails"), Err(Broken::Failed));
}

#[test]
fn a_refused_flow_is_not_despawned() {
    let dir = TempDir::new();
    compile("failing_spawn", &dir.join("zoo.so"), &[]);
    let registry = Registry::load(&[section(1, "zoo.so", "zoo", &[])], dir.path(), None).unwrap();
    let refused = registry.function(1).unwrap().spawn(&flow(0)).unwrap_err();
    assert_eq!(refused.to_string(), "function 'zoo' refused the flow (9)");
}

#[test]
fn a_panic_ends_only_the_call_it_happened_in() {
    keep_log();
    let dir = TempDir::new();
    modules::copy_rust_modules(dir.path());
    let load = |options: &[(&str, &str)]| {
        let sections = [section(1, "libpanics.so", "panics", options)];
        Registry::load(&sections, dir.path(), None)
    };
    let silent = "func_init refused its options (2); the log says why";
    for (init, words) in [("refuse", "told to refuse"), ("panic", silent)] {
        let errors = load(&[("init", init)]).unwrap_err();
        let path = dir.join("libpanics.so");
        assert_eq!(
            errors[0].to_string(),
            format!("function 0x0001 'panics' of {}: {words}", path.display())
        );
    }

    let registry = load(&[]).unwrap();
    let function = registry.function(1).unwrap();
    assert_eq!(function.spawn(&flow(1)).unwrap_err().code, 2);
    let mut bystander = function.spawn(&flow(0)).unwrap();
    let mut victim = function.spawn(&flow(2)).unwrap();
    let mut output = [0; 4];
    let fate = victim.process(Direction::Upstream, b"x", &mut output, false);
    assert_eq!(fate, Err(Broken::Failed));
    drop(victim);
    drop(function.spawn(&flow(3)).unwrap());
    let fine = bystander.process(Direction::Upstream, b"x", &mut output, false);
    assert_eq!(fine, Ok(Progress::more(1, 0)));

    let log = logged("panics");
    for (line, (level, call)) in log.iter().zip([
        ("ERROR", "in init"),
        ("DEBUG", "in spawn"),
        ("DEBUG", "in process"),
        ("DEBUG", "in despawn"),
    ]) {
        assert!(line.starts_with(&format!("{level} panicked at ")), "{line}");
        assert!(line.contains("panics.rs:") && line.contains(call), "{line}");
    }
    assert_eq!(log.len(), 4);
}

#[test]
fn stock_functions_do_what_they_say() {
    let dir = TempDir::new();
    modules::copy_rust_modules(dir.path());
    let sections = [
        section(1, "libcopy.so", "copy", &[]),
        section(2, "libxor.so", "xor", &[]),
        section(3, "libpasses.so", "passes", &[("key", "7")]),
    ];
    let registry = Registry::load(&sections, dir.path(), None).unwrap();
    let [copy, xor, passes] = [1, 2, 3].map(|id| registry.function(id).unwrap());
    assert!(copy.passes_at_once() && !xor.passes_at_once() && !passes.passes_at_once());
    assert_eq!(
        (xor.name(), xor.version(), xor.module()),
        ("xor", "0.1.0", &*dir.join("libxor.so"))
    );

    let mut output = [0; 8];
    let mut copy = copy.spawn(&flow(0)).unwrap();
    let done = copy.process(Direction::Upstream, b"hello", &mut output, false);
    assert_eq!(done, Ok(Progress::pass(0, 0)));

    let mut xor = xor.spawn(&flow(0xffff_ff2a)).unwrap();
    for direction in [Direction::Upstream, Direction::Downstream] {
        let done = xor.process(direction, b"hello", &mut output, true);
        assert_eq!(
            (done, &output[..5]),
            (Ok(Progress::finished(5, 5)), &b"BOFFE"[..])
        );
    }

    assert_eq!(passes.spawn(&flow(4097)).unwrap_err().code, 1);
    let mut passes = passes.spawn(&flow(3)).unwrap();
    let done = passes.process(Direction::Upstream, b"hello", &mut output[..3], true);
    assert_eq!(
        (done, &output[..3]),
        (Ok(Progress::more(3, 3)), &b"hel"[..])
    );
}

#[test]
fn the_example_in_c_builds_and_agrees_with_the_one_in_rust() {
    let dir = TempDir::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("vnf-modules/example-c");
    // As in the source tree, so that the Makefile finds the header and leaves the tree alone.
    let (copy, include) = (dir.join("example-c"), dir.join("srv6pipes-vnf/include"));
    fs::create_dir_all(&include).unwrap();
    fs::create_dir(&copy).unwrap();
    for file in ["Makefile", "xor.c"] {
        fs::copy(example.join(file), copy.join(file)).unwrap();
    }
    fs::copy(
        include_dir().join("srv6pipes_vnf.h"),
        include.join("srv6pipes_vnf.h"),
    )
    .unwrap();
    run(Command::new("make")
        .arg("-C")
        .arg(&copy)
        .arg("CFLAGS=-O2 -Werror"));
    fs::rename(copy.join("libxor_c.so"), dir.join("libxor_c.so")).unwrap();
    modules::trustworthy(&dir.join("libxor_c.so"));

    let sections = [section(1, "libxor_c.so", "xor", &[("mask", "0x0f")])];
    let registry = Registry::load(&sections, dir.path(), None).unwrap();
    let mut xor = registry
        .function(1)
        .unwrap()
        .spawn(&flow(42 ^ 0x0f))
        .unwrap();
    let mut output = [0; 5];
    let done = xor.process(Direction::Upstream, b"hello", &mut output, true);
    assert_eq!((done, &output), (Ok(Progress::finished(5, 5)), b"BOFFE"));

    let wrong = [("mask", "256"), ("musk", "1")];
    let sections = [section(1, "libxor_c.so", "xor", &wrong)];
    let errors = Registry::load(&sections, dir.path(), None).unwrap_err();
    let lines: Vec<_> = errors
        .iter()
        .map(|error| (error.line, error.to_string()))
        .collect();
    assert!(
        lines[0]
            .1
            .ends_with("option 'mask': must be a number from 0 to 255")
    );
    assert!(lines[1].1.ends_with("option 'musk': no such option"));
    assert_eq!((lines[0].0, lines[1].0, lines.len()), (11, 12, 2));
}
