//! Many SYNs at once whose clients never go on.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;

use std::net::SocketAddrV6;

use harness::by_hand::{ByHand, Header, ROUTING};
use harness::counters::{counter, descriptors, wait_counter, wait_until_nothing_is_left};
use harness::craft::Srh;
use harness::lab;
use harness::peer::{Habit, Server};
use harness::proxy::{Proxy, function_config};
use harness::sight::{Attempt, Sight};
use srv6pipes::demo::lab::{Lab, SERVER, sid};
use srv6pipes::demo::program;

const MODES: [&str; 2] = ["nfqueue", "saved_syn"];

fn start(lab: &Lab, mode: &str) -> Proxy {
    let options = format!("option capture '{mode}'\noption connect_timeout '2'");
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
        let proxy = start(&lab, mode);
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
