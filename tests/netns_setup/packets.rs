//! What becomes of SYNs and flows under a plan, with the smallest listeners that show it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::time::Duration;

use nfq::{Queue, Verdict};
use socket2::{Domain, Protocol, Socket, Type};
use srv6pipes::config::Config;
use srv6pipes::config::model::OnFailure;
use srv6pipes::setup::{CaptureWay, Setup, plan};

use crate::harness::wait_for;
use crate::lab::{Folder, Line, config, locator};

const SERVER: &str = "[fd00:5::1]:80";

/// A locator and nothing else.
pub fn plain(on_failure: OnFailure) -> Config {
    Config {
        locators: vec![locator("fd00:99::", on_failure)],
        policies: Vec::new(),
        returns: Vec::new(),
        ..config()
    }
}

pub fn set_up(line: &Line, config: Config, way: CaptureWay) -> (Setup, Folder) {
    line.proxy.within(move || {
        let folder = Folder::new();
        let setup = Setup::apply(plan(&config, way), &folder.journal());
        (setup.unwrap_or_else(|error| panic!("{error}")), folder)
    })
}

/// Our listener: transparent, so that it accepts for addresses that are not ours.
pub fn transparent_listener() -> TcpListener {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).unwrap();
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpTransparent, &true).unwrap();
    socket.set_reuse_address(true).unwrap();
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 5000));
    socket.bind(&address.into()).unwrap();
    socket.listen(16).unwrap();
    socket.into()
}

fn connect() -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SERVER.parse().unwrap(), Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// `None` while the client's own end of an earlier flow is still there.
fn connect_from(address: SocketAddrV6) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from(address).into()).unwrap();
    let server: SocketAddr = SERVER.parse().unwrap();
    match socket.connect_timeout(&server.into(), Duration::from_secs(5)) {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => return None,
        connected => connected.unwrap(),
    }
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    Some(socket.into())
}

#[test]
fn without_a_listener_a_syn_is_refused() {
    let Some(line) = Line::new() else { return };
    for way in [CaptureWay::SavedSyn, CaptureWay::Nfqueue] {
        let (setup, _folder) = set_up(&line, plain(OnFailure::Refuse), way);
        // A listener of the router itself must not answer for the server.
        let wildcard = line.proxy.within(|| TcpListener::bind("[::]:80").unwrap());
        let error = line.client.within(|| connect().map(|_| ()).unwrap_err());
        assert_eq!(
            error.kind(),
            ErrorKind::ConnectionRefused,
            "{way:?}: {error}"
        );
        drop((setup, wildcard));
    }
}

#[test]
fn without_a_listener_a_syn_is_carried_on() {
    let Some(line) = Line::new() else { return };
    let (_setup, _folder) = set_up(&line, plain(OnFailure::Bypass), CaptureWay::SavedSyn);
    let listener = line.server.within(|| TcpListener::bind(SERVER).unwrap());
    let mut client = line.client.within(|| connect().unwrap());
    let (mut server, _) = listener.accept().unwrap();
    // A listener that starts now gets new flows, not this one.
    let late = line.proxy.within(transparent_listener);
    client.write_all(b"carried").unwrap();
    drop(late);
    let mut bytes = [0; 7];
    server
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    server.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"carried");
}

#[test]
fn a_flow_is_accepted_under_its_true_addresses_even_when_its_port_comes_back() {
    let Some(line) = Line::new() else { return };
    for on_failure in [OnFailure::Refuse, OnFailure::Bypass] {
        let (setup, _folder) = set_up(&line, plain(on_failure), CaptureWay::SavedSyn);
        let listener = line.proxy.within(transparent_listener);
        let client_address: SocketAddrV6 = "[fd00:1::2]:40000".parse().unwrap();
        for _ in 0..3 {
            let mut client = line.client.within(move || {
                wait_for("the port to be free on the client's side", || {
                    connect_from(client_address)
                })
            });
            let (mut flow, peer) = listener.accept().unwrap();
            assert_eq!(peer, SocketAddr::from(client_address));
            assert_eq!(flow.local_addr().unwrap(), SERVER.parse().unwrap());
            client.write_all(b"up").unwrap();
            let mut up = [0; 2];
            flow.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            flow.read_exact(&mut up).unwrap();
            assert_eq!(&up, b"up");
            // The proxy closes first: its side of the flow is then in TIME_WAIT.
            flow.write_all(b"down").unwrap();
            drop(flow);
            let mut down = String::new();
            client.read_to_string(&mut down).unwrap();
            assert_eq!(down, "down");
            drop(client);
        }
        drop((setup, listener));
    }
}

#[test]
fn a_syn_waits_in_the_queue_and_goes_on_when_it_is_let_go() {
    let Some(line) = Line::new() else { return };
    let (_setup, _folder) = set_up(&line, plain(OnFailure::Refuse), CaptureWay::Nfqueue);
    let listener = line.proxy.within(transparent_listener);
    let mut queue = line.proxy.within(|| {
        let mut queue = Queue::open().unwrap();
        queue.bind(7).unwrap();
        queue
    });
    let (sender, arrived) = std::sync::mpsc::channel();
    let client = line
        .client
        .within(move || std::thread::spawn(move || sender.send(connect()).unwrap()));
    let mut syn = queue.recv().unwrap();
    let payload = syn.get_payload();
    // The SRH as the client sent it: routing type 4, one segment left, and our SID in front.
    assert_eq!((payload[6], payload[42], payload[43]), (43, 4, 1));
    assert!(arrived.try_recv().is_err());
    syn.set_verdict(Verdict::Accept);
    queue.verdict(syn).unwrap();
    assert!(arrived.recv().unwrap().is_ok());
    listener.accept().unwrap();
    client.join().unwrap();
}

#[test]
fn a_syn_that_the_queue_refuses_is_reset() {
    let Some(line) = Line::new() else { return };
    let config = plain(OnFailure::Refuse);
    let refused = config.main.mark.refused();
    let (_setup, _folder) = set_up(&line, config, CaptureWay::Nfqueue);
    let _listener = line.proxy.within(transparent_listener);
    let mut queue = line.proxy.within(|| {
        let mut queue = Queue::open().unwrap();
        queue.bind(7).unwrap();
        queue
    });
    let client = line.client.within(|| std::thread::spawn(connect));
    let mut syn = queue.recv().unwrap();
    syn.set_nfmark(refused);
    syn.set_verdict(Verdict::Accept);
    queue.verdict(syn).unwrap();
    let error = client.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
