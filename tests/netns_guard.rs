//! Who may come in and where nobody may go: sources of a locator, and the proxy's own services.

mod harness;

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener};

use harness::counters::{counter, wait_counter};
use harness::lab;
use harness::peer::{Habit, Server, connect, exchange};
use harness::pipeline::{capture_option, stock_functions};
use harness::proxy::{Proxy, base_config};
use harness::sight::{Attempt, Sight};
use nix::errno::Errno;
use srv6pipes::demo::lab::{Lab, sid};

const MODES: [&str; 2] = ["saved_syn", "nfqueue"];

/// Proxy 1 whose locator has one more line.
fn proxy_with(lab: &Lab, mode: &str, line: &str) -> Proxy {
    Proxy::start_as(lab, 1, |workdir| {
        // One worker: it must not remember what it asked the kernel last.
        let options = capture_option(mode) + "\noption threads '1'";
        let config = base_config(lab, 1, workdir, &options);
        let device = format!("list device '{}'\n", lab.device_to_client(1));
        config.replace(&device, &format!("{device}{line}\n")) + &stock_functions()
    })
}

#[test]
fn sources_that_are_not_listed_hear_nothing() {
    let Some(lab) = lab(1) else { return };
    let server = Server::start(lab.server(), 7, Habit::Echo);
    lab.steer(&[sid(1, 1, 0)]).unwrap();
    for mode in MODES {
        let proxy = proxy_with(&lab, mode, "list source 'fd00:ffff::/32'");
        let before = repeated_syns(&lab);
        let attempt = Attempt::begin(lab.client(), server.address());
        // The client has asked again: nothing answered the first time.
        let asked_again = || repeated_syns(&lab) > before;
        assert_eq!(attempt.sight(asked_again), Sight::Silence, "{mode}");
        assert_eq!(counter(&proxy, "accepted_flows"), 0);
    }
}

#[test]
fn listed_sources_are_served_also_by_networks_that_overlap() {
    let Some(lab) = lab(1) else { return };
    let server = Server::start(lab.server(), 7, Habit::Echo);
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    for mode in MODES {
        let lines = "list source 'fd00:c::/32'\nlist source 'fd00:c::1'";
        let _proxy = proxy_with(&lab, mode, lines);
        let stream = connect(lab.client(), server.address()).unwrap();
        assert_eq!(exchange(&stream, b"BC").unwrap(), b"BC", "{mode}");
    }
}

#[test]
fn nobody_comes_to_the_proxys_own_services_from_inside() {
    let Some(lab) = lab(1) else { return };
    let own: Ipv6Addr = "fd00:77::1".parse().unwrap();
    lab.proxy(1)
        .ip("address add fd00:77::1/128 dev lo\n")
        .unwrap();
    let service = lab.proxy(1).run(|| TcpListener::bind("[::]:22"));
    let service = service.unwrap().unwrap();
    service.set_nonblocking(true).unwrap();
    let target = SocketAddrV6::new(own, 22, 0, 0);
    let through = format!(
        "route add {own}/128 encap seg6 mode inline segs {} via fd00:c::2\n",
        sid(1, 2, 0)
    );
    lab.client().ip(&through).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    lab.steer(&[sid(1, 2, 0)]).unwrap();
    for (mode, sight) in [
        ("saved_syn", Sight::ConnectsThenReset),
        ("nfqueue", Sight::Fails(Errno::ECONNREFUSED)),
    ] {
        let proxy = proxy_with(&lab, mode, "");
        // Also after other flows, and these also after that one.
        for refused in 1..=2 {
            let honest = connect(lab.client(), server.address()).unwrap();
            assert_eq!(exchange(&honest, b"honest").unwrap(), b"honest", "{mode}");
            let attempt = Attempt::begin(lab.client(), target);
            assert_eq!(attempt.sight(|| false), sight, "{mode}");
            wait_counter(&proxy, "bad_destination_flows", refused);
            let came = service.accept().unwrap_err();
            assert_eq!(came.kind(), ErrorKind::WouldBlock, "{mode}");
        }
    }
}

/// SYNs that the client had to send again.
fn repeated_syns(lab: &Lab) -> u64 {
    lab.client()
        .run(|| {
            let table = std::fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
            let rows: Vec<Vec<&str>> = table
                .lines()
                .filter(|line| line.starts_with("TcpExt:"))
                .map(|line| line.split_whitespace().collect())
                .collect();
            let column = rows[0]
                .iter()
                .position(|name| *name == "TCPSynRetrans")
                .unwrap();
            rows[1][column].parse::<u64>().unwrap()
        })
        .unwrap()
}
