//! Flows through the function: every split, no room, both directions, ends; and what rules are
//! made of, in files of their own.

mod hello;
mod lists;
mod options;
mod requests;

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Setup, Verdict};

use self::hello::{client_hello, records};
use crate::{Firewall, FirewallFlow};

/// A flow under these options.
fn flow_with(argument: u32, options: &[(&str, &str)]) -> FirewallFlow {
    let firewall: Firewall = Setup::detached(options).make().unwrap();
    firewall.spawn(&FlowInfo::detached(argument)).unwrap()
}

fn flow(options: &[(&str, &str)]) -> FirewallFlow {
    flow_with(0, options)
}

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// All of it came out, and it was let pass after so many bytes had been given.
    Passes(usize),
    /// It is not over: so many bytes came out.
    Open(usize),
    Blocked(Verdict),
}

/// Plays the host: gives `pieces` one after the other with `room` for output in each call, and
/// `end` behind the last of them.
fn play(
    flow: &mut FirewallFlow,
    direction: Direction,
    pieces: &[&[u8]],
    room: usize,
    end: bool,
) -> End {
    let whole = pieces.concat();
    let (mut given, mut input, mut came) = (0, Vec::new(), Vec::new());
    let mut output = vec![0; room];
    for (number, piece) in pieces.iter().enumerate() {
        given += piece.len();
        input.extend_from_slice(piece);
        let last = end && number + 1 == pieces.len();
        loop {
            let progress = flow.process(direction, &input, &mut output, last).unwrap();
            let Progress {
                consumed,
                produced,
                verdict,
            } = progress;
            came.extend_from_slice(&output[..produced]);
            input.drain(..consumed);
            assert!(
                whole.starts_with(&came),
                "what came out is not what went in"
            );
            match verdict {
                Verdict::Pass => {
                    came.extend_from_slice(&input);
                    assert_eq!(came, whole[..given], "what passes is whole");
                    return End::Passes(given);
                }
                Verdict::More if consumed + produced > 0 => {}
                Verdict::More => break,
                verdict => return End::Blocked(verdict),
            }
        }
    }
    assert!(!end, "at its end every stream has a verdict");
    End::Open(came.len())
}

/// [`play`] upstream, in one piece, byte by byte with little room, and cut in two at every place;
/// all must agree on whether it is blocked. How it is in one piece.
fn in_every_way(make: impl Fn() -> FirewallFlow, stream: &[u8], end: bool) -> End {
    let up = Direction::Upstream;
    let bytes: Vec<&[u8]> = stream.chunks(1).chain([&b""[..]]).collect();
    let whole = play(&mut make(), up, &[stream], 9000, end);
    let blocked = |how: &End| matches!(how, End::Blocked(_));
    for room in [1, 2, 9000] {
        let how = play(&mut make(), up, &bytes, room, end);
        assert_eq!(blocked(&how), blocked(&whole), "byte by byte, room {room}");
    }
    for at in 0..=stream.len() {
        let (front, back) = stream.split_at(at);
        let how = play(&mut make(), up, &[front, back], 9000, end);
        assert_eq!(blocked(&how), blocked(&whole), "cut at {at}");
    }
    whole
}

const RESET: End = End::Blocked(Verdict::Reset);

fn get(host: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nUser-Agent: t\r\nHost: {host}\r\n\r\n").into_bytes()
}

#[test]
fn a_name_is_blocked_in_tls_and_http_however_it_is_cut() {
    let ads = || flow(&[("block_name", "ads.example")]);
    for name in ["ads.example", "x.ADS.example", "ads.example."] {
        for size in [1, 3, 100, 16384] {
            let stream = records(&client_hello(Some(name)), size);
            assert_eq!(in_every_way(ads, &stream, false), RESET, "{name} {size}");
        }
        let host = format!("{name}:8080");
        assert_eq!(in_every_way(ads, &get(&host), false), RESET, "{name}");
    }
    for name in ["example", "bads.example", "ads.example.org"] {
        let stream = records(&client_hello(Some(name)), 16384);
        let length = stream.len();
        assert_eq!(in_every_way(ads, &stream, false), End::Passes(length));
        let stream = get(name);
        let length = stream.len();
        assert_eq!(in_every_way(ads, &stream, false), End::Passes(length));
    }
}

#[test]
fn nothing_of_a_head_goes_on_before_its_name_is_known() {
    let make = || flow(&[("block_name", "ads.example")]);
    let streams = [
        records(&client_hello(Some("good.example")), 100),
        get("good.example"),
    ];
    for stream in streams {
        let until = stream.len() - 1;
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        let open = play(
            &mut make(),
            Direction::Upstream,
            &bytes[..until],
            9000,
            false,
        );
        assert_eq!(open, End::Open(0));
        let passes = play(&mut make(), Direction::Upstream, &bytes, 1, false);
        assert_eq!(passes, End::Passes(stream.len()));
    }
}

#[test]
fn a_head_in_one_piece_is_judged_where_it_lies() {
    let mut flow = flow(&[("block_name", "ads.example")]);
    let stream = get("good.example");
    let done = flow.process(Direction::Upstream, &stream, &mut [0; 8], false);
    assert_eq!(done.unwrap(), Progress::pass(0, 0));
    let done = flow.process(Direction::Downstream, b"HTTP/1.1 ", &mut [0; 8], false);
    assert_eq!(done.unwrap(), Progress::pass(0, 0));
}

#[test]
fn who_is_neither_tls_nor_http_is_let_through_as_soon_as_that_is_clear() {
    let make = || flow(&[("block_name", "ads.example")]);
    let first_pieces: [&[u8]; 7] = [
        b"SSH-2.0-OpenSSH_9.2\r",
        b"EHLO client.example\r\n",
        b"\xff\xfd\x03",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"\x16\x02",
        b"<?xml",
        b"PRI * HTTP/2.0\r\n",
    ];
    for piece in first_pieces {
        let mut waiting = make();
        let how = play(&mut waiting, Direction::Upstream, &[piece], 9000, false);
        assert_eq!(how, End::Passes(piece.len()), "{}", piece.escape_ascii());
        let mut strict = flow(&[("unknown", "block"), ("action", "close")]);
        let how = play(&mut strict, Direction::Upstream, &[piece], 9000, false);
        assert_eq!(how, End::Blocked(Verdict::Close));
    }
}

#[test]
fn line_ends_before_a_request_go_on_at_once_and_hide_nothing() {
    let ads = || flow(&[("block_name", "ads.example")]);
    let mut gopher = ads();
    let how = play(&mut gopher, Direction::Upstream, &[b"\r\n"], 9000, false);
    assert_eq!(how, End::Open(2));
    let stream = [b"\r\n\r\n\n".as_slice(), &get("ads.example")].concat();
    assert_eq!(in_every_way(ads, &stream, false), RESET);
    let endless = vec![b'\n'; 9000];
    assert_eq!(
        play(&mut ads(), Direction::Upstream, &[&endless], 1, false),
        RESET
    );
}

#[test]
fn a_flow_without_a_name_is_blocked_only_if_that_is_asked_for() {
    let strict = || flow(&[("unknown", "block")]);
    let lax = || flow(&[("block_name", "*")]);
    let nameless = [
        records(&client_hello(None), 16384),
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n".to_vec(),
        b"\x00".to_vec(),
    ];
    for stream in nameless {
        let length = stream.len();
        assert_eq!(in_every_way(strict, &stream, false), RESET);
        assert_eq!(in_every_way(lax, &stream, false), End::Passes(length));
    }
    assert_eq!(in_every_way(lax, &get("any.example"), false), RESET);
    let length = get("any.example").len();
    assert_eq!(
        in_every_way(strict, &get("any.example"), false),
        End::Passes(length)
    );
}

#[test]
fn a_head_that_ends_too_early_or_comes_too_late() {
    let options = [("block_name", "ads.example"), ("inspect_bytes", "256")];
    let lax = || flow(&options);
    for stream in [&records(&client_hello(None), 16384)[..60], b"GET / HT", b""] {
        let mut strict = flow(&[("unknown", "block")]);
        let how = play(&mut strict, Direction::Upstream, &[stream], 9000, true);
        assert_eq!(how, RESET, "{}", stream.escape_ascii());
        assert_eq!(in_every_way(lax, stream, true), End::Passes(stream.len()));
    }
    // Nobody needs so long a head to say where it goes.
    let late = format!(
        "GET /{} HTTP/1.1\r\nHost: ads.example\r\n\r\n",
        "x".repeat(300)
    );
    assert_eq!(in_every_way(lax, late.as_bytes(), false), RESET);
    let good = late.replace("ads.", "good.");
    assert_eq!(in_every_way(lax, good.as_bytes(), false), RESET);
    // But one that has said it may go on for longer.
    let early = format!(
        "GET / HTTP/1.1\r\nHost: good.example\r\nCookie: {}",
        "x".repeat(300)
    );
    assert_eq!(
        in_every_way(lax, early.as_bytes(), false),
        End::Passes(early.len())
    );
}

#[test]
fn an_allowed_name_wins_over_every_block() {
    let make = || {
        flow(&[
            ("block_name", "*"),
            ("block_name", "shop.example"),
            ("allow_name", "=example.org"),
            ("allow_name", "good.shop.example"),
        ])
    };
    for (name, passes) in [
        ("example.org", true),
        ("www.example.org", false),
        ("shop.example", false),
        ("good.shop.example", true),
        ("very.good.shop.example", true),
    ] {
        let how = in_every_way(make, &get(name), false);
        assert_eq!(how != RESET, passes, "{name}");
    }
}

#[test]
fn a_pattern_is_found_over_every_cut_and_only_its_prefix_waits() {
    let options = [
        ("block_pattern", r"GET /evil"),
        ("block_pattern", r"\x00\xffboom"),
    ];
    let make = || flow(&options);
    for stream in [
        &b"GET /evil"[..],
        b"xxGET GET /evilyy",
        b"ab\x00\x00\xffboom",
    ] {
        assert_eq!(in_every_way(make, stream, false), RESET);
    }
    for (stream, out) in [
        (&b"hello"[..], 5),
        (b"GET /ev", 0),
        (b"xGET /evx", 9),
        (b"ab\x00", 2),
    ] {
        let how = play(&mut make(), Direction::Upstream, &[stream], 9000, false);
        assert_eq!(how, End::Open(out), "{}", stream.escape_ascii());
        assert_eq!(in_every_way(make, stream, true), End::Passes(stream.len()));
    }
}

#[test]
fn patterns_are_looked_for_in_the_first_bytes_only() {
    let options = [("block_pattern", "evil"), ("inspect_bytes", "64")];
    let make = || flow(&options);
    for (before, blocked) in [(60, true), (61, false), (64, false)] {
        let stream = [vec![b'.'; before], b"evil......".to_vec()].concat();
        let how = in_every_way(make, &stream, false);
        assert_eq!(how == RESET, blocked, "behind {before} bytes");
    }
}

#[test]
fn the_servers_bytes_have_patterns_of_their_own() {
    let mut flow = flow(&[("block_pattern", "up"), ("block_answer_pattern", "down")]);
    let mut output = [0; 8];
    let mut step = |direction, input: &[u8]| {
        let progress = flow.process(direction, input, &mut output, false);
        progress.unwrap()
    };
    // Turn by turn: neither stands in the other's way.
    for _ in 0..3 {
        assert_eq!(step(Direction::Upstream, b"down"), Progress::more(4, 4));
        assert_eq!(step(Direction::Downstream, b"up do"), Progress::more(5, 3));
        assert_eq!(step(Direction::Upstream, b"u"), Progress::more(1, 0));
        assert_eq!(step(Direction::Downstream, b"n"), Progress::more(1, 3));
        assert_eq!(step(Direction::Upstream, b"u"), Progress::more(1, 1));
        assert_eq!(step(Direction::Upstream, b"!"), Progress::more(1, 2));
    }
    assert_eq!(step(Direction::Downstream, b"do"), Progress::more(2, 0));
    assert_eq!(step(Direction::Downstream, b"wn").verdict, Verdict::Reset);
}

#[test]
fn the_argument_chooses_the_rules_that_count() {
    let options = [
        ("block_name", "ads.example"),
        ("block_pattern", "evil"),
        ("block_answer_pattern", "bad"),
    ];
    for argument in 0..=7 {
        let counts = |bit| argument == 0 || argument & bit != 0;
        let how = |direction, stream: &[u8]| {
            play(
                &mut flow_with(argument, &options),
                direction,
                &[stream],
                9000,
                true,
            ) == RESET
        };
        assert_eq!(how(Direction::Upstream, &get("ads.example")), counts(1));
        assert_eq!(how(Direction::Upstream, b"very evil"), counts(2));
        assert_eq!(how(Direction::Downstream, b"very bad"), counts(4));
    }
    let firewall: Firewall = Setup::detached(&options).make().unwrap();
    let refused = firewall.spawn(&FlowInfo::detached(8)).unwrap_err();
    assert_eq!(refused.to_string(), "argument 0x8: only the bits of 0x7");
}

#[test]
fn without_rules_everything_passes_at_once() {
    let mut flow = flow(&[]);
    for direction in [Direction::Upstream, Direction::Downstream] {
        let done = flow.process(direction, b"x", &mut [0], false).unwrap();
        assert_eq!(done, Progress::pass(0, 0));
    }
}
