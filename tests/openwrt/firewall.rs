//! Beside a firewall of firewall4's shape: flows pass, also when it is loaded anew or thrown away.

use std::io::ErrorKind;
use std::net::SocketAddrV6;

use nix::sys::signal::Signal;

use crate::harness::lab;
use crate::harness::peer::{Habit, Server, connect};
use crate::harness::talk::Talk;
use crate::router::{Router, SHELLS, Service};
use crate::{config, function};
use srv6pipes::demo::lab::{Lab, sid};

/// Two routers with the firewall of stock OpenWrt, and xor at both.
fn chain<'a>(lab: &'a Lab, options: &str) -> [Router<'a>; 2] {
    [1, 2].map(|i| {
        let router = Router::new(lab, i, SHELLS[0]);
        router.add_module("xor");
        let device = format!("list device '{}'", lab.device_to_client(i));
        let text = config(options, &function(1, "xor", ""))
            .replace("fd00:99:1::", &format!("fd00:99:{i}::"))
            .replace("list device 'to-c'", &device);
        router.configure(&text);
        let firewall = std::fs::read_to_string(router.path("etc/fw4.nft")).unwrap();
        let firewall = firewall
            .replace("\"to-c\"", &format!("\"{}\"", lab.device_to_client(i)))
            .replace("\"to-s\"", &format!("\"{}\"", lab.device_to_server(i)));
        router.write("etc/fw4.nft", &firewall);
        router.run(&["fw4", "start"]).with(0);
        router
    })
}

fn start<'a>(router: &'a Router<'_>) -> Service<'a> {
    let (ended, record) = router.service("start");
    assert_eq!(ended.with(0).stderr, "");
    router.procd(&record)
}

fn flows_pass(lab: &Lab, server: &Server) {
    // More than syn_flood lets through at once.
    let mut talks = Talk::several(lab, server, 80);
    for talk in &mut talks {
        talk.say(&[b'x'; 20_000]).unwrap();
    }
    for talk in talks {
        talk.end();
    }
}

#[test]
fn flows_pass_and_go_on_while_the_firewall_is_loaded_anew() {
    let Some(lab) = lab(2) else { return };
    for options in ["", "option mark '0x0001fe00'"] {
        let routers = chain(&lab, options);
        let mut services = routers.each_ref().map(start);
        lab.steer(&[sid(1, 1, 0x2a), sid(2, 1, 0x2a)]).unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        flows_pass(&lab, &server);

        let mut talk = Talk::begin(&lab, &server).unwrap();
        talk.say(b"before").unwrap();
        for router in &routers {
            router.run(&["fw4", "-q", "reload"]).with(0);
        }
        talk.say(b"after a reload").unwrap();
        for router in &routers {
            router.run(&["fw4", "stop"]).with(0);
        }
        talk.say(b"without a firewall").unwrap();
        for router in &routers {
            router.run(&["fw4", "start"]).with(0);
        }
        talk.say(b"with a new one").unwrap();
        flows_pass(&lab, &server);
        talk.end();

        for (router, service) in routers.iter().zip(&mut services) {
            router.service("stop").0.with(0);
            service.end(Signal::SIGTERM);
            for hook in ["input", "output"] {
                let chain = format!("srv6pipes_{hook}");
                let list = router.run(&["nft", "list", "chain", "inet", "fw4", &chain]);
                assert!(!list.with(0).stdout.contains("accept"));
            }
            router.run(&["fw4", "stop"]).with(0);
        }
        lab.unsteer().unwrap();
    }
}

/// Nothing but what our table has marked may use the way in.
#[test]
fn the_way_in_is_for_our_packets_only() {
    let Some(lab) = lab(2) else { return };
    let routers = chain(&lab, "");
    let mut services = routers.each_ref().map(start);
    let address = SocketAddrV6::new(lab.address(1, 0), 22, 0, 0);
    let _own = Server::start_at(lab.proxy(1), address, Habit::Echo);
    let refused = connect(lab.client(), address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    for (router, service) in routers.iter().zip(&mut services) {
        router.run(&["fw4", "stop"]).with(0);
        service.end(Signal::SIGTERM);
    }
}

#[test]
fn our_mark_is_clear_of_what_others_use() {
    let config = srv6pipes::config::parse(b"config srv6pipes 'main'").unwrap();
    let ours = config.main.mark.mask();
    // pbr's fw_mask and mwan3's mmx_mask, as their packages ship them.
    for others in [0x00ff_0000, 0x3f00] {
        assert_eq!(ours & others, 0);
    }
}
