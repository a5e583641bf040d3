//! `seal` and `open` in a chain: what the wire between them shows, and what becomes of those who
//! meddle with it.

mod keys;

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV6};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use srv6pipes::demo::lab::{Lab, SERVER, sid};
use srv6pipes::demo::sniff::Tap;
use srv6pipes::demo::webserver::{ADDRESS, Webserver};
use srv6pipes::demo::workdir::Workdir;

use crate::harness::ended::to_end;
use crate::harness::ends::{Host, breaks};
use crate::harness::overheard;
use crate::harness::peer::{Habit, Server, assert_reset, assert_reset_soon, connect, exchange};
use crate::harness::proxy::{Proxy, base_config};
use crate::harness::status::counted;
use crate::harness::{PREFIX, lab, noise, wait_for};

/// Both ways to learn a SYN's SRH.
const CAPTURES: [&str; 2] = ["option capture 'saved_syn'", "option capture 'nfqueue'"];
/// The functions' ids.
const SEAL: u16 = 1;
const OPEN: u16 = 2;
/// Bytes of a header, and of what a record adds (README, "On the wire").
const HELLO: usize = 44;
const OVERHEAD: usize = 18;

/// A key that no other test run has.
pub fn fresh_key() -> String {
    let mut key = [0; 32];
    let mut random = fs::File::open("/dev/urandom").unwrap();
    random.read_exact(&mut key).unwrap();
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn write_keys(workdir: &Workdir, keys: &str, mode: u32) -> PathBuf {
    let path = workdir.write("keys", keys).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

/// Both functions, with these keys in a file beside the configuration.
fn sections(workdir: &Workdir, keys: &str, options: &str) -> String {
    let path = write_keys(workdir, keys, 0o600);
    let section = |id, name| {
        format!(
            "config function\noption id '{id}'\noption module 'libseal.so'\noption name '{name}'\n\
             option keys '{}'\n{options}\n\n",
            path.display()
        )
    };
    section(SEAL, "seal") + &section(OPEN, "open")
}

fn proxy(lab: &Lab, i: usize, main: &str, keys: &str, options: &str) -> Proxy {
    Proxy::start_as(lab, i, |workdir| {
        base_config(lab, i, workdir, main) + &sections(workdir, keys, options)
    })
}

/// P1 seals and P2 opens, by key 7.
fn chain(lab: &Lab, main: &str, keys: &str, options: &str) -> [Proxy; 2] {
    let proxies = [1, 2].map(|i| proxy(lab, i, main, keys, options));
    steer(lab, 7);
    proxies
}

fn steer(lab: &Lab, key: u32) {
    lab.steer(&[sid(1, SEAL, key), sid(2, OPEN, key)]).unwrap();
}

/// Wire 0 is the client's, wire 1 the one between the proxies.
fn tap(lab: &Lab, wire: usize) -> Tap {
    let (namespace, device) = lab.wire(wire);
    Tap::start(namespace, &device).unwrap()
}

/// The two directions of the only flow to `server` on a wire.
fn overheard(tap: &Tap, server: SocketAddrV6) -> [Vec<u8>; 2] {
    let port = server.port();
    [
        overheard::stream_of(tap, "upstream", |frame| frame.source.port() != port),
        overheard::stream_of(tap, "downstream", |frame| frame.source.port() == port),
    ]
}

fn shows(wire: &[u8], text: &[u8]) -> bool {
    wire.windows(text.len()).any(|window| window == text)
}

#[test]
fn the_wire_between_the_proxies_shows_nothing_of_what_curl_fetches() {
    for (capture, cipher) in CAPTURES.iter().zip(["chacha20-poly1305", "aes-256-gcm"]) {
        let Some(lab) = lab(2) else { return };
        let workdir = Workdir::new(PREFIX).unwrap();
        let mut nginx = Webserver::start(lab.server(), &workdir).unwrap();
        wait_for("nginx", || {
            nginx.is_ready(lab.server()).unwrap().then_some(())
        });
        let page: String = (0..40_000)
            .map(|n| format!("line {n} of the page\n"))
            .collect();
        fs::write(nginx.root().join("secret-page"), &page).unwrap();

        let keys = format!("7 {}\n", fresh_key());
        let option = format!("option cipher '{cipher}'");
        let proxies = chain(&lab, capture, &keys, &option);
        let taps = [0, 1].map(|wire| tap(&lab, wire));
        let mut curl = lab.client().command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
        let fetched = to_end(curl.arg(format!("http://[{SERVER}]/secret-page"))).with(0);
        assert!(fetched.stdout == page, "the page is another one");
        wait_for("nginx to log the client", || {
            let clients = nginx.clients().unwrap();
            clients.contains(&"fd00:c::1".to_owned()).then_some(())
        });

        let [clear, sealed] = taps.map(|tap| overheard(&tap, ADDRESS));
        for ((clear, sealed), texts) in clear.iter().zip(&sealed).zip([
            ["GET /", "secret-page", "curl"],
            ["HTTP/1.1", "nginx", "of the page"],
        ]) {
            assert!(sealed.starts_with(b"S6SL\x01"), "no header");
            for text in texts {
                assert!(shows(clear, text.as_bytes()), "{text}");
                assert!(!shows(sealed, text.as_bytes()), "{text}");
            }
        }
        // Records of 4096 bytes at most; those that end a call are shorter.
        let [up, down] = sealed.map(|wire| wire.len());
        assert!(down > page.len() + HELLO + page.len() / 4096 * OVERHEAD);
        assert!(down < page.len() + page.len() / 50, "{down} bytes");

        let [p1, p2] = proxies.map(|proxy| {
            let status = counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]);
            status.assert_adds_up();
            status
        });
        for (status, id, others) in [(p1, SEAL, OPEN), (p2, OPEN, SEAL)] {
            assert_eq!(status.function(id, "flows"), 1);
            assert_eq!(status.function(others, "flows"), 0);
            assert_eq!(status.own(id, "unauthentic_flows", ""), Some(0));
            assert_eq!(status.function(id, "broken_flows"), 0);
            let all = |what| {
                let directions = ["upstream", "downstream"].iter();
                directions
                    .map(|direction| status.counter(&format!("{direction}_{what}")))
                    .sum::<u64>()
            };
            assert_eq!(status.function(id, "in_bytes"), all("in_bytes"));
            assert_eq!(status.function(id, "out_bytes"), all("out_bytes"));
            let (out, back) = match id {
                SEAL => ("upstream_out_bytes", "downstream_in_bytes"),
                _ => ("upstream_in_bytes", "downstream_out_bytes"),
            };
            assert_eq!(status.counter(out), up as u64);
            assert_eq!(status.counter(back), down as u64);
        }
    }
}

#[test]
fn both_directions_at_once_a_server_that_speaks_first_and_half_closes() {
    for capture in CAPTURES {
        let Some(lab) = lab(2) else { return };
        let keys = format!("7 {}\n", fresh_key());
        let proxies = chain(&lab, capture, &keys, "");
        let bytes = noise::bytes(11, 8_000_000);
        let echo = Server::start(lab.server(), 7, Habit::Echo);
        let stream = connect(lab.client(), echo.address()).unwrap();
        assert!(exchange(&stream, &bytes).unwrap() == bytes);
        let report = echo.report();
        assert_eq!(report.sum, noise::sha256(&bytes));
        assert_eq!(report.client, stream.local_addr().unwrap());
        report.end.unwrap();

        let (length, seed) = (800_000, 12);
        let giver = Server::start(lab.server(), 19, Habit::Give { length, seed });
        let mut stream = connect(lab.client(), giver.address()).unwrap();
        let (heard, sum, end) = noise::drain(&mut stream);
        end.unwrap();
        assert_eq!(heard, length);
        assert_eq!(sum, noise::sha256(&noise::bytes(seed, 800_000)));
        // The server's side has ended; ours has not.
        stream.write_all(b"still here").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let report = giver.report();
        assert_eq!(report.sum, noise::sha256(b"still here"));
        report.end.unwrap();

        // One that says nothing at all, on either side.
        let silent = connect(lab.client(), echo.address()).unwrap();
        assert_eq!(exchange(&silent, b"").unwrap(), b"");
        for proxy in proxies {
            counted(&proxy, &[("finished_flows", 3), ("live_flows", 0)]).assert_adds_up();
        }
    }
}

#[test]
fn both_ends_in_one_process_are_nothing() {
    let Some(lab) = lab(1) else { return };
    let keys = format!("0 {}\n", fresh_key());
    let proxy = proxy(&lab, 1, "", &keys, "");
    lab.steer(&[sid(1, SEAL, 0), sid(1, OPEN, 0)]).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let bytes = noise::bytes(13, 3_000_000);
    let stream = connect(lab.client(), server.address()).unwrap();
    assert!(exchange(&stream, &bytes).unwrap() == bytes);
    assert_eq!(server.report().sum, noise::sha256(&bytes));
    counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]).assert_adds_up();
}

#[test]
fn what_was_recorded_on_the_wire_cannot_be_played_back() {
    let Some(lab) = lab(2) else { return };
    let keys = format!("7 {}\n", fresh_key());
    let [_p1, p2] = chain(&lab, "", &keys, "option addresses '0'");
    let wiretap = tap(&lab, 1);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let stream = connect(lab.client(), server.address()).unwrap();
    assert_eq!(
        exchange(&stream, b"pay 100 francs").unwrap(),
        b"pay 100 francs"
    );
    assert_eq!(server.report().received, 14);
    let [up, _] = overheard(&wiretap, server.address());
    // The last record is one of its own unless the end came along with the text.
    let records = up.len() - HELLO - 14;
    assert!([OVERHEAD, 2 * OVERHEAD].contains(&records), "{records}");

    // Straight to P2, whose key and server are the same; not even the addresses matter.
    lab.steer(&[sid(2, OPEN, 7)]).unwrap();
    let stream = connect(lab.client(), server.address()).unwrap();
    (&stream).write_all(&up).unwrap();
    breaks(&stream);
    let report = server.report();
    assert_eq!(report.received, 0);
    report.end.unwrap_err();
    let status = counted(&p2, &[("ended_by_function_flows", 1), ("live_flows", 0)]);
    status.assert_adds_up();
    assert_eq!(status.own(OPEN, "unauthentic_flows", ""), Some(1));
    assert_eq!(status.function(OPEN, "broken_flows"), 0);
}

#[test]
fn who_has_no_mirror_is_told_so_and_shows_nothing() {
    let Some(lab) = lab(1) else { return };
    let keys = format!("7 {}\n", fresh_key());
    let proxy = proxy(&lab, 1, "", &keys, "option handshake_timeout '1'");
    lab.steer(&[sid(1, SEAL, 7)]).unwrap();
    // It hears its own header, something else, nothing.
    let habits = [
        (Habit::Echo, 7),
        (
            Habit::Give {
                length: 64,
                seed: 1,
            },
            19,
        ),
        (Habit::Swallow, 9),
    ];
    for (habit, port) in habits {
        let server = Server::start(lab.server(), port, habit);
        // The reset may be faster than either step; each then fails with it, and only once.
        let stream = connect(lab.client(), server.address());
        let written = stream.and_then(|stream| {
            (&stream).write_all(b"secret")?;
            Ok(stream)
        });
        match written {
            Ok(stream) => assert_reset(&stream),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let report = server.report();
        assert!(report.received <= HELLO as u64, "{report:?}");
        assert!(report.end.is_err(), "{report:?}");
    }
    // A key that is not there.
    lab.steer(&[sid(1, SEAL, 8)]).unwrap();
    assert_reset_soon(connect(lab.client(), ADDRESS));

    let expected = [
        ("ended_by_function_flows", 3),
        ("spawn_refused_flows", 1),
        ("live_flows", 0),
    ];
    let status = counted(&proxy, &expected);
    status.assert_adds_up();
    for (name, flows) in [
        ("unauthentic_flows", 2),
        ("unanswered_flows", 1),
        ("unknown_key_flows", 1),
    ] {
        assert_eq!(status.own(SEAL, name, ""), Some(flows), "{name}");
    }
}

#[test]
fn a_wire_that_is_cut_ends_no_stream_in_order() {
    let Some(lab) = lab(2) else { return };
    let keys = format!("7 {}\n", fresh_key());
    let [_p1, p2] = chain(&lab, "", &keys, "");
    let host = Host::listen(lab.server(), 7);
    let wiretap = tap(&lab, 1);
    let whole = host.meet(lab.client());
    (&whole.client).write_all(b"to the last word").unwrap();
    drop(whole.client);
    let mut heard = Vec::new();
    (&whole.server).read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"to the last word");
    drop(whole.server);
    let address = host.address();
    let [up, _] = overheard(&wiretap, address);

    // Somebody plays the header and ends: what would be the end of a plain stream is none here.
    lab.steer(&[sid(2, OPEN, 7)]).unwrap();
    let cut = host.meet(lab.client());
    (&cut.client).write_all(&up[..HELLO]).unwrap();
    cut.client.shutdown(Shutdown::Write).unwrap();
    breaks(&cut.client);
    breaks(&cut.server);
    let status = counted(&p2, &[("ended_by_function_flows", 1), ("live_flows", 0)]);
    assert_eq!(status.own(OPEN, "unauthentic_flows", ""), Some(1));
}
