//! What `srv6pipes module` does not run, and why not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;

use crate::check::check;
use crate::modules::{TempDir, compile, copy_rust_modules};
use crate::program::{end, program};

/// Nobody's user id.
const NOBODY: u32 = 65534;

#[test]
fn what_cannot_be_tried_is_said_with_the_reason() {
    let dir = TempDir::new();
    for (name, text) in [
        (
            "failing_init",
            "failing_init could not be tried: function 'failing_init': func_init refused its options (7)",
        ),
        (
            "failing_spawn",
            "zoo could not be tried: function 'zoo' refused the flow (9)",
        ),
    ] {
        let module = dir.join(name).with_extension("so");
        compile(name, &module, &[]);
        let ended = check(&module, [""; 0]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.text().contains(text), "{ended:?}");
    }
    copy_rust_modules(dir.path());
    let passes = dir.join("libpasses.so");
    let ended = check(&passes, ["--option", "key=300", "--option", "kay=1"]);
    let text = ended.text();
    assert!(
        text.contains("option 'key': must be a number from 1 to 255"),
        "{text}"
    );
    assert!(text.contains("option 'kay': no such option"), "{text}");
    assert_eq!(ended.code, Some(1));

    for (words, text) in [
        (["--function", "nope"], "has no function 'nope', but passes"),
        (["--inverse", "nope"], "has no function 'nope', but passes"),
    ] {
        let ended = check(&passes, words);
        assert_eq!((ended.code, &*ended.stdout), (Some(1), &b""[..]));
        assert!(ended.stderr.contains(text), "{ended:?}");
    }
    compile("no_symbol", &dir.join("no_symbol.so"), &[]);
    let ended = check(&dir.join("no_symbol.so"), [""; 0]);
    assert!(
        ended
            .stderr
            .contains("is no module: it does not export all_funcs")
    );
    assert_eq!(ended.code, Some(1));
    compile("dies_at_load", &dir.join("dies.so"), &[]);
    let ended = check(&dir.join("dies.so"), [""; 0]);
    assert!(
        ended
            .stderr
            .contains("dlopen, which runs constructors, was killed by SIGSEGV"),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(1));
}

#[test]
fn words_that_are_none_are_refused() {
    for words in [
        &["check"][..],
        &["check", "a.so", "--option", "novalue"],
        &["check", "a.so", "--argument", "0x1ffffffff"],
        &["check", "a.so", "--patience", "x"],
        &[],
    ] {
        let ended = end(&mut program(words), b"");
        assert_eq!(ended.code, Some(64), "{words:?}: {ended:?}");
    }
}

#[test]
fn only_what_nobody_else_can_write_is_run() {
    let dir = TempDir::new();
    let module = dir.join("good.so");
    compile("good", &module, &[]);
    let words = ["--case", "empty"];
    assert_eq!(check(&module, words).code, Some(0));
    fs::set_permissions(&module, Permissions::from_mode(0o666)).unwrap();
    let ended = check(&module, words);
    let text = "can be written by others than its owner (mode 0666), who could change what you run: chmod go-w ";
    assert!(ended.stderr.contains(text), "{ended:?}");
    assert_eq!(ended.code, Some(1));
    fs::set_permissions(&module, Permissions::from_mode(0o644)).unwrap();
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: files of others need root");
        return;
    }
    chown(&module, Some(NOBODY), None).unwrap();
    let ended = check(&module, words);
    let text =
        "belongs to user 65534, whose code would run with root's rights: run this as that user";
    assert!(ended.stderr.contains(text), "{ended:?}");
    assert_eq!(ended.code, Some(1));
    let as_owner = |uid: u32| {
        let mut command = program(["check"]);
        end(command.arg(&module).args(words).uid(uid).gid(uid), b"")
    };
    // In root's folder, but their own file.
    assert_eq!(as_owner(NOBODY).code, Some(0));
    let ended = as_owner(NOBODY - 1);
    let text = "belongs to user 65534, who could change what you run: copy the module";
    assert!(ended.stderr.contains(text), "{ended:?}");
}
