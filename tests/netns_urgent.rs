//! Urgent data (RFC 6093: nobody should, some do): the stream around the urgent byte arrives.

mod harness;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;

use harness::ends::Host;
use harness::lab;
use harness::pipeline::{capture_option, stock_functions};
use harness::proxy::Proxy;
use nix::sys::socket::{MsgFlags, send};
use srv6pipes::demo::lab::sid;

/// What a server reads of `abc`, an urgent `D`, `efghijkl` and the end.
fn read_at_the_server(lab: &srv6pipes::demo::lab::Lab, host: &Host) -> Vec<u8> {
    let mut ends = host.meet(lab.client());
    ends.client.write_all(b"abc").unwrap();
    let urgent = send(ends.client.as_raw_fd(), b"D", MsgFlags::MSG_OOB).unwrap();
    assert_eq!(urgent, 1);
    ends.client.write_all(b"efghijkl").unwrap();
    ends.client.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    ends.server.read_to_end(&mut heard).unwrap();
    heard
}

#[test]
fn what_surrounds_an_urgent_byte_arrives() {
    let Some(lab) = lab(1) else { return };
    let host = Host::listen(lab.server(), 7);
    assert_eq!(
        read_at_the_server(&lab, &host),
        b"abcefghijkl",
        "without a proxy"
    );
    let _proxy = Proxy::start_with(&lab, 1, &capture_option("saved_syn"), &stock_functions());
    // xor with 0 copies, copy splices; several times, since the mark may come early or late.
    for function in [1, 2] {
        lab.steer(&[sid(1, function, 0)]).unwrap();
        for _ in 0..20 {
            let heard = read_at_the_server(&lab, &host);
            assert_eq!(heard, b"abcefghijkl", "function {function}");
        }
        lab.unsteer().unwrap();
    }
}
