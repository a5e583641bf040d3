//! Many SYNs at once whose clients never go on.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;

use std::net::SocketAddrV6;

use harness::by_hand::{ByHand, Header, ROUTING};
use harness::counters::{counter, descriptors, wait_counter, wait_until_nothing_is_left};
use harness::craft::Srh;
use harness::peer::{Habit, Server};
use harness::proxy::{Proxy, function_config};
use harness::sight::{Attempt, Sight};
use harness::{lab, wait_for};
use srv6pipes::demo::lab::{Lab, SERVER, sid};
use srv6pipes::demo::program;

const MODES: [&str; 2] = ["nfqueue", "saved_syn"];

fn start(lab: &Lab, mode: &str, more: &str) -> Proxy {
    let options = format!("option capture '{mode}'\noption connect_timeout '2'\n{more}");
    Proxy::start_with(lab, 1, &options, &function_config(1, "xor", ""))
}

fn srh() -> Header {
    (ROUTING, Srh::new(&[sid(1, 1, 0x2a), SERVER]).bytes())
}

/// More than we would hold for long, less than makes Linux send SYN cookies.
const FLOOD: u16 = 2000;

#[test]
fn a_flood_of_syns_drains_and_honest_clients_are_served() {
    let Some(lab) = lab(1) else { return };
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let rules = "table ip6 hole {\nchain in {\ntype filter hook input priority 0\n\
                 tcp dport 9 drop\n}\n}\n";
    let mut nft = lab.server().command("nft");
    program::run_with_input(nft.args(["-f", "-"]), rules).unwrap();
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    for mode in MODES {
        let proxy = start(&lab, mode, "");
        let before = descriptors(&proxy);
        let hole = SocketAddrV6::new(SERVER, 9, 0, 0);
        let hand = ByHand::new(&lab, hole);
        for port in 0..FLOOD {
            hand.send(sid(1, 1, 0x2a), &[srh()], &hand.syn(10_000 + port));
            if port % 100 == 0 {
                let honest = Attempt::begin(lab.client(), server.address());
                assert_eq!(honest.sight(|| false), Sight::Echo, "{mode}, {port}");
            }
        }
        if mode == "nfqueue" {
            wait_counter(&proxy, "next_timeout_flows", u64::from(FLOOD));
        }
        let honest = Attempt::begin(lab.client(), server.address());
        assert_eq!(honest.sight(|| false), Sight::Echo, "{mode}, after it");
        let count = u64::from(FLOOD) / 100 + 1;
        assert_eq!(counter(&proxy, "accepted_flows"), count, "{mode}");
        wait_counter(&proxy, "finished_flows", count);
        wait_until_nothing_is_left(&proxy, before);
    }
}

/// Half-open connections the kernel holds for a listener before it sends cookies.
const QUEUE: u16 = 16;
/// Clients that come meanwhile, one after the other.
const HONEST: usize = 20;

#[test]
fn when_the_kernel_sends_cookies_honest_clients_are_served() {
    let Some(lab) = lab(1) else { return };
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let (key, queue) = ("net/core/somaxconn", QUEUE.to_string());
    lab.proxy(1).set_sysctl(key, &queue).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    for mode in MODES {
        let proxy = start(&lab, mode, "option threads '1'");
        let before = descriptors(&proxy);
        let hand = ByHand::new(&lab, server.address());
        let cookies = cookies(&lab);
        let mut ports = 10_000..;
        let sights: Vec<Sight> = (0..HONEST)
            .map(|_| {
                // Each time, for the kernel forgets them after some seconds.
                for port in ports.by_ref().take(2 * usize::from(QUEUE)) {
                    hand.send(sid(1, 1, 0x2a), &[srh()], &hand.syn(port));
                }
                wait_for("the kernel to send cookies", || {
                    (self::cookies(&lab) > cookies).then_some(())
                });
                let honest = Attempt::begin(lab.client(), server.address());
                honest.sight(|| false)
            })
            .collect();
        // Until the first comes, nobody has asked the kernel to keep routing headers.
        let (first, others) = match mode {
            "saved_syn" => (Sight::ConnectsThenReset, 1),
            _ => (Sight::Echo, 0),
        };
        assert_eq!(sights[0], first, "{mode}");
        let echoes = sights.iter().filter(|sight| **sight == Sight::Echo);
        assert_eq!(echoes.count(), HONEST - others, "{mode}: {sights:?}");
        if mode == "saved_syn" {
            assert!(counter(&proxy, "cookie_flows") > 1);
            assert_eq!(counter(&proxy, "no_srh_flows"), 1);
        }
        drop(hand);
        wait_until_nothing_is_left(&proxy, before);
    }
}

/// SYN cookies that the proxy's kernel has sent (`SyncookiesSent`, proc_net_netstat).
fn cookies(lab: &Lab) -> u64 {
    let read = || std::fs::read_to_string("/proc/thread-self/net/netstat");
    let text = lab.proxy(1).run(read).unwrap().unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, value) = pairs.find(|(name, _)| *name == "SyncookiesSent").unwrap();
    value.parse().unwrap()
}
