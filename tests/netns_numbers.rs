//! Policies and returns keep their meaning through reloads that move them about.

mod harness;

use std::fs;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use harness::lab;
use harness::peer::{Habit, Server, connect, exchange};
use harness::pipeline::capture_option;
use harness::proxy::{Proxy, function_config};
use harness::talk::Talk;
use srv6pipes::demo::lab::{CLIENT, Lab, sid};

fn policy(lab: &Lab, port: u16, segment: std::net::Ipv6Addr) -> String {
    format!(
        "config policy\nlist device '{}'\nlist port '{port}'\nlist segment '{segment}'\n\n",
        lab.device_to_client(1)
    )
}

/// Takes `sections` over in place of all behind the functions.
fn reload(proxy: &Proxy, head: &str, sections: &str) {
    fs::write(proxy.config_path(), head.to_owned() + sections).unwrap();
    let done = proxy.command("reload").output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// While policies come and go in front of those for our port, every flow to it gets what they say.
fn holds_while_others_move(mode: &str, segments: impl Fn(&Lab) -> [std::net::Ipv6Addr; 2]) {
    let Some(lab) = lab(2) else { return };
    let functions = function_config(1, "xor", "");
    let [ours, other] = segments(&lab);
    let mine = policy(&lab, 7, ours);
    let moved = policy(&lab, 9999, other) + &mine;
    let proxy = Proxy::start_with(&lab, 1, &capture_option(mode), &(functions + &mine));
    let _second = Proxy::start(&lab, 2);
    let text = fs::read_to_string(proxy.config_path()).unwrap();
    let head = text.strip_suffix(&mine).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Give { length: 1, seed: 3 });
    let clear = harness::noise::bytes(3, 1)[0];
    let (stop, flows) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let clients = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let mut stream = connect(lab.client(), server.address()).unwrap();
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                assert_eq!(byte[0], clear ^ 0x2a, "after {flows:?} flows");
                flows.fetch_add(1, Ordering::Relaxed);
            }
        });
        for round in 0..30 {
            reload(&proxy, head, if round % 2 == 0 { &moved } else { &mine });
            let before = flows.load(Ordering::Relaxed);
            harness::wait_for("flows between reloads", || {
                let more = flows.load(Ordering::Relaxed) >= before + 5;
                (more || clients.is_finished()).then_some(())
            });
        }
        stop.store(true, Ordering::Relaxed);
        clients.join().unwrap();
    });
}

#[test]
fn a_policy_to_another_router_holds_while_others_move() {
    holds_while_others_move("saved_syn", |_| [sid(2, 1, 0x2a), sid(2, 1, 7)]);
}

#[test]
fn a_policy_to_ourselves_holds_while_others_move() {
    for mode in ["saved_syn", "nfqueue"] {
        holds_while_others_move(mode, |_| [sid(1, 1, 0x2a), sid(1, 1, 0x55)]);
    }
}

#[test]
fn a_live_flow_keeps_its_return_when_a_policy_comes_and_goes() {
    for mode in ["saved_syn", "nfqueue"] {
        let Some(lab) = lab(1) else { return };
        let back = format!(
            "config return\noption device '{}'\noption gateway '{CLIENT}'\n\n",
            lab.device_to_client(1)
        );
        let sections = function_config(1, "xor", "") + &back;
        let proxy = Proxy::start_with(&lab, 1, &capture_option(mode), &sections);
        lab.steer(&[sid(1, 1, 0)]).unwrap();
        // Only the return leads to the client.
        let away = format!("route add blackhole {CLIENT}/128\n");
        lab.proxy(1).ip(&away).unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let mut talk = Talk::begin(&lab, &server).unwrap();
        talk.say(b"before").unwrap();
        let text = fs::read_to_string(proxy.config_path()).unwrap();
        reload(&proxy, &text, &policy(&lab, 9999, sid(2, 1, 7)));
        talk.say(b"while").unwrap();
        reload(&proxy, &text, "");
        talk.say(b"after").unwrap();
        talk.end();
        let stream = connect(lab.client(), server.address()).unwrap();
        assert_eq!(exchange(&stream, b"new").unwrap(), b"new", "{mode}");
    }
}
