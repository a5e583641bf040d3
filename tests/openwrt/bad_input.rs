//! What goes wrong on a router: each time a clear line, exit code 1, and nothing left behind.

use std::fs;

use crate::config;
use crate::function;
use crate::harness::ended::{Ended, to_end};
use crate::harness::{kernel, lab};
use crate::router::{Router, SHELLS};
use srv6pipes::demo::lab::Lab;

fn router(lab: &Lab) -> Router<'_> {
    let router = Router::new(lab, 1, SHELLS[0]);
    router.add_module("xor");
    router.configure(&config("", &function(1, "xor", "")));
    router
}

/// `srv6pipes run` after `prepare` fails, says all of `words` in one line, and leaves nothing.
#[track_caller]
fn fails(router: &Router<'_>, lab: &Lab, prepare: &str, words: &[&str]) -> Ended {
    let before = kernel::state(lab.proxy(1));
    let ended = to_end(&mut router.command_after(prepare, &["srv6pipes", "run"])).with(1);
    let has_all = |line: &str| words.iter().all(|word| line.contains(word));
    assert!(ended.stderr.lines().any(has_all), "{words:?}: {ended:#?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:#?}");
    let left = kernel::difference(&before, &kernel::state(lab.proxy(1)));
    assert_eq!(left, [""; 0]);
    let left: Vec<_> = fs::read_dir(router.path("var/run")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    ended
}

/// In the place of an `nft` on a kernel without the module: says what that says, and else is nft. This
/// kernel has it built in, so that it cannot be taken away.
const NO_TPROXY: &str = r#"#!/bin/sh
text=$(cat)
case $text in
*"tproxy to"*)
    echo "/dev/stdin:1:1-9: Error: Could not process rule: No such file or directory" >&2
    exit 1
    ;;
esac
printf '%s\n' "$text" | exec /usr/sbin/nft.real "$@"
"#;

#[test]
fn on_a_kernel_without_tproxy_run_and_doctor_name_the_package() {
    let Some(lab) = lab(1) else { return };
    let router = router(&lab);
    router
        .run(&["mv", "/usr/sbin/nft", "/usr/sbin/nft.real"])
        .with(0);
    router.write("usr/sbin/nft", NO_TPROXY);
    router.run(&["chmod", "755", "/usr/sbin/nft"]).with(0);
    let lacks = "this kernel lacks nft tproxy (OpenWrt: kmod-nft-tproxy): ";
    let ended = fails(&router, &lab, "", &[lacks, "Could not process rule"]);
    assert!(!ended.stderr.contains("kmod-nft-socket"), "{ended:#?}");
    let doctor = router.run(&["srv6pipes", "doctor"]).with(1).stdout;
    let line = doctor.lines().find(|line| line.starts_with("nft tproxy "));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert!(
        words.contains(&"NO") && words.contains(&"kmod-nft-tproxy"),
        "{doctor}"
    );
}

#[test]
fn without_nft_the_package_is_named() {
    let Some(lab) = lab(1) else { return };
    let router = router(&lab);
    fs::remove_file(router.path("usr/sbin/nft")).unwrap();
    fails(
        &router,
        &lab,
        "",
        &["run nft: not found", "OpenWrt: nftables-json"],
    );
    let doctor = router.run(&["srv6pipes", "doctor"]).with(1).stdout;
    assert!(doctor.contains("nftables-json"), "{doctor}");
    // The script says so, too, and does not fail on its own account.
    let (ended, _) = router.service("start");
    assert!(ended.stderr.contains("firewall4"), "{ended:#?}");
    router.service("stop");
    assert!(!router.path("var/run/srv6pipes").exists());
}

/// A whole file system of one page, which is taken.
const FULL: &str = "mount -t tmpfs -o size=4k none \"$1/var/run\"; \
    head -c 4096 /dev/zero > \"$1/var/run/full\"";

#[test]
fn a_full_disk_is_named() {
    let Some(lab) = lab(1) else { return };
    let router = router(&lab);
    let journal = "/var/run/srv6pipes.sock.undo";
    fails(&router, &lab, FULL, &[journal, "No space left on device"]);
    let no_inode = FULL.replace("size=4k", "nr_inodes=2");
    fails(
        &router,
        &lab,
        &no_inode,
        &["/var/run/srv6pipes.sock", "No space left on device"],
    );
}

const READ_ONLY: &str = "mount --bind \"$1/FOLDER\" \"$1/FOLDER\"; \
    mount -o remount,bind,ro \"$1/FOLDER\"";

#[test]
fn a_read_only_run_is_named_and_nothing_is_started() {
    let Some(lab) = lab(1) else { return };
    let router = router(&lab);
    let read_only = READ_ONLY.replace("FOLDER", "var/run");
    let socket = "/var/run/srv6pipes.sock";
    fails(
        &router,
        &lab,
        &read_only,
        &[socket, "Read-only file system"],
    );
    let (ended, record) = router.service_after(&read_only, "start");
    assert!(
        ended.stderr.contains("cannot write to /var/run/srv6pipes"),
        "{ended:#?}"
    );
    assert!(!record.contains(&"procd_open_instance".to_owned()));
}

#[test]
fn a_read_only_etc_is_no_hindrance() {
    let Some(lab) = lab(1) else { return };
    let router = router(&lab);
    let read_only = READ_ONLY.replace("FOLDER", "etc");
    let (ended, record) = router.service_after(&read_only, "start");
    assert_eq!(ended.with(0).stderr, "");
    let service = router.procd_after(&read_only, &record);
    assert!(router.is_running());
    drop(service);
}

#[test]
fn a_rule_that_cannot_be_written_is_never_half_there() {
    let Some(lab) = lab(1) else { return };
    let router = router(&lab);
    let prepare = FULL.to_owned()
        + "; rm \"$1/var/run/full\"; mkdir \"$1/var/run/srv6pipes\"; \
        head -c 4096 /dev/zero > \"$1/var/run/full\"";
    let script = "/bin/sh /etc/rc.common /etc/init.d/srv6pipes start; ls -R /var/run >&2";
    let ended = to_end(&mut router.command_after(&prepare, &["/bin/sh", "-c", script]));
    assert!(
        ended
            .stderr
            .contains("cannot write /var/run/srv6pipes/fw4-input.nft"),
        "{ended:#?}"
    );
    assert!(!ended.stderr.contains("\nfw4-input.nft"), "{ended:#?}");
}
