//! The key file: how keys change under running flows, and what `check` says of a file that is wrong.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use srv6pipes::demo::workdir::Workdir;

use super::{OPEN, SEAL, chain, fresh_key, sections, steer, write_keys};
use crate::harness::ended::to_end;
use crate::harness::ends::breaks;
use crate::harness::peer::{Habit, Server, assert_reset_soon, connect};
use crate::harness::proxy::{PROGRAM, Proxy, base_config, modules};
use crate::harness::status::Status;
use crate::harness::talk::Talk;
use crate::harness::{PREFIX, lab};
use crate::readme::example;

fn reload(proxy: &Proxy) {
    to_end(&mut proxy.command("reload")).with(0);
}

#[test]
fn keys_are_changed_by_a_reload_and_old_flows_go_on() {
    let Some(lab) = lab(2) else { return };
    let [seven, eight, other] = [(); 3].map(|()| fresh_key());
    let [p1, p2] = chain(&lab, "", &format!("7 {seven}\n"), "");
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut old = Talk::begin(&lab, &server).unwrap();
    old.say(b"by the old key").unwrap();

    // The new key goes to both ends, then flows go over to it, then the old one goes.
    for proxy in [&p1, &p2] {
        write_keys(
            proxy.workdir(),
            &format!("7 {seven} # old\n8 {eight}\n"),
            0o600,
        );
        reload(proxy);
    }
    let mut still_old = Talk::begin(&lab, &server).unwrap();
    still_old.say(b"by the old key, too").unwrap();
    steer(&lab, 8);
    let mut new = Talk::begin(&lab, &server).unwrap();
    new.say(b"by the new key").unwrap();
    for proxy in [&p1, &p2] {
        write_keys(proxy.workdir(), &format!("8 {eight}\n"), 0o600);
        reload(proxy);
    }
    for talk in [&mut old, &mut still_old, &mut new] {
        talk.say(b"and on").unwrap();
    }
    steer(&lab, 7);
    assert_reset_soon(connect(lab.client(), server.address()));
    steer(&lab, 8);

    // Another key by the same number at one end only.
    write_keys(p1.workdir(), &format!("8 {other}\n"), 0o600);
    reload(&p1);
    let mismatch = connect(lab.client(), server.address()).unwrap();
    (&mismatch).write_all(b"anybody?").unwrap();
    breaks(&mismatch);
    server.report().end.unwrap_err();
    let p2_says = Status::of(&p2);
    let p1_says = Status::of(&p1);
    let unauthentic = |status: &Status, id| status.own(id, "unauthentic_flows", "").unwrap();
    assert_eq!(unauthentic(&p1_says, SEAL) + unauthentic(&p2_says, OPEN), 1);

    for talk in [old, still_old, new] {
        talk.end();
        server.report().end.unwrap();
    }
    let log = p1.log() + &p2.log();
    for key in [seven, eight, other] {
        assert!(!log.contains(&key[..16]), "a key is in the log");
    }
}

#[test]
fn check_tells_all_that_is_wrong_with_keys_and_their_file() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    workdir
        .copy_modules(&modules(), |name| name == "libseal.so")
        .unwrap();
    let base = base_config(&lab, 1, &workdir, "");
    let config = |mode, keys: &str, options: &str| {
        let sections = sections(&workdir, keys, options);
        write_keys(&workdir, keys, mode);
        workdir
            .write("check.conf", &(base.clone() + &sections))
            .unwrap()
    };
    let check = |config: &PathBuf| {
        let mut check = Command::new(PROGRAM);
        to_end(check.arg("check").arg("-c").arg(config))
    };
    let key = fresh_key();
    let good = format!("7 {key}\n");
    check(&config(0o600, &good, "")).with(0);
    let keys = workdir.path().join("keys").display().to_string();
    let section = example("seal").replace("/etc/srv6pipes/seal.keys", &keys);
    let path = workdir.write("example.conf", &(base.clone() + &section));
    check(&path.unwrap()).with(0);

    let path = config(0o640, &good, "option cipher 'rot13'");
    let told = check(&path).with(1).stderr;
    let line = |text: &str| {
        let config = fs::read_to_string(&path).unwrap();
        config
            .lines()
            .position(|line| line.starts_with(text))
            .unwrap()
            + 1
    };
    let place = |text| format!("{}:{}: function 0x0001", path.display(), line(text));
    for (place, words) in [
        (place("option keys"), "option 'keys': "),
        (place("option keys"), "mode 0640"),
        (place("option cipher"), "must be one of: auto, "),
    ] {
        let told = told
            .lines()
            .find(|told| told.starts_with(&place) && told.contains(words));
        assert!(told.is_some(), "no {place} {words}");
    }
    assert_eq!(told.lines().count(), 4, "{told}");

    let told = check(&config(0o600, &format!("7 {key}\n7 {key}\n8 {key}0\n"), ""));
    let told = told.with(1).stderr;
    assert!(
        told.contains("option 'keys': line 2: key 7 is on line 1, too"),
        "{told}"
    );
    assert!(
        told.contains("option 'keys': line 3: the key must be"),
        "{told}"
    );
    assert!(!told.contains(&key[..8]), "{told}");

    let told = check(&config(0o600, &good, "option on_failure 'pass'"))
        .with(1)
        .stderr;
    assert!(
        told.contains("option 'on_failure': must be 'reset'"),
        "{told}"
    );
}
