//! Functions that undo each other, at two proxies with a wire between them: what the client and
//! the server say comes through them as it was.
//!
//! A row is a test that calls [`come_through`] with a [`Pair`].

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::RangeInclusive;
use std::thread;

use sha2::{Digest, Sha256};
use srv6pipes::demo::lab::{Lab, sid};
use srv6pipes::demo::workdir::Workdir;

use crate::harness::ends::{Ends, Host, Trade, say_all, trade_all};
use crate::harness::noise::{Noise, Sum, drain};
use crate::harness::proxy::Proxy;
use crate::harness::status::counted;
use crate::harness::text::Text;
use crate::harness::{PREFIX, is_root, lab};
use crate::seal::{fresh_key, write_keys};

/// 256 MiB, the size of the thesis's largest objects.
const LARGE: u64 = 256 << 20;
/// For what is tried a second time, the other way round.
const MIDDLE: u64 = 32 << 20;
/// Each of these bytes is written by itself.
const SINGLE: usize = 1 << 20;
/// The number of the functions in both proxies.
const ID: u16 = 1;

/// Two functions of one module that undo each other.
pub struct Pair<'a> {
    /// `xor` for `libxor.so`.
    pub module: &'a str,
    /// The function at the proxy nearer to the client.
    pub near: &'a str,
    /// The function at the proxy nearer to the server.
    pub far: &'a str,
    /// More lines for both sections.
    pub options: &'a str,
    /// Of both SIDs.
    pub argument: u32,
    /// How many bytes the wire between them carries for a hundred bytes of text, headers included.
    pub of_text: RangeInclusive<u64>,
}

#[test]
fn xor_and_xor() {
    come_through(&Pair {
        module: "xor",
        near: "xor",
        far: "xor",
        options: "",
        argument: 0x2a,
        of_text: 100..=110,
    });
}

#[test]
fn compress_and_decompress_by_lz4() {
    come_through(&Pair {
        module: "compress",
        near: "compress",
        far: "decompress",
        options: "option algorithm 'lz4'",
        argument: 0,
        of_text: 30..=60,
    });
}

#[test]
fn compress_and_decompress_by_zstd() {
    come_through(&Pair {
        module: "compress",
        near: "compress",
        far: "decompress",
        options: "option algorithm 'zstd'\noption level '1'",
        argument: 0,
        of_text: 20..=45,
    });
}

#[test]
fn seal_and_open_by_chacha20_poly1305() {
    seal_and_open("chacha20-poly1305");
}

#[test]
fn seal_and_open_by_aes_256_gcm() {
    seal_and_open("aes-256-gcm");
}

fn seal_and_open(cipher: &str) {
    if !is_root() {
        return;
    }
    let workdir = Workdir::new(PREFIX).unwrap();
    let keys = write_keys(&workdir, &format!("7 {}\n", fresh_key()), 0o600);
    come_through(&Pair {
        module: "seal",
        near: "seal",
        far: "open",
        options: &format!("option keys '{}'\noption cipher '{cipher}'", keys.display()),
        argument: 7,
        of_text: 100..=110,
    });
}

/// Large flows of text and of noise, both ways at once and one after the other, and single bytes.
pub fn come_through(pair: &Pair<'_>) {
    let Some(lab) = lab(2) else { return };
    let proxies = [(1, pair.near), (2, pair.far)].map(|(i, name)| {
        let (module, options) = (pair.module, pair.options);
        let section = format!(
            "config function\noption id '{ID}'\noption module 'lib{module}.so'\n\
             option name '{name}'\n{options}\n"
        );
        Proxy::start_with(&lab, i, "option capture 'saved_syn'", &section)
    });
    lab.steer(&[1, 2].map(|i| sid(i, ID, pair.argument)))
        .unwrap();
    let host = Host::listen(lab.server(), 5001);

    let before = carried(&lab);
    at_once(&host.meet(lab.client()));
    let [up, down] = [carried(&lab), before]
        .into_iter()
        .reduce(|now, then| [now[0] - then[0], now[1] - then[1]])
        .unwrap();
    let percent = up * 100 / LARGE;
    assert!(
        pair.of_text.contains(&percent),
        "the wire between carried {percent} % of the text"
    );
    let percent = down * 100 / LARGE;
    assert!(
        (100..=110).contains(&percent),
        "the wire between carried {percent} % of the noise"
    );

    one_after_the_other(&host.meet(lab.client()));
    byte_by_byte(&host.meet(lab.client()));
    for proxy in &proxies {
        let expected = [("finished_flows", 3), ("live_flows", 0)];
        let status = counted(proxy, &expected);
        status.assert_adds_up();
        assert_eq!(status.function(ID, "broken_flows"), 0);
        assert_eq!(status.counter("spliced_bytes"), 0, "a function let pass");
    }
}

/// Text upstream and noise downstream.
fn at_once(ends: &Ends) {
    let Ends { client, server, .. } = ends;
    let (up, down) = thread::scope(|scope| {
        let server = scope.spawn(|| trade_all(server, Noise::new(2).take(LARGE)).unwrap());
        let client = trade_all(client, Text::new(1).take(LARGE)).unwrap();
        (client, server.join().unwrap())
    });
    assert_same(&up, &down, [LARGE, LARGE]);
}

/// Noise upstream to its end, and only then text downstream: the other half of the flow lives on.
fn one_after_the_other(ends: &Ends) {
    let Ends { client, server, .. } = ends;
    let (up, down) = thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (length, heard, end) = drain(&mut &*server);
            end.unwrap();
            let said = say_all(server, Text::new(4).take(MIDDLE)).unwrap();
            Trade {
                said,
                length,
                heard,
            }
        });
        let client = trade_all(client, Noise::new(3).take(MIDDLE)).unwrap();
        (client, server.join().unwrap())
    });
    assert_same(&up, &down, [MIDDLE, MIDDLE]);
}

/// Both ways at once, each byte by a write of its own, which goes out at once.
fn byte_by_byte(ends: &Ends) {
    let Ends { client, server, .. } = ends;
    let trade = |stream: &TcpStream, seed: u64| {
        thread::scope(|scope| {
            let said = scope.spawn(move || say_bytes(stream, seed).unwrap());
            let (length, heard, end) = drain(&mut &*stream);
            end.unwrap();
            Trade {
                said: said.join().unwrap(),
                length,
                heard,
            }
        })
    };
    let (up, down) = thread::scope(|scope| {
        let server = scope.spawn(|| trade(server, 6));
        (trade(client, 5), server.join().unwrap())
    });
    assert_same(&up, &down, [SINGLE as u64; 2]);
}

fn say_bytes(mut stream: &TcpStream, seed: u64) -> io::Result<Sum> {
    stream.set_nodelay(true)?;
    let mut bytes = vec![0; SINGLE];
    Text::new(seed).read_exact(&mut bytes)?;
    for byte in &bytes {
        stream.write_all(&[*byte])?;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(Sha256::digest(&bytes).into())
}

/// Each end has heard what the other one said: so much upstream and so much downstream.
fn assert_same(client: &Trade, server: &Trade, lengths: [u64; 2]) {
    assert_eq!([server.length, client.length], lengths);
    assert_ne!(client.said, server.said);
    assert_eq!(client.said, server.heard, "SHA-256 of upstream");
    assert_eq!(server.said, client.heard, "SHA-256 of downstream");
}

/// Bytes that the wire between the proxies has carried so far, upstream and downstream.
fn carried(lab: &Lab) -> [u64; 2] {
    let (node, device) = lab.wire(1);
    let table = node
        .run(|| fs::read_to_string("/proc/thread-self/net/dev"))
        .unwrap()
        .unwrap();
    let line = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(&format!("{device}:")))
        .unwrap();
    // proc_net(5): eight columns of what was received, then what was sent; bytes come first.
    let columns: Vec<u64> = line
        .split_whitespace()
        .map(|column| column.parse().unwrap())
        .collect();
    [columns[8], columns[0]]
}
