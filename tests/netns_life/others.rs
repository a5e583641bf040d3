//! Two daemons: the second is refused and harms nobody, unless they live in namespaces of their
//! own.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::noise::{bytes, sha256};
use crate::harness::peer::{Habit, Server, connect, exchange};
use crate::harness::proxy::Proxy;
use crate::harness::talk::{Talk, reports, xored};
use crate::harness::{kernel, lab};
use crate::{CAPTURES, Idle, everything, srv6pipes};
use srv6pipes::demo::lab::{Lab, sid};

#[test]
fn a_second_daemon_with_the_same_configuration_is_refused() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let proxy = Proxy::start_with(&lab, 1, capture, &everything(&lab, 1));
        let config = proxy.config_path();
        let socket = proxy.workdir().path().join("control.sock");
        undisturbed(&lab, &proxy, || {
            let second = srv6pipes(&lab, "run", &config).with(1);
            let words = format!("another srv6pipes answers at {}", socket.display());
            assert!(second.stderr.contains(&words), "{}", second.stderr);
        });
        let clean = srv6pipes(&lab, "clean", &config).with(1);
        let words = format!("running already as process {}", proxy.pid());
        assert!(clean.stderr.contains(&words), "{}", clean.stderr);
    }
}

#[test]
fn a_second_daemon_in_the_same_namespace_is_refused_and_takes_no_flow() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let proxy = Proxy::start_with(&lab, 1, capture, &everything(&lab, 1));
        // Another folder, so another control socket and another journal.
        let idle = Idle::new(&lab, capture, &everything(&lab, 1));
        undisturbed(&lab, &proxy, || {
            let second = srv6pipes(&lab, "run", &idle.config).with(1);
            let words = ["in the way", "in use", "another program"];
            let named = words.iter().any(|word| second.stderr.contains(word));
            assert!(named, "{}", second.stderr);
        });
    }
}

/// Tries `second` some times; meanwhile `first` serves an old flow and all the new ones, and the
/// kernel stays as `first` made it.
fn undisturbed(lab: &Lab, first: &Proxy, second: impl Fn()) {
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut talk = Talk::begin(lab, &server).unwrap();
    talk.say(b"before").unwrap();
    let before = kernel::state(lab.proxy(1));
    let over = AtomicBool::new(false);
    let served = thread::scope(|scope| {
        let visitors = scope.spawn(|| {
            let mut served = 0;
            while !over.load(Ordering::Relaxed) {
                let stream = connect(lab.client(), server.address()).unwrap();
                assert_eq!(exchange(&stream, b"new").unwrap(), b"new");
                assert_eq!(server.report().sum, sha256(&xored(b"new", 0x2a)));
                served += 1;
            }
            served
        });
        // Also when `second` panics: the visitors must go home.
        let over = Over(&over);
        for _ in 0..5 {
            second();
        }
        drop(over);
        visitors.join().unwrap()
    });
    talk.say(b"after").unwrap();
    talk.end();
    let status = first.json("status");
    assert_eq!(status["counters"]["accepted_flows"], served + 1);
    assert_eq!(
        kernel::difference(&before, &kernel::state(lab.proxy(1))),
        [""; 0]
    );
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn daemons_in_different_namespaces_do_not_meet() {
    for capture in CAPTURES {
        let (Some(one), Some(two)) = (lab(2), lab(1)) else {
            return;
        };
        // The same port, queue, tables, marks and device names three times over.
        let keys = [0x11, 0x22, 0x33];
        let copies = [(&one, 1), (&one, 2), (&two, 1)];
        let mut proxies =
            copies.map(|(lab, i)| Proxy::start_with(lab, i, capture, &everything(lab, i)));
        one.steer(&[sid(1, 1, keys[0]), sid(2, 1, keys[1])])
            .unwrap();
        two.steer(&[sid(1, 1, keys[2])]).unwrap();
        let text = bytes(5, 200_000);
        for (lab, key) in [(&one, 0x11 ^ 0x22), (&two, 0x33)] {
            let server = Server::start(lab.server(), 7, Habit::Echo);
            let stream = connect(lab.client(), server.address()).unwrap();
            assert!(
                exchange(&stream, &text).unwrap() == text,
                "the echo differs"
            );
            assert_eq!(server.report().sum, sha256(&xored(&text, key)));
        }
        for proxy in &proxies {
            assert_eq!(proxy.json("status")["counters"]["accepted_flows"], 1);
        }
        // The end of one is not the end of the others.
        let server = Server::start(two.server(), 7, Habit::Echo);
        let talks = Talk::several(&two, &server, 2);
        assert_eq!(proxies[0].stop().code(), Some(0));
        assert_eq!(proxies[1].stop().code(), Some(0));
        let ended: Vec<_> = talks.into_iter().map(Talk::end).collect();
        let reports = reports(&server, ended.len());
        for (client, said) in ended {
            assert_eq!(reports[&client].sum, sha256(&xored(&said, 0x33)));
        }
    }
}

#[test]
fn a_second_daemon_is_told_before_it_reads_the_journal_of_the_first() {
    let Some(lab) = lab(1) else { return };
    let proxy = Proxy::start(&lab, 1);
    let journal = proxy.workdir().path().join("control.sock.undo");
    let before = fs::read(&journal).unwrap();
    srv6pipes(&lab, "run", &proxy.config_path()).with(1);
    assert_eq!(fs::read(&journal).unwrap(), before);
}
