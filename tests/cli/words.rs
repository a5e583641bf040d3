//! Commands that need no daemon, tried without root.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::harness::ended::{Ended, to_end};
use crate::harness::proxy::PROGRAM;
use crate::harness::{is_root, kernel, lab};
use crate::modules::{TempDir, compile, copy_rust_modules};

/// Nobody's user id: what needs no root is tried without it.
const NOBODY: u32 = 65534;

fn srv6pipes(words: &[&str]) -> Ended {
    let mut command = Command::new(PROGRAM);
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    to_end(command.args(words))
}

/// A configuration that names a module, a socket nobody listens at and a device nobody has.
fn config(folder: &TempDir, more: &str) -> PathBuf {
    copy_rust_modules(folder.path());
    let here = folder.path().display();
    let text = format!(
        "config srv6pipes 'main'\noption enabled '1'\noption module_dir '{here}'\n\
         option control_socket '{here}/control.sock'\n\n\
         config locator\noption prefix '2001:db8:99::/80'\nlist device 'wan6'\n\n\
         config function\noption id '1'\noption module 'libsrv6pipes_xor.so'\noption name 'xor'\n\n{more}"
    );
    let module = fs::read_dir(folder.path()).unwrap().find_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.contains("xor").then_some(name)
    });
    let text = text.replace("libsrv6pipes_xor.so", &module.unwrap());
    let path = folder.join("srv6pipes.conf");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn help_and_version_are_answered_on_standard_output() {
    let help = srv6pipes(&["--help"]).with(0);
    for word in [
        "run", "check", "clean", "doctor", "status", "flows", "reload", "demo", "module",
    ] {
        assert!(
            help.stdout.contains(&format!("  {word} ")),
            "{word}: {help:?}"
        );
        let help = srv6pipes(&[word, "--help"]).with(0);
        assert!(
            help.stdout.contains(&format!("srv6pipes {word}")),
            "{help:?}"
        );
        assert_eq!(help.stderr, "");
    }
    let version = srv6pipes(&["--version"]).with(0);
    assert_eq!(
        version.stdout,
        format!("srv6pipes {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(help.stderr + &version.stderr, "");
}

#[test]
fn wrong_words_end_with_64_and_are_named() {
    for (words, named) in [
        (&[][..], "--help"),
        (&["walk"], "walk"),
        (&["--nope"], "--nope"),
        (&["status", "--nope"], "--nope"),
        (&["run", "-c"], "-c"),
        (&["run", "a.conf"], "a.conf"),
        (&["status", "flows"], "flows"),
        (&["check", "-c", "a", "-c", "b"], "-c"),
    ] {
        let ended = srv6pipes(words).with(64);
        assert!(ended.stderr.contains(named), "{words:?}: {ended:?}");
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn check_prints_what_run_would_do() {
    let folder = TempDir::new();
    let file = config(&folder, "");
    let plan = srv6pipes(&["check", "-c", file.to_str().unwrap()]).with(0);
    for line in [
        "sysctl -w net.ipv6.conf.all.seg6_enabled=1\n",
        "sysctl -w net.ipv6.conf.wan6.seg6_enabled=1\n",
        "ip link add nfv0 type dummy",
        "ip -6 route add local 2001:db8:99::/80 dev nfv0",
        "ip -6 rule add ",
        "nft -f - <<'END'\ntable ip6 srv6pipes {\n",
    ] {
        assert!(
            plan.stdout.contains(line),
            "{line:?} is missing in\n{}",
            plan.stdout
        );
    }
    assert!(plan.stdout.ends_with("}\nEND\n"), "{}", plan.stdout);
    assert_eq!(plan.stderr, "");
}

#[test]
fn check_tells_services_whether_they_are_wanted() {
    let folder = TempDir::new();
    let file = config(&folder, "");
    let words = ["check", "--enabled", "-c", file.to_str().unwrap()];
    let wanted = srv6pipes(&words).with(0);
    assert_eq!(wanted.stdout + &wanted.stderr, "");

    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("enabled '1'", "enabled '0'")).unwrap();
    let unwanted = srv6pipes(&words).with(3);
    let line = format!("{}: option enabled is '0'", file.display());
    assert!(unwanted.stderr.contains(&line), "{unwanted:?}");
    assert_eq!(unwanted.stdout, "");
    // Without the switch it is as right as before.
    srv6pipes(&["check", "-c", file.to_str().unwrap()]).with(0);

    fs::write(&file, text.replace("enabled '1'", "enabled 'perhaps'")).unwrap();
    let wrong = srv6pipes(&words).with(1);
    assert!(wrong.stderr.contains("'perhaps'"), "{wrong:?}");
}

#[test]
fn check_touches_nothing() {
    let Some(lab) = lab(1) else { return };
    let folder = TempDir::new();
    let file = config(&folder, "");
    let before = kernel::state(lab.proxy(1));
    let mut command = lab.proxy(1).command(PROGRAM);
    to_end(command.args(["check", "-c"]).arg(&file)).with(0);
    let after = kernel::state(lab.proxy(1));
    assert_eq!(kernel::difference(&before, &after), [""; 0]);
    assert!(!folder.join("control.sock").exists());
}

#[test]
fn check_tells_all_mistakes_at_once_with_file_and_line() {
    let folder = TempDir::new();
    let file = config(&folder, "");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("option enabled", "option colour 'red'\noption enabled");
    let text = text
        .replace("2001:db8:99::/80", "2001:db8:99::/64")
        .replace("id '1'", "id 'one'");
    fs::write(&file, &text).unwrap();
    let file = file.to_str().unwrap();
    let ended = srv6pipes(&["check", "-c", file]).with(1);
    assert_eq!(ended.stdout, "");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let wrong = ["colour", "2001:db8:99::/64", "'one'"];
    assert_eq!(lines.len(), wrong.len(), "{lines:#?}");
    for (line, word) in lines.iter().zip(wrong) {
        let number = text.lines().position(|line| line.contains(word)).unwrap() + 1;
        assert!(line.starts_with(&format!("{file}:{number}: ")), "{line}");
        assert!(line.contains(word), "{line}");
    }
}

#[test]
fn check_tells_what_is_wrong_with_modules_with_file_and_line() {
    let folder = TempDir::new();
    let more = "config function\noption id '2'\noption module 'none.so'\noption name 'xor'\n";
    let file = config(&folder, more);
    let ended = srv6pipes(&["check", "-c", file.to_str().unwrap()]).with(1);
    let line = fs::read_to_string(&file).unwrap().lines().count() - 3;
    let module = folder.join("none.so");
    assert_eq!(
        ended.stderr,
        format!(
            "{}:{line}: function 0x0002 'xor' of {module}: open {module}: No such file or directory (os error 2)\n",
            file.display(),
            module = module.display()
        )
    );
}

#[test]
fn check_makes_the_functions_ready_and_tells_what_they_complain_of() {
    let folder = TempDir::new();
    let more = "config function\noption id '2'\noption module 'libpasses.so'\noption name 'passes'\n\
                option key '256'\noption kay '1'\n\n\
                config function\noption id '3'\noption module 'libpasses.so'\noption name 'passes'\n\
                option keys '7'\n";
    let file = config(&folder, more);
    let ended = srv6pipes(&["check", "-c", file.to_str().unwrap()]).with(1);
    assert_eq!(ended.stdout, "");
    let text = fs::read_to_string(&file).unwrap();
    let module = folder.join("libpasses.so");
    let said = |id, start: &str, words: &str| {
        let line = text
            .lines()
            .position(|line| line.starts_with(start))
            .unwrap()
            + 1;
        let (file, module) = (file.display(), module.display());
        format!("{file}:{line}: function 0x000{id} 'passes' of {module}: {words}\n")
    };
    let key = "option 'key': must be a number from 1 to 255";
    let all = said(2, "option key '256'", key)
        + &said(2, "option kay", "option 'kay': no such option")
        + &said(3, "option keys", "option 'keys': no such option");
    assert_eq!(ended.stderr, all);

    let text = text.replace("'256'", "'255'");
    let text = text.replace("option kay '1'\n", "").replace("keys", "key");
    fs::write(&file, text).unwrap();
    let ended = srv6pipes(&["check", "-c", file.to_str().unwrap()]).with(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn check_gives_every_function_up_again() {
    let folder = TempDir::new();
    compile("diary", &folder.join("diary.so"), &[]);
    let more = "config function\noption id '2'\noption module 'diary.so'\noption name 'diary'\n";
    let file = config(&folder, more);
    let file = file.to_str().unwrap();
    let ready_and_gone = "[INFO ] diary: init\n[INFO ] diary: deinit\n";
    let ended = srv6pipes(&["check", "-c", file]).with(0);
    assert_eq!(ended.stderr, ready_and_gone);
    let more = "config function\noption id '3'\noption module 'no.so'\noption name 'no'\n";
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text + more).unwrap();
    let ended = srv6pipes(&["check", "-c", file]).with(1);
    let error = ended.stderr.strip_prefix(ready_and_gone).unwrap();
    assert!(error.contains("no.so: No such file"), "{ended:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_by_every_command() {
    for word in ["run", "check", "clean", "status", "flows", "reload"] {
        let ended = srv6pipes(&[word, "-c", "/no/such.conf"]).with(1);
        let reason = "read /no/such.conf: No such file or directory";
        assert!(ended.stderr.starts_with(reason), "{word}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1);
    }
}

#[test]
fn without_a_daemon_there_is_a_clear_answer() {
    let folder = TempDir::new();
    let file = config(&folder, "");
    let socket = folder.join("control.sock");
    for dead in [false, true] {
        if dead {
            // What a killed daemon leaves.
            drop(UnixListener::bind(&socket).unwrap());
            fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
        }
        for word in ["status", "flows", "reload"] {
            let ended = srv6pipes(&[word, "-c", file.to_str().unwrap()]).with(1);
            let words = format!("no srv6pipes runs with control socket {}", socket.display());
            assert!(ended.stderr.contains(&words), "{ended:?}");
            assert_eq!(ended.stdout, "");
        }
    }
}

#[test]
fn the_doctor_also_speaks_json() {
    let healthy = srv6pipes(&["doctor", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&healthy.stdout).unwrap();
    assert_eq!(document["usable"], healthy.code == Some(0));
    let features = document["features"].as_array().unwrap();
    let tproxy = features.iter().find(|f| f["feature"] == "nft tproxy");
    let tproxy = tproxy.unwrap();
    assert_eq!(tproxy["openwrt_package"], "kmod-nft-tproxy");
    assert_eq!(tproxy["required"], true);
    let seg6 = features.iter().find(|f| f["feature"] == "seg6").unwrap();
    assert!(seg6["openwrt_package"].is_null(), "nothing to install");
}

#[test]
fn the_doctor_ends_with_what_it_found() {
    if !is_root() {
        return;
    }
    // Root has what `run` requires, or the other tests here could not pass; nobody has not.
    let healthy = to_end(Command::new(PROGRAM).arg("doctor")).with(0);
    assert!(healthy.stdout.lines().count() > 5, "{healthy:?}");
    let ill = srv6pipes(&["doctor"]).with(1);
    assert!(ill.stdout.lines().count() > 5, "{ill:?}");
    assert_eq!(ill.stderr, "");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = TempDir::new();
    let file = config(&folder, "");
    for words in [
        &["--help"][..],
        &["--version"],
        &["check", "-c", file.to_str().unwrap()],
    ] {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(PROGRAM);
        let output = command
            .args(words)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{words:?}");
    }
}
