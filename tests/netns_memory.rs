//! What the daemon takes of a small machine's memory: at rest, and for flows that say nothing.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod harness;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddrV6, TcpListener, TcpStream};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use harness::proxy::{Proxy, function_config};
use harness::status::{counted, resident_kib};
use harness::{PATIENCE, amount, lab};
use srv6pipes::demo::lab::{Lab, SERVER, sid};

/// When it is looked at for the first time.
const FIRST: u64 = 1_000;
/// So many are opened before the server accepts them: fewer than its queue holds.
const AT_ONCE: u64 = 100;

/// The budget of one idle flow on ARMv7: 10 MiB for ten thousand, of which [`BUFFERS_KIB`] is for what
/// workers keep once they have worked. With pointers of 64 bits it is more.
const FLOW_BYTES: u64 = if cfg!(target_pointer_width = "32") {
    ((10 << 20) - BUFFERS_KIB * 1024) / 10_000
} else {
    3 << 9
};
const BUFFERS_KIB: u64 = 512;
/// The budget of a daemon at rest on ARMv7, KiB; a build with 64 bits or for debugging has none.
const REST_KIB: u64 = 3 << 10;

/// Of the `flows` that there should be so many that there are descriptors: two for each are here, and
/// two are the daemon's. Not every root may raise the limit.
fn room(flows: u64) -> u64 {
    const OTHERS: u64 = 300;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = 2 * flows + OTHERS;
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)) {
        Ok(()) => wanted,
        Err(_) => {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
            hard
        }
    };
    (limit - OTHERS) / 2 / FIRST * FIRST
}

/// Opens `number` flows, each of which carries one byte there and back and then nothing; all ends
/// go to `ends`.
fn open(lab: &Lab, listener: &TcpListener, number: u64, ends: &mut Vec<TcpStream>) {
    let address = listener.local_addr().unwrap();
    let patient = |stream: TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let connect = || {
        let mut stream = patient(TcpStream::connect(address).unwrap());
        stream.write_all(b"?").unwrap();
        stream
    };
    for _ in 0..number / AT_ONCE {
        let clients = || (0..AT_ONCE).map(|_| connect()).collect::<Vec<_>>();
        let mut clients = lab.client().run(clients).unwrap();
        for _ in 0..AT_ONCE {
            let mut server = patient(listener.accept().unwrap().0);
            let mut byte = [0];
            server.read_exact(&mut byte).unwrap();
            server.write_all(&byte).unwrap();
            ends.push(server);
        }
        for client in &mut clients {
            client.read_exact(&mut [0]).unwrap();
        }
        ends.append(&mut clients);
    }
}

fn idle_flows(capture: &str, flows: u64) {
    let Some(lab) = lab(1) else { return };
    let options = format!("option capture '{capture}'\noption max_flows '{flows}'");
    let proxy = Proxy::start_with(&lab, 1, &options, &function_config(1, "xor", ""));
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let rest = resident_kib(&proxy);
    let listen = || TcpListener::bind(SocketAddrV6::new(SERVER, 7, 0, 0)).unwrap();
    let listener = lab.server().run(listen).unwrap();
    let mut ends = Vec::new();
    let more = [FIRST, flows].map(|number| {
        open(&lab, &listener, number - ends.len() as u64 / 2, &mut ends);
        counted(&proxy, &[("live_flows", number), ("piped_flows", number)]);
        resident_kib(&proxy).saturating_sub(rest)
    });
    let [first, all] = more;
    // Not eprintln!: of a test that passes, the runner would swallow it.
    let figures = format!(
        "--- {capture}: {rest} KiB at rest, {first} KiB more for {FIRST} idle flows, {all} KiB \
         more for {flows}\n"
    );
    io::stderr().write_all(figures.as_bytes()).unwrap();
    // Not all at once: orphans of which the other end is not told yet are more than kernels keep.
    for end in &ends {
        end.shutdown(Shutdown::Write).unwrap();
    }
    for end in &mut ends {
        assert_eq!(end.read(&mut [0]).unwrap(), 0);
    }
    drop(ends);
    counted(&proxy, &[("finished_flows", flows), ("live_flows", 0)]).assert_adds_up();
    assert!(
        all <= BUFFERS_KIB + flows * FLOW_BYTES / 1024,
        "{all} KiB more"
    );
    if cfg!(target_arch = "arm") {
        assert!(rest <= REST_KIB, "{rest} KiB at rest");
    }
}

#[test]
fn an_idle_flow_needs_a_kilobyte() {
    let flows = room(amount("SRV6PIPES_TEST_FLOWS", 10_000));
    assert!(flows > FIRST, "descriptors for {flows} flows only");
    idle_flows("saved_syn", flows);
    // What differs is over when the flow is there.
    idle_flows("nfqueue", 2 * FIRST);
}
