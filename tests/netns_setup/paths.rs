//! Policies and returns: what becomes of flows that the marks send on a way of their own.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use srv6pipes::config::Config;
use srv6pipes::config::mark::PathNumber;
use srv6pipes::config::model::{OnFailure, Policy, PortRange, ReturnPath};
use srv6pipes::setup::CaptureWay;

use crate::lab::{Line, config, device, locator, policy, run};
use crate::packets::{plain, set_up, transparent_listener};

const SERVER: &str = "[fd00:5::1]:80";

/// Everything that comes from the client.
fn from_client(segment: &str) -> Policy {
    Policy {
        devices: vec![device("p0")],
        dests: Vec::new(),
        ports: Vec::new(),
        ..policy(segment)
    }
}

/// A line whose client does not send an SRH by itself.
fn plain_line() -> Option<Line> {
    let line = Line::new()?;
    line.client.within(|| {
        run("ip -6 route delete fd00:5::1/128");
    });
    Some(line)
}

fn connect(to: &str) -> TcpStream {
    let to: SocketAddr = to.parse().unwrap();
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))
        .unwrap_or_else(|error| panic!("{to}: {error}"));
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

#[test]
fn plain_traffic_of_a_policy_to_ourselves_is_accepted_with_its_number() {
    let Some(line) = plain_line() else { return };
    for way in [CaptureWay::SavedSyn, CaptureWay::Nfqueue] {
        let mut config = Config {
            policies: vec![from_client("fd00:77::1:0:1"), from_client("fd00:99::1:0:1")],
            ..plain(OnFailure::Refuse)
        };
        // Not what the client does: the first policy that matches is the second.
        config.policies[0].ports = vec![PortRange {
            first: 443,
            last: 443,
        }];
        let mark = config.main.mark;
        let (_setup, _folder) = set_up(&line, config, way);
        let listener = line.proxy.within(transparent_listener);
        let _client = line.client.within(|| connect(SERVER));
        let (flow, _) = listener.accept().unwrap();
        assert_eq!(flow.local_addr().unwrap(), SERVER.parse().unwrap());
        let path = mark.path_of(getsockopt(&flow, sockopt::Mark).unwrap());
        assert_eq!(path.map(PathNumber::index), Some(1));
        // What is meant for the router itself stays with it.
        let own = line
            .proxy
            .within(|| TcpListener::bind("[::]:8000").unwrap());
        let _client = line.client.within(|| connect("[fd00:1::1]:8000"));
        let (own, _) = own.accept().unwrap();
        assert_eq!(own.local_addr().unwrap().port(), 8000);
    }
}

#[test]
fn plain_traffic_of_a_policy_to_another_router_gets_its_srh_and_room_for_it() {
    let Some(line) = plain_line() else { return };
    // The other router's SID is on the server itself, whose kernel consumes the SRH.
    line.proxy.within(|| {
        run("ip -6 route add fd00:77::/80 via fd00:5::1");
    });
    line.server.within(|| {
        run("ip -6 route add local fd00:77::/80 dev lo");
        run("nft add table ip6 seen");
        run("nft add chain ip6 seen c { type filter hook prerouting priority -300 ; }");
        run("nft add rule ip6 seen c ip6 daddr fd00:77::1:0:1 rt type 4 rt seg-left 1 counter");
    });
    let config = Config {
        locators: Vec::new(),
        policies: vec![from_client("fd00:77::1:0:1")],
        ..plain(OnFailure::Refuse)
    };
    let (_setup, _folder) = set_up(&line, config, CaptureWay::SavedSyn);
    let listener = line.server.within(|| TcpListener::bind(SERVER).unwrap());
    let mut client = line.client.within(|| connect(SERVER));
    let (mut server, _) = listener.accept().unwrap();
    // 1500 less IPv6 40, SRH 40, TCP 20 and its timestamps 12.
    assert_eq!(getsockopt(&client, sockopt::TcpMaxSeg).unwrap(), 1388);
    let sent = vec![7; 1 << 20];
    let writer = std::thread::spawn(move || {
        client.write_all(&sent).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        client
    });
    let mut received = Vec::new();
    server
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    server.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), 1 << 20);
    writer.join().unwrap();
    let seen = line.server.within(|| run("nft list table ip6 seen"));
    assert!(!seen.contains("packets 0 "), "{seen}");
}

#[test]
fn answers_leave_by_the_device_the_syn_came_by() {
    let Some(line) = Line::new() else { return };
    // The proxy has no route to this address of the client but by the return path.
    line.client.within(|| {
        run("ip -6 addr add fd00:c::1/128 dev lo");
    });
    let config = Config {
        locators: vec![locator("fd00:99::", OnFailure::Refuse)],
        policies: Vec::new(),
        returns: vec![ReturnPath {
            gateway: "fd00:1::2".parse().unwrap(),
            ..config().returns.remove(0)
        }],
        ..config()
    };
    let (_setup, _folder) = set_up(&line, config, CaptureWay::SavedSyn);
    let listener = line.proxy.within(transparent_listener);
    let mut client: TcpStream = line.client.within(|| {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let source: Ipv6Addr = "fd00:c::1".parse().unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        let server: SocketAddr = SERVER.parse().unwrap();
        socket
            .connect_timeout(&server.into(), Duration::from_secs(5))
            .unwrap();
        socket.into()
    });
    let (mut flow, _) = listener.accept().unwrap();
    flow.write_all(b"back").unwrap();
    let mut bytes = [0; 4];
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"back");
}
