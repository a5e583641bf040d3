//! What a flow is on the wire besides its bytes: no more packets than it takes, and none too late.

mod harness;

use std::io::Write;
use std::net::{Shutdown, SocketAddrV6, TcpStream};

use nix::sys::signal::Signal;

use harness::ends::{Host, hear, hear_out};
use harness::peer::connect;
use harness::pipeline::{COPY, PORT, Pipeline, XOR};
use harness::status::threads;
use harness::wait_for;
use srv6pipes::demo::frame::{Frame, flag};
use srv6pipes::demo::lab::{CLIENT, SERVER};
use srv6pipes::demo::sniff::Tap;

fn one_proxy() -> Option<(Pipeline, Host)> {
    let pipeline = Pipeline::start(1, "saved_syn")?;
    let host = Host::listen(pipeline.lab.server(), PORT);
    Some((pipeline, host))
}

/// The wire between the proxy and the server.
fn last_wire(pipeline: &Pipeline) -> Tap {
    let (node, device) = pipeline.lab.wire(1);
    Tap::start(node, &device).unwrap()
}

/// What the client's side has sent on this wire, each packet as its flags and its length, once the
/// packet is there that `enough` wants.
fn sent_by_client(tap: &Tap, enough: impl Fn(&Frame) -> bool) -> Vec<(u8, usize)> {
    const FLAGS: u8 = flag::SYN | flag::FIN | flag::RST | flag::ACK;
    wait_for("the packet on the wire", || {
        tap.frames(|frames| {
            let ours = || frames.iter().filter(|frame| frame.source.ip() == &CLIENT);
            ours().any(&enough).then(|| {
                ours()
                    .map(|frame| (frame.flags & FLAGS, frame.payload.len()))
                    .collect()
            })
        })
    })
}

/// A client whose first words are there before the proxy can accept it.
fn speaks_at_once(pipeline: &Pipeline, words: &[u8], after: impl Fn(&TcpStream)) -> TcpStream {
    let proxy = &pipeline.proxies[0];
    proxy.signal(Signal::SIGSTOP);
    wait_for("the proxy to stand still", || {
        threads(proxy)
            .iter()
            .all(|state| *state == 'T')
            .then_some(())
    });
    let server = SocketAddrV6::new(SERVER, PORT, 0, 0);
    let mut client = connect(pipeline.lab.client(), server).unwrap();
    client.write_all(words).unwrap();
    after(&client);
    proxy.signal(Signal::SIGCONT);
    client
}

#[test]
fn the_handshakes_last_acknowledgement_travels_with_words_that_wait_for_it() {
    let Some((pipeline, host)) = one_proxy() else {
        return;
    };
    pipeline.steer(COPY, 0);
    let tap = last_wire(&pipeline);
    let client = speaks_at_once(&pipeline, b"at once", |_| ());
    let (server, _) = host.accept();
    assert_eq!(hear(&server, 7).unwrap(), b"at once");
    let sent = sent_by_client(&tap, |frame| !frame.payload.is_empty());
    assert_eq!(sent[..2], [(flag::SYN, 0), (flag::ACK, 7)]);
    drop(client);
}

#[test]
fn it_does_not_wait_for_a_function_or_for_a_client_that_listens() {
    let Some((pipeline, host)) = one_proxy() else {
        return;
    };
    // What it says may be nothing for long.
    pipeline.steer(XOR, 0x2a);
    let tap = last_wire(&pipeline);
    let client = speaks_at_once(&pipeline, b"at once", |_| ());
    let (server, _) = host.accept();
    assert_eq!(hear(&server, 7).unwrap().len(), 7);
    let sent = sent_by_client(&tap, |frame| !frame.payload.is_empty());
    assert_eq!(sent[..3], [(flag::SYN, 0), (flag::ACK, 0), (flag::ACK, 7)]);
    drop((client, server));

    pipeline.steer(COPY, 0);
    let tap = last_wire(&pipeline);
    let mut ends = host.meet(pipeline.lab.client());
    // Before it the server may not even know of the connection.
    let sent = sent_by_client(&tap, |frame| frame.flags & flag::SYN == 0);
    assert_eq!(sent, [(flag::SYN, 0), (flag::ACK, 0)]);
    ends.server.write_all(b"welcome").unwrap();
    assert_eq!(hear(&ends.client, 7).unwrap(), b"welcome");
    ends.client.write_all(b"thanks").unwrap();
    assert_eq!(hear(&ends.server, 6).unwrap(), b"thanks");
}

#[test]
fn the_last_bytes_and_the_fin_are_one_packet() {
    let Some((pipeline, host)) = one_proxy() else {
        return;
    };
    for function in [COPY, XOR] {
        pipeline.steer(function, 0x2a);
        let tap = last_wire(&pipeline);
        let (first, device) = pipeline.lab.wire(0);
        let ahead = Tap::start(first, &device).unwrap();
        let client = speaks_at_once(&pipeline, b"all I have to say", |client| {
            client.shutdown(Shutdown::Write).unwrap();
            wait_for("the FIN to be acknowledged", || {
                ahead.frames(|frames| {
                    let fin = frames.iter().position(|frame| frame.has(flag::FIN))?;
                    let behind = &frames[fin..];
                    let answer = |frame: &Frame| frame.source.ip() == &SERVER;
                    behind.iter().any(answer).then_some(())
                })
            });
        });
        let (mut server, _) = host.accept();
        assert_eq!(hear_out(&server).unwrap().len(), 17);
        let sent = sent_by_client(&tap, |frame| frame.has(flag::FIN));
        let spoken: Vec<_> = sent.iter().filter(|(_, length)| *length > 0).collect();
        assert_eq!(
            spoken,
            [&(flag::FIN | flag::ACK, 17)],
            "function {function}"
        );
        // The other direction goes on.
        server.write_all(b"and so on").unwrap();
        drop(server);
        assert_eq!(hear_out(&client).unwrap().len(), 9);
        pipeline.wait_idle();
    }
}
