//! `kill -9`: flows end, new ones are refused or carried on, `clean` and a restart both put back
//! what there was before the killed run.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use nix::sys::socket::{Shutdown, shutdown};

use crate::harness::noise::sha256;
use crate::harness::peer::{Habit, Server, connect};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::talk::{Talk, reports, xored};
use crate::harness::{kernel, lab, wait_for};
use crate::{CAPTURES, assert_as_before, everything, names, srv6pipes};
use srv6pipes::demo::frame::flag;
use srv6pipes::demo::lab::{SERVER, sid};
use srv6pipes::demo::sniff::Tap;

#[test]
fn clean_undoes_what_a_killed_run_left_and_then_finds_nothing() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let before = kernel::state(lab.proxy(1));
        let mut proxy = Proxy::start_with(&lab, 1, capture, &everything(&lab, 1));
        let running = kernel::state(lab.proxy(1));
        proxy.kill_9();
        let left = kernel::difference(&running, &kernel::state(lab.proxy(1)));
        assert_eq!(left, [""; 0], "the kernel forgot by itself");

        let config = proxy.config_path();
        let first = srv6pipes(&lab, "clean", &config).with(0);
        assert!(first.stdout.ends_with(" things undone\n"), "{first:?}");
        assert_as_before(&lab, &before);
        let folder = proxy.workdir().path();
        assert_eq!(names(folder), ["modules", "proxy.conf", "proxy.log"]);
        let second = srv6pipes(&lab, "clean", &config).with(0);
        assert_eq!(second.stdout, "nothing was left behind\n");
        assert_as_before(&lab, &before);
    }
}

#[test]
fn a_restart_takes_over_and_puts_back_the_first_values_at_its_end() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let before = kernel::state(lab.proxy(1));
        let mut proxy = Proxy::start_with(&lab, 1, capture, &everything(&lab, 1));
        let running = kernel::state(lab.proxy(1));
        for _ in 0..2 {
            proxy.kill_9();
            proxy.restart(&lab);
        }
        let again = kernel::state(lab.proxy(1));
        assert_eq!(kernel::difference(&running, &again), [""; 0]);
        lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let (_, said) = Talk::several(&lab, &server, 1).remove(0).end();
        assert_eq!(server.report().sum, sha256(&xored(&said, 0x2a)));
        assert_eq!(proxy.stop().code(), Some(0));
        assert_as_before(&lab, &before);
    }
}

#[test]
fn a_restart_with_another_configuration_removes_what_that_does_not_have() {
    let Some(lab) = lab(1) else { return };
    let before = kernel::state(lab.proxy(1));
    let mut proxy = Proxy::start_with(&lab, 1, "option preference '1000'", &everything(&lab, 1));
    proxy.kill_9();
    let text = fs::read_to_string(proxy.config_path()).unwrap();
    let (kept, _) = text.split_once("config policy").unwrap();
    fs::write(proxy.config_path(), kept).unwrap();
    proxy.restart(&lab);
    let rules = kernel::state(lab.proxy(1))["ip -6 rule show"].clone();
    assert!(
        rules.contains("1001:") && !rules.contains("1300:"),
        "{rules}"
    );
    assert_eq!(proxy.stop().code(), Some(0));
    assert_as_before(&lab, &before);
}

#[test]
fn flows_of_a_killed_run_end_at_both_ends() {
    let Some(lab) = lab(1) else { return };
    let mut proxy = Proxy::start(&lab, 1);
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut talks = Talk::several(&lab, &server, 3);
    proxy.kill_9();
    for talk in &mut talks {
        match talk.listen() {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("{other:?}"),
        }
        server.report();
    }
}

#[test]
fn refuse_answers_for_the_server_and_no_listener_of_the_router_does() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let functions = "option on_failure 'refuse'\n".to_owned() + &function_config(1, "xor", "");
        let mut proxy = Proxy::start_with(&lab, 1, capture, &functions);
        lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
        // One port is that of our own listeners.
        let ports = [7, 8754];
        let servers = ports.map(|port| Server::start(lab.server(), port, Habit::Echo));
        proxy.kill_9();
        let bind = |port| TcpListener::bind(("::", port)).unwrap();
        let routers = ports.map(|port| lab.proxy(1).run(|| bind(port)).unwrap());
        let (client, device) = lab.wire(0);
        for (server, router) in servers.iter().zip(&routers) {
            let tap = Tap::start(client, &device).unwrap();
            let error = connect(client, server.address()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
            router.set_nonblocking(true).unwrap();
            let nobody = router.accept().unwrap_err();
            assert_eq!(nobody.kind(), ErrorKind::WouldBlock, "{nobody}");
            let reset = wait_for("the reset on the wire", || {
                tap.frames(|frames| frames.iter().find(|f| f.has(flag::RST)).cloned())
            });
            assert_eq!(*reset.source.ip(), SERVER);
            assert!(reset.checksum_ok && reset.routing.is_none());
        }
        // Closing is not enough: a program that another test is about to start may hold copies.
        for router in &routers {
            shutdown(router.as_raw_fd(), Shutdown::Both).unwrap();
        }
        drop(routers);
        proxy.restart(&lab);
        let (_, said) = Talk::several(&lab, &servers[0], 1).remove(0).end();
        assert_eq!(servers[0].report().sum, sha256(&xored(&said, 0x2a)));
    }
}

#[test]
fn bypass_carries_flows_on_unprocessed_and_they_survive_the_restart() {
    for capture in CAPTURES {
        let Some(lab) = lab(2) else { return };
        let functions = "option on_failure 'bypass'\n".to_owned() + &function_config(1, "xor", "");
        let mut proxy = Proxy::start_with(&lab, 1, capture, &functions);
        let next = Proxy::start_with(&lab, 2, capture, &function_config(1, "xor", ""));
        lab.steer(&[sid(1, 1, 0x11), sid(2, 1, 0x2a)]).unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        // A listener of the router must not be met here either.
        let bind = || TcpListener::bind("[::]:7").unwrap();
        let router = lab.proxy(1).run(bind).unwrap();
        router.set_nonblocking(true).unwrap();
        proxy.kill_9();
        let bypassed = Talk::several(&lab, &server, 3);
        proxy.restart(&lab);
        let processed = Talk::several(&lab, &server, 3);
        for (talks, key) in [(bypassed, 0x2a), (processed, 0x11 ^ 0x2a)] {
            let ended: Vec<_> = talks
                .into_iter()
                .map(|mut talk| {
                    talk.say(b"after the restart").unwrap();
                    talk.end()
                })
                .collect();
            let reports = reports(&server, ended.len());
            for (client, said) in ended {
                let report = &reports[&client];
                assert_eq!(report.sum, sha256(&xored(&said, key)));
                report.end.as_ref().unwrap();
            }
        }
        router.accept().unwrap_err();
        let accepted = |proxy: &Proxy| proxy.json("status")["counters"]["accepted_flows"].clone();
        assert_eq!((accepted(&proxy), accepted(&next)), (3.into(), 6.into()));
    }
}
