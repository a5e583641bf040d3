//! A `run` that fails half-way: it says what was tried, on what and why, ends with 1, and leaves
//! neither kernel state nor files.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::harness::ended::{Ended, to_end};
use crate::harness::proxy::{PROGRAM, function_config};
use crate::harness::{kernel, lab};
use crate::{CAPTURES, Idle, assert_as_before, everything, names, srv6pipes};
use srv6pipes::demo::lab::Lab;
use srv6pipes::sys::nfqueue::NetQueue;

/// Runs `idle`'s configuration, which must fail with all of `words` in one line, and leave
/// nothing.
#[track_caller]
fn fails(lab: &Lab, idle: &Idle, words: &[&str]) {
    let kernel_before = kernel::state(lab.proxy(1));
    let files_before = names(idle.workdir.path());
    let ended = srv6pipes(lab, "run", &idle.config).with(1);
    assert_line(&ended, words);
    assert_as_before(lab, &kernel_before);
    assert_eq!(names(idle.workdir.path()), files_before);
}

/// One line has all `words`; nothing is said twice in it, and nobody has panicked.
#[track_caller]
fn assert_line(ended: &Ended, words: &[&str]) {
    let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
    let Some(line) = ended.stderr.lines().find(has_all) else {
        panic!("no line with {words:?} in\n{}", ended.stderr);
    };
    let said: Vec<&str> = line.split(": ").collect();
    for (n, part) in said.iter().enumerate() {
        assert!(
            !said[..n].contains(part),
            "'{part}' stands twice in: {line}"
        );
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[test]
fn a_taken_port_is_named() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let idle = Idle::new(&lab, capture, &everything(&lab, 1));
        let bind = || TcpListener::bind("[::1]:8754");
        let _taken = lab.proxy(1).run(bind).unwrap().unwrap();
        fails(&lab, &idle, &["[::1]:8754", "option 'port'", "in use"]);
    }
}

#[test]
fn a_loopback_device_that_is_off_is_named() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, CAPTURES[0], &everything(&lab, 1));
    lab.proxy(1).ip("link set lo down\n").unwrap();
    fails(&lab, &idle, &["[::1]:8754", "lo is down"]);
}

#[test]
fn a_taken_queue_is_named() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, CAPTURES[1], &everything(&lab, 1));
    let _taken = lab.proxy(1).run(|| NetQueue::bind(8754)).unwrap().unwrap();
    fails(&lab, &idle, &["NFQUEUE 8754", "another program"]);
}

#[test]
fn a_missing_folder_for_the_socket_is_named() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, "", &everything(&lab, 1));
    let text = fs::read_to_string(&idle.config).unwrap();
    let text = text.replace("/control.sock", "/no/such/control.sock");
    fs::write(&idle.config, text).unwrap();
    let path = idle.workdir.path().join("no/such/control.sock");
    fails(&lab, &idle, &[path.to_str().unwrap(), "No such file"]);
}

#[test]
fn a_missing_module_is_named_with_the_line_that_wants_it() {
    let Some(lab) = lab(1) else { return };
    let sections = function_config(1, "xor", "") + &function_config(2, "absent", "");
    let idle = Idle::new(&lab, "", &sections);
    let text = fs::read_to_string(&idle.config).unwrap();
    let line = text
        .lines()
        .position(|l| l.contains("option id '2'"))
        .unwrap();
    let place = format!("{}:{line}: ", idle.config.display());
    fails(&lab, &idle, &[&place, "libabsent.so", "No such file"]);
}

#[test]
fn a_missing_device_is_named_with_the_line_that_wants_it() {
    let Some(lab) = lab(1) else { return };
    let policy = "config policy\nlist device 'wan7'\nlist segment 'fd00:99:1::1:0:0'\n\n";
    let idle = Idle::new(&lab, "", &(everything(&lab, 1) + policy));
    let text = fs::read_to_string(&idle.config).unwrap();
    let section = text.find("config policy\n").unwrap();
    let line = text[..section].lines().count() + 1;
    let place = format!("{}:{line}: ", idle.config.display());
    fails(&lab, &idle, &[&place, "no device wan7"]);
}

#[test]
fn somebody_elses_nft_table_is_named_and_kept() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, "", &everything(&lab, 1));
    let mut nft = lab.proxy(1).command("nft");
    to_end(nft.args(["add", "table", "ip6", "srv6pipes"])).with(0);
    fails(&lab, &idle, &["nft table srv6pipes", "in the way"]);
}

#[test]
fn somebody_elses_device_is_named_and_kept() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, "", &everything(&lab, 1));
    lab.proxy(1).ip("link add nfv0 type bridge\n").unwrap();
    fails(&lab, &idle, &["device nfv0", "in the way"]);
}

#[test]
fn somebody_elses_rule_between_ours_is_named_and_kept() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, "option preference '1000'", &everything(&lab, 1));
    lab.proxy(1).ip("rule add pref 1001 lookup 7\n").unwrap();
    fails(&lab, &idle, &["preference 1001", "in the way"]);
}

#[test]
fn somebody_elses_route_in_our_table_is_named_and_kept() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, "", &everything(&lab, 1));
    lab.proxy(1)
        .ip("route add local default dev lo table 8754\n")
        .unwrap();
    fails(&lab, &idle, &["table 8754", "did not make"]);
}

#[test]
fn a_folder_where_the_journal_belongs_is_named_and_kept() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, "", &everything(&lab, 1));
    let path = idle.workdir.path().join("control.sock.undo");
    fs::create_dir(&path).unwrap();
    fails(&lab, &idle, &[path.to_str().unwrap(), "Is a directory"]);
}

#[test]
fn a_journal_that_is_none_is_named_with_its_line_and_kept() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, "", &everything(&lab, 1));
    let path = idle.workdir.path().join("control.sock.undo");
    fs::write(&path, "link nfv0\nmy diary\n").unwrap();
    let place = format!("{}:2: ", path.display());
    fails(&lab, &idle, &[&place]);
    assert_eq!(fs::read_to_string(path).unwrap(), "link nfv0\nmy diary\n");
}

#[test]
fn a_read_only_folder_is_named() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, "", &everything(&lab, 1));
    let before = kernel::state(lab.proxy(1));
    let files = names(idle.workdir.path());
    let folder = idle.workdir.path().to_str().unwrap();
    // `ip netns exec` has given the shell mounts of its own.
    let script = format!(
        "mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && \
         exec {PROGRAM} run -c {}",
        idle.config.display()
    );
    let mut shell = lab.proxy(1).command("sh");
    let ended = to_end(shell.args(["-c", &script])).with(1);
    let socket = Path::new(folder).join("control.sock");
    assert_line(&ended, &[socket.to_str().unwrap(), "Read-only file system"]);
    assert_as_before(&lab, &before);
    assert_eq!(names(idle.workdir.path()), files);
}

#[test]
fn what_is_not_enabled_does_not_run() {
    let Some(lab) = lab(1) else { return };
    let idle = Idle::new(&lab, "", &everything(&lab, 1));
    let text = fs::read_to_string(&idle.config).unwrap();
    let text = text.replace("option enabled '1'", "option enabled '0'");
    fs::write(&idle.config, text).unwrap();
    fails(&lab, &idle, &[idle.config.to_str().unwrap(), "enabled"]);
}
