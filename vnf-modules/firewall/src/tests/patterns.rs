//! Byte patterns in streams, however these are cut.

use srv6pipes_vnf::{Direction, Flow, Progress, Verdict};

use super::{End, RESET, flow, in_every_way, play};

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
fn what_waits_is_not_searched_twice() {
    let make = || flow(&[("block_pattern", "aa")]);
    for stream in [&b"ababab"[..], b"xaxa"] {
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
    let mut flow = flow(&[
        ("block_pattern", "up"),
        ("block_answer_pattern", "down"),
        ("patience", "0"),
    ]);
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
