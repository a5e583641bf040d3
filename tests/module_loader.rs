//! Which files the loader takes for modules, what it says of the others, and what a reload keeps.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod modules;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::sync::Arc;

use modules::{TempDir, compile, flow, keep_log, logged, section};
use srv6pipes::config::model::FunctionFailure;
use srv6pipes::vnf::{Direction, Library, Registry, Transform};
use srv6pipes_vnf::abi;

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// What the loader says of a file, without the path at its beginning.
fn complaint(path: &Path) -> String {
    let error = Library::open(path)
        .expect_err("a module that must not load")
        .to_string();
    match error.strip_prefix(path.to_str().unwrap()) {
        Some(rest) => rest.to_owned(),
        None => error,
    }
}

#[test]
fn the_zoo_is_turned_away_with_a_reason() {
    let dir = TempDir::new();
    let (major, minor) = (abi::ABI_MAJOR, abi::ABI_MINOR);
    let version = |major: u16, minor: u16| {
        format!(
            ": entry 1 of all_funcs is for ABI {major}.{minor}, this is srv6pipes with ABI {}.{}: \
             build the module anew",
            abi::ABI_MAJOR,
            abi::ABI_MINOR
        )
    };
    for (name, reason) in [
        ("wrong_major", version(major + 1, minor)),
        ("wrong_minor", version(major, minor + 1)),
        ("older_minor", version(major, minor - 1)),
    ] {
        let module = dir.join(name).with_extension("so");
        compile(name, &module, &[]);
        assert_eq!(complaint(&module), reason, "{name}");
    }
    for (name, reason) in [
        ("no_symbol", " is no module: it does not export all_funcs"),
        ("empty", ": all_funcs offers no function"),
        (
            "small_struct",
            ": entry 1 of all_funcs has struct_size 16: at least ",
        ),
        ("null_function", ": function 'zoo': func_despawn is NULL"),
        (
            "route_alone",
            ": function 'zoo': func_routed is NULL, but func_route is not: ",
        ),
        ("null_name", ": entry 1 of all_funcs: name is NULL"),
        (
            "wild_name",
            ": entry 1 of all_funcs: name points out of memory",
        ),
        ("empty_name", ": entry 1 of all_funcs: name is empty"),
        (
            "long_name",
            ": entry 1 of all_funcs: name has no NUL within 63 bytes",
        ),
        (
            "latin1_name",
            ": entry 1 of all_funcs: name is not UTF-8 text without control characters",
        ),
        (
            "control_summary",
            ": entry 1 of all_funcs: summary is not UTF-8 text without control characters",
        ),
        ("duplicate", ": two functions are called 'zoo'"),
        (
            "too_many",
            ": all_funcs has more than 64 entries: its last entry must be all zero",
        ),
        (
            "no_terminator",
            ": entry 2 of all_funcs is for ABI 65535.65535",
        ),
    ] {
        let module = dir.join(name).with_extension("so");
        compile(name, &module, &[]);
        let complaint = complaint(&module);
        assert!(complaint.starts_with(reason), "{name}: {complaint}");
    }

    let module = dir.join("undefined.so");
    compile("undefined", &module, &[]);
    let complaint = complaint(&module);
    assert!(
        complaint.starts_with("dlopen ") && complaint.contains("there_is_no_such"),
        "{complaint}"
    );
}

#[test]
fn other_files_are_no_modules() {
    let dir = TempDir::new();
    let module = dir.join("module.so");
    compile("good", &module, &[]);
    let good = fs::read(&module).unwrap();
    let mut foreign = good.clone();
    foreign[18] ^= 0xff; // e_machine
    let mut program = good.clone();
    program[16] = 2; // ET_EXEC
    for (what, bytes) in [
        ("text", &b"#!/bin/sh\n"[..]),
        ("empty", b""),
        ("foreign", &foreign),
        ("program", &program),
    ] {
        fs::write(&module, bytes).unwrap();
        assert_eq!(
            complaint(&module),
            " is not a shared object for this machine",
            "{what}"
        );
    }
    fs::write(&module, &good[..good.len() / 4]).unwrap();
    assert_eq!(complaint(&module), " is cut short: install it anew");

    let folder = dir.join("folder.so");
    fs::create_dir(&folder).unwrap();
    assert_eq!(complaint(&folder), " is not a regular file");
    let pipe = dir.join("pipe.so");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(complaint(&pipe), " is not a regular file");
    let missing = dir.join("missing.so");
    assert_eq!(
        complaint(&missing),
        format!(
            "open {}: No such file or directory (os error 2)",
            missing.display()
        )
    );
}

#[test]
fn a_structure_that_has_grown_loads() {
    let dir = TempDir::new();
    compile("larger_struct", &dir.join("later.so"), &[]);
    let library = Library::open(&dir.join("later.so")).unwrap();
    let names: Vec<_> = library.functions().iter().map(|f| &*f.name).collect();
    assert_eq!(names, ["first", "second"]);
    assert_eq!(library.functions()[1].capabilities, u64::MAX);
}

#[test]
fn what_others_can_write_is_refused() {
    let dir = TempDir::new();
    let (outer, inner) = (dir.join("outer"), dir.join("outer/inner"));
    fs::create_dir_all(&inner).unwrap();
    let module = inner.join("module.so");
    compile("good", &module, &[]);
    let us = nix::unistd::geteuid();
    let refused = |spoilt: &Path, owner: u32, mode: u32| {
        let error = Library::open(&module)
            .expect_err("spoilt, yet loaded")
            .to_string();
        let path = spoilt.display();
        assert_eq!(
            error,
            format!(
                "{path} can be changed by others than root (owner {owner}, mode {mode:04o}); \
                 to trust it: chown root {path}; chmod go-w {path}"
            )
        );
    };
    for path in [&outer, &inner] {
        chmod(path, 0o755);
    }
    Library::open(&module).unwrap();

    for (spoilt, mode, sound) in [
        (&module, 0o664, 0o644),
        (&module, 0o646, 0o644),
        (&inner, 0o775, 0o755),
        (&inner, 0o1777, 0o755),
        (&outer, 0o757, 0o755),
    ] {
        chmod(spoilt, mode);
        refused(spoilt, us.as_raw(), mode);
        chmod(spoilt, sound);
    }
    // As /tmp is: what lies in it can be moved only by its owner.
    chmod(&outer, 0o1777);
    Library::open(&module).unwrap();
    chmod(&outer, 0o755);

    if us.is_root() {
        for (spoilt, mode) in [(&module, 0o644), (&inner, 0o755), (&outer, 0o755)] {
            chown(spoilt, Some(1000), None).unwrap();
            refused(spoilt, 1000, mode);
            chown(spoilt, Some(0), None).unwrap();
        }
    } else {
        assert!(std::env::var_os("CI").is_none(), "CI must run this as root");
        eprintln!("SKIPPED: files of other owners, for only root can make them");
    }
    Library::open(&module).unwrap();
}

#[test]
fn a_link_is_judged_by_where_it_leads() {
    let dir = TempDir::new();
    let open = dir.join("open");
    fs::create_dir(&open).unwrap();
    compile("good", &dir.join("module.so"), &[]);
    symlink(dir.join("module.so"), open.join("link.so")).unwrap();
    chmod(&open, 0o777);
    let library = Library::open(&open.join("link.so")).unwrap();
    assert_eq!(library.path(), dir.join("module.so"));

    fs::rename(dir.join("module.so"), open.join("module.so")).unwrap();
    symlink(open.join("module.so"), dir.join("link.so")).unwrap();
    let error = Library::open(&dir.join("link.so")).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{} can be changed", open.display())),
        "{error}"
    );
}

#[test]
fn all_errors_come_at_once_and_name_their_section() {
    keep_log();
    let dir = TempDir::new();
    compile("good", &dir.join("good.so"), &[]);
    compile("failing_init", &dir.join("failing.so"), &[]);
    let sections = [
        section(1, "good.so", "zoo", &[]),
        section(2, "none.so", "zoo", &[]),
        section(3, "good.so", "other", &[]),
        section(4, "failing.so", "failing_init", &[]),
        section(5, "good.so", "zoo", &[("key", "a\0b")]),
        section(6, "none.so", "other", &[]),
    ];
    let errors = Registry::load(&sections, dir.path(), None).unwrap_err();
    let path = dir.path().display();
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            format!(
                "function 0x0002 'zoo' of {path}/none.so: open {path}/none.so: No such file or directory (os error 2)"
            ),
            format!("function 0x0003 'other' of {path}/good.so: the module offers only: zoo"),
            format!(
                "function 0x0004 'failing_init' of {path}/failing.so: func_init refused its options (7); the log says why"
            ),
            format!("function 0x0005 'zoo' of {path}/good.so: option 'key' has a NUL in it"),
            format!(
                "function 0x0006 'other' of {path}/none.so: open {path}/none.so: No such file or directory (os error 2)"
            ),
        ]
    );
    assert_eq!(logged("failing_init"), ["ERROR not today"]);
}

fn says(transform: &mut dyn Transform) -> char {
    let mut output = [0];
    transform
        .process(Direction::Upstream, b"?", &mut output, false)
        .unwrap();
    char::from(output[0])
}

#[test]
fn a_replaced_module_serves_new_flows_and_the_old_one_its_own() {
    let dir = TempDir::new();
    let module = dir.join("versioned.so");
    let sections = [section(1, "versioned.so", "versioned", &[])];
    let load =
        |previous: Option<&Registry>| Registry::load(&sections, dir.path(), previous).unwrap();
    let spawn = |registry: &Registry| registry.function(1).unwrap().spawn(&flow(0)).unwrap();

    compile("versioned", &module, &["-DBUILD=\"1\""]);
    let first = load(None);
    let mut old = spawn(&first);

    // As a package manager does it: another file under the same name.
    compile("versioned", &dir.join("new.so"), &["-DBUILD=\"2\""]);
    fs::rename(dir.join("new.so"), &module).unwrap();
    let second = load(Some(&first));
    let mut new = spawn(&second);

    // As `cp` does it: other bytes in the same file.
    compile("versioned", &dir.join("new.so"), &["-DBUILD=\"3\""]);
    fs::write(&module, fs::read(dir.join("new.so")).unwrap()).unwrap();
    let third = load(Some(&second));
    let mut newest = spawn(&third);

    drop((first, second));
    assert_eq!(
        [says(&mut *old), says(&mut *new), says(&mut *newest)],
        ['1', '2', '3']
    );
    assert_eq!(third.function(1).unwrap().version(), "3");
}

#[test]
fn a_reload_leaves_alone_what_did_not_change() {
    keep_log();
    let dir = TempDir::new();
    compile("diary", &dir.join("diary.so"), &[]);
    let load = |options: &[(&str, &str)], on_failure, previous: Option<&Registry>| {
        let mut configured = section(1, "diary.so", "diary", options);
        configured.on_failure = on_failure;
        Registry::load(&[configured], dir.path(), previous).unwrap()
    };
    let first = load(&[("n", "1")], FunctionFailure::Reset, None);
    let same = load(&[("n", "1")], FunctionFailure::Pass, Some(&first));
    assert_eq!(
        same.function(1).unwrap().on_failure(),
        FunctionFailure::Pass
    );
    drop(first);
    assert_eq!(logged("diary"), ["INFO init n=1"]);

    let other = load(&[("n", "2")], FunctionFailure::Pass, Some(&same));
    let flow = Arc::clone(&same.function(1).unwrap())
        .spawn(&flow(0))
        .unwrap();
    drop(same);
    assert_eq!(logged("diary")[1..2], ["INFO init n=2"]);
    assert!(
        !logged("diary").contains(&"INFO deinit".to_owned()),
        "a flow is left"
    );
    drop(flow);
    assert_eq!(logged("diary")[3..], ["INFO despawn", "INFO deinit"]);
    drop(other);
    assert_eq!(logged("diary")[5..], ["INFO deinit"]);
}
