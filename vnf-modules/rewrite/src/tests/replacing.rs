//! What comes out is what a search over the whole text would make of it.

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Setup};

use super::{Carried, Noise};
use crate::Rewrite;
use crate::rule::Rule;

/// The definition: at the first place where a rule fits, the longest that does; then on behind it.
fn replaced(rules: &[&str], bytes: &[u8]) -> Vec<u8> {
    let rules: Vec<Rule> = rules.iter().map(|rule| Rule::read(rule).unwrap()).collect();
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some((first, behind)) = rest.split_first() {
        let fitting = rules.iter().filter(|rule| rest.starts_with(&rule.from));
        if let Some(rule) = fitting.max_by_key(|rule| rule.from.len()) {
            out.extend(&rule.to);
            rest = &rest[rule.from.len()..];
        } else {
            out.push(*first);
            rest = behind;
        }
    }
    out
}

fn streamed(rules: &[&str], pieces: &[&[u8]], room: usize) -> Vec<u8> {
    let mut carried = Carried::new(rules, room);
    for piece in pieces {
        carried.feed(piece, false);
    }
    carried.feed(&[], true);
    carried.out
}

const RULES: &[&str] = &[
    "http://=>https://",
    "colour=>color",
    "ab=>[AB]",
    "abcab=>",
    "cab=>c",
    r"\r\n\r\n=>\r\nVia: srv6pipes\r\n\r\n",
    "é=>e",
    "x=>xx",
];
const TEXT: &str = "GET http://colour abcab abcabcab ccab\r\n\r\nabc xx café abcabab\r\n\rhttp:/";

#[test]
fn every_split_and_every_room_gives_the_same_bytes() {
    let bytes = TEXT.as_bytes();
    let expected = replaced(RULES, bytes);
    assert_eq!(
        String::from_utf8_lossy(&expected),
        "GET https://color  c cc\r\nVia: srv6pipes\r\n\r\n[AB]c xxxx cafe [AB]\r\n\rhttp:/"
    );
    for room in [1, 2, 5, 4096, 70_000] {
        for one in 0..=bytes.len() {
            for two in one..=bytes.len() {
                let pieces = [&bytes[..one], &bytes[one..two], &bytes[two..]];
                assert_eq!(streamed(RULES, &pieces, room), expected, "{one} {two}");
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(streamed(RULES, &single, room), expected);
        // The end comes with the last bytes.
        let mut carried = Carried::new(RULES, room);
        carried.feed(bytes, true);
        assert_eq!(carried.out, expected);
    }
}

#[test]
fn rules_that_overlap_in_every_way_do_as_defined() {
    let mut noise = Noise(17);
    for _ in 0..3000 {
        let mut rules: Vec<String> = (0..1 + noise.below(6))
            .map(|_| {
                let from = 1 + noise.below(5);
                let to = noise.below(4);
                noise.letters(from, 3) + "=>" + &noise.letters(to, 4)
            })
            .collect();
        let from = |rule: &String| rule.split("=>").next().unwrap_or_default().to_owned();
        rules.sort_by_key(from);
        rules.dedup_by_key(|rule| from(rule));
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let text = noise.letters(60, 3);
        let mut pieces = Vec::new();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + noise.below(rest.len().min(9)));
            pieces.push(piece);
            rest = behind;
        }
        let room = [1, 3, 5000][noise.below(3)];
        let expected = replaced(&rules, text.as_bytes());
        assert_eq!(
            streamed(&rules, &pieces, room),
            expected,
            "{rules:?} {text}"
        );
    }
}

#[test]
fn a_large_stream_in_windows_of_64_kib_comes_out_right() {
    let bytes = TEXT.repeat(6000);
    let expected = replaced(RULES, bytes.as_bytes());
    let pieces: Vec<&[u8]> = bytes.as_bytes().chunks(65_536).collect();
    assert!(streamed(RULES, &pieces, 69_632) == expected);
}

#[test]
fn one_direction_may_be_left_alone() {
    for (word, passes) in [
        ("upstream", Direction::Downstream),
        ("downstream", Direction::Upstream),
    ] {
        let options = [("replace", "a=>b"), ("direction", word)];
        let function = Setup::detached(&options).make::<Rewrite>().unwrap();
        let mut flow = function.spawn(&FlowInfo::detached(0)).unwrap();
        for direction in [Direction::Upstream, Direction::Downstream] {
            let mut out = [0; 8];
            let done = flow.process(direction, b"ax", &mut out, true).unwrap();
            if direction == passes {
                assert_eq!(done, Progress::pass(0, 0));
            } else {
                assert_eq!((done, &out[..2]), (Progress::finished(2, 2), &b"bx"[..]));
            }
        }
    }
}

#[test]
fn both_directions_hold_their_own() {
    let mut flow = super::flow(&["ab=>X"]);
    let mut out = [0; 4096];
    for direction in [Direction::Upstream, Direction::Downstream] {
        let done = flow.process(direction, b"a", &mut out, false).unwrap();
        assert_eq!((done.consumed, done.produced), (0, 0));
    }
    let done = flow.process(Direction::Upstream, b"ac", &mut out, false);
    assert_eq!(
        (done.unwrap(), &out[..2]),
        (Progress::more(2, 2), &b"ac"[..])
    );
    let done = flow.process(Direction::Downstream, b"ab", &mut out, true);
    assert_eq!(
        (done.unwrap(), &out[..1]),
        (Progress::finished(2, 1), &b"X"[..])
    );
}
