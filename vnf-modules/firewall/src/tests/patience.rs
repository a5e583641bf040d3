//! How long bytes wait for a verdict, and what is still kept from the other end after that.

use std::time::{Duration, Instant};

use srv6pipes_vnf::{Direction, Progress, Verdict};

use super::{End, RESET, client_hello, flow, get, play, records};
use crate::FirewallFlow;

/// One call, so many milliseconds after `began`; what came out and what is said.
fn call(flow: &mut FirewallFlow, input: &[u8], began: Instant, ms: u64) -> (Vec<u8>, Verdict) {
    let mut output = [0; 100];
    let now = began + Duration::from_millis(ms);
    let Progress {
        consumed,
        produced,
        verdict,
    } = flow.process_at(Direction::Upstream, input, &mut output, false, || now);
    assert!(consumed == input.len() || verdict == Verdict::Reset);
    (output[..produced].to_vec(), verdict)
}

#[test]
fn a_word_waits_for_its_line_but_not_for_ever() {
    let began = Instant::now();
    let mut flow = flow(&[("block_name", "ads.example"), ("patience", "2")]);
    let mut say = |input: &[u8], ms| call(&mut flow, input, began, ms);
    assert_eq!(say(b"HE", 0), (vec![], Verdict::Wait(2000)));
    assert_eq!(say(b"L", 500), (vec![], Verdict::Wait(1500)));
    assert_eq!(say(b"", 1999), (vec![], Verdict::Wait(1)));
    assert_eq!(say(b"", 2000), (b"HEL".to_vec(), Verdict::More));
    // Nor does what follows.
    assert_eq!(say(b"O", 2500), (b"O".to_vec(), Verdict::More));
    let head = b" / HTTP/1.1\r\nHost: ads.exampl";
    assert_eq!(say(head, 3000), (head.to_vec(), Verdict::More));
    assert_eq!(say(b"e", 3000), (b"e".to_vec(), Verdict::More));
    assert_eq!(say(b"\r\n", 9000), (vec![], Verdict::Reset));
}

#[test]
fn a_pattern_that_was_begun_slowly_is_never_whole_at_the_other_end() {
    let began = Instant::now();
    let mut flow = flow(&[("block_pattern", "evil"), ("patience", "1")]);
    let mut say = |input: &[u8], ms| call(&mut flow, input, began, ms);
    assert_eq!(say(b"an e", 0), (b"an ".to_vec(), Verdict::Wait(1000)));
    // What came to nothing gives the next one its time.
    assert_eq!(say(b".", 900), (b"e.".to_vec(), Verdict::More));
    assert_eq!(say(b"ev", 1500), (vec![], Verdict::Wait(1000)));
    assert_eq!(say(b"", 2500), (b"ev".to_vec(), Verdict::More));
    assert_eq!(say(b"i", 2600), (b"i".to_vec(), Verdict::More));
    assert_eq!(say(b"l", 2700), (vec![], Verdict::Reset));
}

#[test]
fn without_an_end_to_patience_nothing_is_asked_for() {
    let mut flow = flow(&[("block_name", "ads.example"), ("patience", "0")]);
    let said = call(&mut flow, b"GET", Instant::now(), 0);
    assert_eq!(said, (vec![], Verdict::More));
}

/// Marsaglia's xorshift32.
fn random(state: &mut u32) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state as usize
}

/// A stream in pieces of random sizes, with random room for each call and pauses that sometimes are
/// too long, both directions in turn, is judged as it is in one piece, and comes out as it went in.
#[test]
fn chance_changes_no_verdict_and_no_byte() {
    let options = [
        ("block_name", "ads.example"),
        ("block_pattern", "evil"),
        ("block_answer_pattern", "evil"),
        ("inspect_bytes", "512"),
        ("patience", "1"),
    ];
    let streams = [
        get("ads.example"),
        get("good.example"),
        records(&client_hello(Some("ads.example")), 3),
        records(&client_hello(Some("good.example")), 50),
        b"\r\n\r\nGET http://ads.example/\r\n".to_vec(),
        b"some evil here".to_vec(),
        b"eviev eevivi and so on\n".to_vec(),
        b"x".repeat(700),
        b"GET / HTTP/1.1\r\nHost: ads.example".to_vec(),
    ];
    let mut state = 2026;
    for round in 0..4000 {
        let mut stream = streams[round % streams.len()].clone();
        if round % 2 == 1 {
            let at = random(&mut state) % stream.len();
            stream[at] = random(&mut state).to_le_bytes()[0];
        }
        let up = Direction::Upstream;
        let whole = play(&mut flow(&options), up, &[&stream], 9000, true);
        let mut pieced = flow(&options);
        let mut now = Instant::now();
        let (mut given, mut input, mut came) = (0, Vec::new(), Vec::new());
        let blocked = loop {
            let fresh = (random(&mut state) % 40).min(stream.len() - given);
            input.extend_from_slice(&stream[given..given + fresh]);
            given += fresh;
            now += Duration::from_millis(random(&mut state) as u64 % 400);
            let mut output = vec![0; 1 + random(&mut state) % 30];
            let end = given == stream.len();
            let done = pieced.process_at(up, &input, &mut output, end, || now);
            came.extend_from_slice(&output[..done.produced]);
            input.drain(..done.consumed);
            assert!(stream.starts_with(&came), "{}", stream.escape_ascii());
            match done.verdict {
                Verdict::Reset => break true,
                Verdict::Pass => {
                    came.extend_from_slice(&input);
                    assert!(stream[..given] == came, "{}", stream.escape_ascii());
                    break false;
                }
                _ => assert!(!end || done.consumed + done.produced > 0, "it stalls"),
            }
            let answer =
                pieced.process_at(Direction::Downstream, b"ev.", &mut [0; 9], false, || now);
            if answer.verdict == Verdict::More {
                assert_eq!((answer.consumed, answer.produced), (3, 3));
            }
        };
        assert_eq!(blocked, whole == RESET, "{}", stream.escape_ascii());
        assert!(whole == RESET || matches!(whole, End::Passes(_)));
    }
}

#[test]
fn a_head_of_single_bytes_is_read_once() {
    let mut hello = client_hello(Some("good.example"));
    hello[1..4].copy_from_slice(&[0, 0xff, 0xff]);
    hello.resize(11_000, 0);
    let streams = [
        records(&hello, 1),
        [22, 3, 1, 0, 0].repeat(13_200),
        vec![b' '; 66_000],
        [b"GET".to_vec(), vec![b' '; 66_000]].concat(),
        [vec![b' '; 33_000], b"GET /".to_vec(), vec![b'x'; 33_000]].concat(),
        [b"GET / HTTP/1.1\r\n".to_vec(), vec![b'\r'; 66_000]].concat(),
        [b"GET / HTTP/1.1\r\n".to_vec(), b"Host: g\r".repeat(8300)].concat(),
    ];
    let mut room = vec![0; 65_536];
    for stream in streams {
        let mut flow = flow(&[("block_name", "ads.example"), ("inspect_bytes", "65536")]);
        let began = Instant::now();
        let ended = stream.iter().position(|byte| {
            let said = flow.process_at(Direction::Upstream, &[*byte], &mut room, false, || began);
            !matches!(said.verdict, Verdict::More | Verdict::Wait(_))
        });
        assert_eq!(ended, Some(65_535));
        // Once is a few milliseconds, each time from the beginning half a minute.
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
