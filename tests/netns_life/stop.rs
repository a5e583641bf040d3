//! SIGTERM and SIGINT: flows are reset at both ends, the kernel is as it was, no file is left.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::noise::bytes;
use crate::harness::peer::{Habit, Server, connect};
use crate::harness::proxy::{Proxy, base_config, function_config};
use crate::harness::talk::Talk;
use crate::harness::{kernel, lab, wait_for};
use crate::{CAPTURES, assert_as_before, everything, fixtures, names};
use srv6pipes::demo::lab::{Lab, sid};

/// Both ends hear of the end within this; a flow that waited for a timeout would need minutes.
const QUICK: Duration = Duration::from_secs(10);

#[test]
fn sigterm_puts_the_kernel_back_and_resets_flows_at_both_ends() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        stop_while_flows_run(&lab, capture, Signal::SIGTERM);
    }
}

#[test]
fn sigint_does_the_same() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        stop_while_flows_run(&lab, capture, Signal::SIGINT);
    }
}

fn stop_while_flows_run(lab: &Lab, capture: &str, signal: Signal) {
    let before = kernel::state(lab.proxy(1));
    let mut proxy = Proxy::start_with(lab, 1, capture, &everything(lab, 1));
    let folder = proxy.workdir().path().to_owned();
    assert!(
        kernel::difference(&before, &kernel::state(lab.proxy(1))).len() > 10,
        "the set-up changes nothing"
    );
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let echo = Server::start(lab.server(), 7, Habit::Echo);
    let mut talks = Talk::several(lab, &echo, 8);
    let swallow = Server::start(lab.server(), 9, Habit::Swallow);
    let stream = connect(lab.client(), swallow.address()).unwrap();
    let busy = std::thread::spawn(move || pour(stream));
    wait_for("the transfer to be under way", || {
        let status = proxy.json("status");
        (status["counters"]["upstream_out_bytes"].as_u64()? > 1_000_000).then_some(())
    });

    let told = Instant::now();
    proxy.signal(signal);
    for talk in &mut talks {
        let error = talk.listen().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    let error = busy.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    for server in [&echo; 8].into_iter().chain([&swallow]) {
        let error = server.report().end.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    assert!(told.elapsed() < QUICK, "{:?}", told.elapsed());
    // `stop` sends SIGTERM only if the process lives; a second one must not matter either.
    assert_eq!(proxy.stop().code(), Some(0));
    assert_as_before(lab, &before);
    assert_eq!(names(&folder), ["modules", "proxy.conf", "proxy.log"]);
}

/// Writes until that is refused.
fn pour(mut stream: std::net::TcpStream) -> io::Error {
    let chunk = bytes(1, 64 << 10);
    // No transfer is endless: this is 16 GiB.
    for _ in 0..1 << 18 {
        if let Err(error) = stream.write_all(&chunk) {
            return error;
        }
    }
    io::Error::other("nobody has stopped it")
}

#[test]
fn it_stops_also_while_nothing_runs_and_starts_again_as_often_as_one_likes() {
    let Some(lab) = lab(1) else { return };
    let before = kernel::state(lab.proxy(1));
    let mut proxy = Proxy::start_with(&lab, 1, CAPTURES[0], &everything(&lab, 1));
    for _ in 0..3 {
        assert_eq!(proxy.stop().code(), Some(0));
        assert_as_before(&lab, &before);
        proxy.restart(&lab);
    }
}

#[test]
fn a_function_that_does_not_return_holds_up_neither_the_end_nor_the_undoing() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let before = kernel::state(lab.proxy(1));
        let mut proxy = Proxy::start_as(&lab, 1, |workdir| {
            let module = workdir.path().join("modules/libsleeps.so");
            fixtures::compile("sleeps", &module, &[]);
            let options = format!("option threads '2'\n{capture}");
            base_config(&lab, 1, workdir, &options) + &function_config(1, "sleeps", "")
        });
        let folder = proxy.workdir().path().to_owned();
        lab.steer(&[sid(1, 1, 0)]).unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let mut stream = connect(lab.client(), server.address()).unwrap();
        stream.write_all(b"for ever").unwrap();
        wait_for("the function to be busy", || {
            proxy.log().contains("asleep").then_some(())
        });
        assert_eq!(proxy.stop().code(), Some(1));
        let log = proxy.log();
        let stuck = log
            .lines()
            .filter(|line| line.contains("does not return from a function"));
        assert_eq!(stuck.count(), 1, "{log}");
        assert_as_before(&lab, &before);
        assert_eq!(names(&folder), ["modules", "proxy.conf", "proxy.log"]);
    }
}
