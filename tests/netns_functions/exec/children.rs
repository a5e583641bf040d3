//! Children that are killed, that stay, and that are left behind.

use std::fs;
use std::io::{ErrorKind, Read, Write};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use srv6pipes::demo::lab::sid;

use super::{ID, command, exec};
use crate::harness::ends::{Host, abort, breaks, jam};
use crate::harness::peer::{Habit, Server};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::status::{Status, counted, ticks};
use crate::harness::talk::Talk;
use crate::harness::{lab, wait_for};
use crate::own::counts;

/// A process: its number, state (proc_pid_stat(5)) and parent.
fn processes() -> Vec<(i32, char, i32)> {
    let entries = fs::read_dir("/proc").unwrap();
    let numbers = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let stat = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may hold anything; what follows it may not.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?.chars().next()?;
        Some((pid, state, fields.next()?.parse().ok()?))
    };
    numbers.filter_map(stat).collect()
}

/// The children of a daemon.
fn children(proxy: &Proxy) -> Vec<i32> {
    let own = i32::try_from(proxy.pid()).unwrap();
    let all = processes().into_iter();
    let children = all.filter(|(_, _, parent)| *parent == own);
    children.map(|(pid, ..)| pid).collect()
}

/// Waits until none of these lives or is a zombie.
fn wait_gone(pids: &[i32]) {
    wait_for(&format!("{pids:?} to be gone"), || {
        let left = processes().into_iter();
        let left = left.filter(|(pid, ..)| pids.contains(pid)).count();
        (left == 0).then_some(())
    });
}

#[test]
fn a_flow_whose_child_is_killed_is_reset_and_no_other() {
    let Some(lab) = lab(1) else { return };
    let proxy = exec(&lab, 1, &command("upstream", &["cat"]));
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut victim = Talk::several(&lab, &server, 1).pop().unwrap();
    let [child] = children(&proxy)[..] else {
        panic!("one child");
    };
    let mut other = Talk::several(&lab, &server, 1).pop().unwrap();
    kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
    let error = victim.listen().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let end = server.report().end.unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    wait_gone(&[child]);
    other.say(b"still there").unwrap();
    other.end();
    let expected = [("broken_function_flows", 1), ("finished_flows", 1)];
    counted(&proxy, &expected).assert_adds_up();
    counts(
        &proxy,
        ID,
        &[("failed_children", "", 1), ("ended_children", "", 2)],
    );
}

#[test]
fn a_program_that_reads_nothing_stops_its_sender_alone() {
    let Some(lab) = lab(1) else { return };
    let options = command("upstream", &["sleep", "1000"]) + "\toption max_children '1'\n";
    let sections = function_config(ID, "exec", &options) + &function_config(2, "copy", "");
    let proxy = Proxy::start_with(&lab, 1, "option threads '1'", &sections);
    lab.steer(&[sid(1, ID, 0)]).unwrap();
    let host = Host::listen(lab.server(), 5001);
    let mut ends = host.meet(lab.client());
    let written = jam(&ends.client) as u64;
    let read = Status::of(&proxy).0["counters"]["upstream_in_bytes"].as_u64();
    assert!(
        read.is_some_and(|read| read <= 256 << 10),
        "{read:?} of {written}"
    );
    // The other direction goes on, and so do the worker's other flows; nobody works for nothing.
    ends.server.write_all(b"hello?").unwrap();
    let mut heard = [0; 6];
    ends.client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello?");
    let used = ticks(&proxy);
    lab.steer(&[sid(1, 2, 0)]).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut talk = Talk::begin(&lab, &server).unwrap();
    for _ in 0..100 {
        talk.say(b"and you?").unwrap();
    }
    talk.end();
    let used = ticks(&proxy) - used;
    assert!(used < 50, "{used} ticks");
    let left = children(&proxy);
    assert_eq!(left.len(), 1);
    abort(ends.client);
    assert_eq!(breaks(&ends.server), ErrorKind::ConnectionReset);
    wait_gone(&left);
    let expected = [("reset_by_client_flows", 1), ("finished_flows", 1)];
    counted(&proxy, &expected).assert_adds_up();
    // Who kills is not who fails.
    counts(
        &proxy,
        ID,
        &[("failed_children", "", 0), ("ended_children", "", 1)],
    );
}

#[test]
fn no_child_outlives_its_daemon() {
    let Some(lab) = lab(1) else { return };
    // A shell and its own child, which would not notice the end of a pipe.
    let script = "sleep 1000 & cat";
    let stubborn = command("upstream", &["sh", "-c", script]);
    let plain = command("upstream", &["cat"]) + &command("downstream", &["cat"]);
    for (options, signal) in [(&stubborn, Signal::SIGTERM), (&plain, Signal::SIGKILL)] {
        let mut proxy = exec(&lab, 1, options);
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let talks = Talk::several(&lab, &server, 3);
        let mut all = children(&proxy);
        assert!(all.len() >= 3);
        let grandchildren = processes().into_iter();
        let grandchildren = grandchildren.filter(|(_, _, parent)| all.contains(parent));
        let grandchildren: Vec<i32> = grandchildren.map(|(pid, ..)| pid).collect();
        all.extend(grandchildren);
        match signal {
            Signal::SIGTERM => assert!(proxy.stop().success()),
            _ => assert!(!proxy.kill_9().success()),
        }
        wait_gone(&all);
        drop(talks);
        if signal == Signal::SIGKILL {
            proxy.restart(&lab);
            assert!(proxy.stop().success());
        }
    }
}
