//! Functions that undo each other, at two proxies with a wire between them: what the client and
//! the server say comes through them as it was.
//!
//! A row is a [`Pair`], and two tests of it: [`come_through`], and [`single_bytes_come_through`], which is
//! one of the job `long`.

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
const SINGLE: u64 = 1 << 20;
/// The number of the functions in both proxies.
const ID: u16 = 1;

/// Two functions of one module that undo each other.
struct Pair {
    /// `xor` for `libxor.so`.
    module: &'static str,
    /// The function at the proxy nearer to the client.
    near: &'static str,
    /// The function at the proxy nearer to the server.
    far: &'static str,
    /// More lines for both sections.
    options: String,
    /// Of both SIDs.
    argument: u32,
    /// How many bytes the wire between them carries for a hundred bytes of text, headers included.
    of_text: RangeInclusive<u64>,
}

/// The pair, and what else must live as long as it.
struct Row {
    pair: Pair,
    _keys: Option<Workdir>,
}

/// A test of all, and one of single bytes in the thesis's amount, for each pair.
macro_rules! rows {
    ($($name:ident: $row:expr;)*) => { $(
        mod $name {
            use super::*;

            #[test]
            fn large_and_small() {
                if is_root() {
                    come_through(&$row.pair);
                }
            }

            #[test]
            #[ignore = "takes minutes: tests/ci.sh long"]
            fn many_single_bytes() {
                if is_root() {
                    single_bytes_come_through(&$row.pair);
                }
            }
        }
    )* };
}

rows! {
    xor_and_xor: xor();
    compress_and_decompress_by_lz4: compress("option algorithm 'lz4'", 30..=60);
    compress_and_decompress_by_zstd: compress("option algorithm 'zstd'\noption level '1'", 20..=45);
    seal_and_open_by_chacha20_poly1305: seal("chacha20-poly1305");
    seal_and_open_by_aes_256_gcm: seal("aes-256-gcm");
}

fn xor() -> Row {
    Row {
        pair: Pair {
            module: "xor",
            near: "xor",
            far: "xor",
            options: String::new(),
            argument: 0x2a,
            of_text: 100..=110,
        },
        _keys: None,
    }
}

fn compress(options: &str, of_text: RangeInclusive<u64>) -> Row {
    Row {
        pair: Pair {
            module: "compress",
            near: "compress",
            far: "decompress",
            options: options.to_owned(),
            argument: 0,
            of_text,
        },
        _keys: None,
    }
}

fn seal(cipher: &str) -> Row {
    let workdir = Workdir::new(PREFIX).unwrap();
    let keys = write_keys(&workdir, &format!("7 {}\n", fresh_key()), 0o600);
    Row {
        pair: Pair {
            module: "seal",
            near: "seal",
            far: "open",
            options: format!("option keys '{}'\noption cipher '{cipher}'", keys.display()),
            argument: 7,
            of_text: 100..=110,
        },
        _keys: Some(workdir),
    }
}

/// Large flows of text and of noise, both ways at once and one after the other, and single bytes.
fn come_through(pair: &Pair) {
    let Some((lab, proxies)) = between(pair) else {
        return;
    };
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
    byte_by_byte(&host.meet(lab.client()), SINGLE, true);
    assert_untouched(&proxies, 3);
}

/// A large flow of single bytes, both ways at once. With Nagle's algorithm, or each would be a packet
/// for some ten microseconds at each of six hops.
fn single_bytes_come_through(pair: &Pair) {
    let Some((lab, proxies)) = between(pair) else {
        return;
    };
    let host = Host::listen(lab.server(), 5001);
    byte_by_byte(&host.meet(lab.client()), LARGE, false);
    assert_untouched(&proxies, 1);
}

/// Both proxies of a pair, and the way through them.
fn between(pair: &Pair) -> Option<(Lab, [Proxy; 2])> {
    let lab = lab(2)?;
    let proxies = [(1, pair.near), (2, pair.far)].map(|(i, name)| {
        let (module, options) = (pair.module, &pair.options);
        let section = format!(
            "config function\noption id '{ID}'\noption module 'lib{module}.so'\n\
             option name '{name}'\n{options}\n"
        );
        Proxy::start_with(&lab, i, "option capture 'saved_syn'", &section)
    });
    lab.steer(&[1, 2].map(|i| sid(i, ID, pair.argument)))
        .unwrap();
    Some((lab, proxies))
}

/// So many flows came to their end in order.
fn assert_untouched(proxies: &[Proxy], flows: u64) {
    for proxy in proxies {
        let expected = [("finished_flows", flows), ("live_flows", 0)];
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

/// Both ways at once, each byte by a write of its own, which goes out at once if it shall.
fn byte_by_byte(ends: &Ends, length: u64, at_once: bool) {
    let Ends { client, server, .. } = ends;
    let trade = |stream: &TcpStream, seed: u64| {
        thread::scope(|scope| {
            let said = scope.spawn(move || say_bytes(stream, seed, length, at_once).unwrap());
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
    assert_same(&up, &down, [length; 2]);
}

fn say_bytes(mut stream: &TcpStream, seed: u64, length: u64, at_once: bool) -> io::Result<Sum> {
    stream.set_nodelay(at_once)?;
    let mut text = Text::new(seed).take(length);
    let mut hasher = Sha256::new();
    let mut piece = Vec::new();
    while (&mut text).take(SINGLE).read_to_end(&mut piece)? > 0 {
        hasher.update(&piece);
        for byte in piece.drain(..) {
            stream.write_all(&[byte])?;
        }
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(hasher.finalize().into())
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
