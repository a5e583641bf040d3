//! Others change the kernel under a running daemon: it hears of it and puts it right, without a
//! reload.

#[path = "harness/mod.rs"]
mod harness;

use std::time::{Duration, Instant};

use harness::noise::sha256;
use harness::peer::{Habit, Server};
use harness::proxy::{Proxy, function_config};
use harness::talk::{Talk, xored};
use harness::{kernel, lab, wait_for};
use srv6pipes::demo::lab::{CLIENT, Lab, sid};

const CAPTURES: [&str; 2] = ["option capture 'saved_syn'", "option capture 'nfqueue'"];

/// Steers through function `xor` of proxy 1, which answers by a `config return`.
fn start(lab: &Lab, capture: &str) -> Proxy {
    let device = lab.device_to_client(1);
    let back = format!("config return\noption device '{device}'\noption gateway '{CLIENT}'\n\n");
    let proxy = Proxy::start_with(lab, 1, capture, &(function_config(1, "xor", "") + &back));
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    proxy
}

/// What of the kernel's state is ours; the numbers of devices are not.
fn ours(lab: &Lab) -> Vec<String> {
    let state = kernel::state(lab.proxy(1));
    let device = lab.device_to_client(1);
    let enabled = state.get(&format!("net/ipv6/conf/{device}/seg6_enabled"));
    let routes = state["ip -6 route show table all"].lines();
    let mut list: Vec<String> = routes
        .filter(|route| route.contains("proto 43"))
        .map(str::to_owned)
        .collect();
    list.extend(enabled.cloned());
    list.push(state["ip -6 rule show"].clone());
    list.push(state["nft list ruleset"].clone());
    list
}

/// Longer than the daemon waits before it looks at the kernel.
const LONG: Duration = Duration::from_secs(5);

/// A flow is processed; both ends see all of it.
#[track_caller]
fn assert_processed(lab: &Lab, server: &Server) {
    let mut talk = Talk::begin(lab, server).unwrap();
    talk.say(b"is anybody there").unwrap();
    let (_, said) = talk.end();
    assert_eq!(server.report().sum, sha256(&xored(&said, 0x2a)));
}

/// `change` takes something away that comes back by itself, and the daemon says so.
fn comes_back(lab: &Lab, proxy: &Proxy, change: impl FnOnce()) {
    let whole = ours(lab);
    change();
    wait_for("the kernel to be as the daemon wants it", || {
        (ours(lab) == whole && proxy.log().contains("put right")).then_some(())
    });
}

#[test]
fn a_flushed_ruleset_comes_back() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let before = kernel::state(lab.proxy(1));
        let mut proxy = start(&lab, capture);
        let server = Server::start(lab.server(), 7, Habit::Echo);
        assert_processed(&lab, &server);
        comes_back(&lab, &proxy, || {
            let mut nft = lab.proxy(1).command("nft");
            assert!(nft.args(["flush", "ruleset"]).status().unwrap().success());
        });
        assert_processed(&lab, &server);
        assert_eq!(proxy.stop().code(), Some(0));
        assert_eq!(
            kernel::difference(&before, &kernel::state(lab.proxy(1))),
            [""; 0]
        );
        // Once: what we do is no reason to do it again.
        assert_eq!(proxy.log().matches("the kernel lost").count(), 1);
    }
}

#[test]
fn routes_that_went_with_lo_come_back() {
    let Some(lab) = lab(1) else { return };
    let before = kernel::state(lab.proxy(1));
    let mut proxy = start(&lab, CAPTURES[0]);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    comes_back(&lab, &proxy, || {
        lab.proxy(1)
            .ip("link set lo down\nlink set lo up\n")
            .unwrap();
    });
    assert_processed(&lab, &server);
    assert_eq!(proxy.stop().code(), Some(0));
    assert_eq!(
        kernel::difference(&before, &kernel::state(lab.proxy(1))),
        [""; 0]
    );
}

#[test]
fn a_device_made_anew_is_taken_into_service() {
    let Some(lab) = lab(1) else { return };
    let (client, device) = lab.wire(0);
    let back = lab.device_to_client(1);
    let mut proxy = start(&lab, CAPTURES[0]);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    assert_processed(&lab, &server);
    comes_back(&lab, &proxy, || {
        client.ip(&format!("link delete {device}\n")).unwrap();
        wait_for("the daemon to miss its device", || {
            let missed = format!("there is no device {back}");
            proxy.log().contains(&missed).then_some(())
        });
        let name = lab.proxy(1).name();
        let pair = format!("link add {device} type veth peer name {back} netns {name}\n");
        client.ip(&pair).unwrap();
        for (namespace, device, address) in [
            (lab.proxy(1), &back, lab.address(1, 0)),
            (client, &device, lab.address(0, 1)),
        ] {
            let lines =
                format!("address add {address}/64 dev {device} nodad\nlink set {device} up\n");
            namespace.ip(&lines).unwrap();
        }
        let gateway = lab.address(1, 0);
        let default = format!("route add default via {gateway} dev {device}\n");
        client.ip(&default).unwrap();
        lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    });
    assert_processed(&lab, &server);
    assert_eq!(proxy.stop().code(), Some(0));
    let key = format!("net/ipv6/conf/{back}/seg6_enabled");
    assert_eq!(lab.proxy(1).sysctl(&key).unwrap(), "0");
    assert!(ours(&lab).iter().all(|line| !line.contains("proto 43")));
}

#[test]
fn a_return_whose_device_was_off_comes_back_with_its_address() {
    let Some(lab) = lab(1) else { return };
    let back = lab.device_to_client(1);
    let proxy = start(&lab, CAPTURES[0]);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    comes_back(&lab, &proxy, || {
        let address = lab.address(1, 0);
        let lines = format!(
            "link set {back} down\nlink set {back} up\naddress add {address}/64 dev {back} nodad\n"
        );
        lab.proxy(1).ip(&lines).unwrap();
    });
    assert_processed(&lab, &server);
}

#[test]
fn what_is_not_ours_is_nothing_to_put_right() {
    let Some(lab) = lab(1) else { return };
    let before = kernel::state(lab.proxy(1));
    let mut proxy = start(&lab, CAPTURES[0]);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let whole = ours(&lab);
    let began = Instant::now();
    while began.elapsed() < LONG {
        let route = format!("2001:db8::/32 dev {}", lab.device_to_server(1));
        let lines = format!("route add {route}\nroute delete {route}\n");
        lab.proxy(1).ip(&lines).unwrap();
        assert_processed(&lab, &server);
    }
    assert_eq!(ours(&lab), whole);
    assert_eq!(proxy.stop().code(), Some(0));
    assert!(!proxy.log().contains("the kernel"), "{}", proxy.log());
    let after = kernel::state(lab.proxy(1));
    assert_eq!(kernel::difference(&before, &after), [""; 0]);
}
