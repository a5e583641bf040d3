//! What a killed run leaves behind is undone by `clean` and taken over by the next run.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use srv6pipes::setup::{Setup, clean};

use crate::lab::{Folder, apply, config, in_namespace, picture, run, saved_syn};

const JOURNAL: &str = "SRV6PIPES_TEST_JOURNAL";

/// The test [`sets_up_and_waits`] as another process, in the calling thread's namespace.
fn other_process(folder: &Folder) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("remains::sets_up_and_waits")
        .env(JOURNAL, folder.journal())
        .stdin(Stdio::piped());
    command
}

/// Sets up in another process and kills that with SIGKILL.
fn leave_behind(folder: &Folder) {
    let mut child = other_process(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let applied = output.lines().any(|line| line.unwrap().contains("applied"));
    assert!(applied);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "the other process of leave_behind"]
fn sets_up_and_waits() {
    // Somebody runs all ignored tests: there is nothing to set up for.
    let Some(journal) = std::env::var_os(JOURNAL) else {
        return;
    };
    let _setup = Setup::apply(saved_syn(&config()), journal.as_ref())
        .unwrap_or_else(|error| panic!("{error}"));
    println!("\napplied");
    // Until SIGKILL: nobody writes to this process.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn without_nft_the_package_is_named_and_all_is_put_back() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        let output = other_process(&folder).env("PATH", "").output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(words.contains("install the package nftables"), "{words}");
        assert_eq!(picture(), before);
        assert!(folder.is_empty());
    });
}

#[test]
fn what_cannot_be_undone_stays_in_the_journal() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        leave_behind(&folder);
        // No sysctl has this value: the kernel refuses it when it is to be put back.
        let journal = std::fs::read_to_string(folder.journal()).unwrap();
        let broken = journal.replace("p0/seg6_enabled was 0", "p0/seg6_enabled was many");
        std::fs::write(folder.journal(), broken).unwrap();
        let errors = clean(&folder.journal()).unwrap_err();
        let [error] = &errors[..] else {
            panic!("{errors:?}");
        };
        assert!(
            error
                .to_string()
                .starts_with("write many to /proc/sys/net/ipv6/conf/p0/")
        );
        let left = std::fs::read_to_string(folder.journal()).unwrap();
        assert_eq!(left.lines().count(), 2, "{left}");
        std::fs::write(folder.journal(), left.replace("many", "0")).unwrap();
        assert_eq!(clean(&folder.journal()).unwrap(), 1);
        assert_eq!(picture(), before);
        assert!(folder.is_empty());
    });
}

#[test]
fn clean_undoes_it_once() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        leave_behind(&folder);
        assert_ne!(picture(), before);
        // 5 sysctls, a link, 4 routes, 7 rules, a table.
        assert_eq!(clean(&folder.journal()).unwrap(), 18);
        assert_eq!(picture(), before);
        assert!(folder.is_empty());
        assert_eq!(clean(&folder.journal()).unwrap(), 0);
    });
}

#[test]
fn clean_does_not_mind_what_is_gone_already() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        leave_behind(&folder);
        run("nft delete table ip6 srv6pipes");
        run("ip link delete nfv0");
        run("ip -6 rule delete pref 1300");
        // The routes to the SIDs and with the SRH went with nfv0.
        assert_eq!(clean(&folder.journal()).unwrap(), 13);
        assert_eq!(picture(), before);
        assert!(folder.is_empty());
    });
}

#[test]
fn the_next_run_takes_it_over_and_restores_what_was_before_both() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        leave_behind(&folder);
        let setup = apply(&config(), &folder);
        let during = picture();
        leave_it(setup, &before, &folder);
        // The same plan on a clean kernel.
        let setup = apply(&config(), &folder);
        assert_eq!(
            crate::lab::without_numbers(&picture()),
            crate::lab::without_numbers(&during)
        );
        leave_it(setup, &before, &folder);
    });
}

fn leave_it(setup: Setup, before: &str, folder: &Folder) {
    let errors = setup.revert();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(picture(), before);
    assert!(folder.is_empty());
}

#[test]
fn the_next_run_may_have_another_configuration() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        leave_behind(&folder);
        let mut other = config();
        other.policies.clear();
        other.returns.clear();
        other.locators[0].devices.pop();
        let setup = apply(&other, &folder);
        let during = picture();
        assert!(!during.contains("seg6 mode inline"), "{during}");
        assert!(during.contains("conf.p1/2.seg6_enabled = 0"), "{during}");
        assert!(during.contains("tcp_fwmark_accept = 0"), "{during}");
        leave_it(setup, &before, &folder);
    });
}

#[test]
fn remains_stay_when_the_next_run_cannot_begin() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        leave_behind(&folder);
        run("ip -6 rule add pref 1100 lookup main");
        let during = picture();
        let error = Setup::apply(saved_syn(&config()), &folder.journal()).unwrap_err();
        assert!(error.to_string().contains("1100"), "{error}");
        assert_eq!(picture(), during);
        run("ip -6 rule delete pref 1100");
        clean(&folder.journal()).unwrap();
        assert_eq!(picture(), before);
    });
}
