//! What goes in at one end comes out at the other, however it is cut into calls.

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Progress, Verdict};

use super::{Caller, OPEN, SEAL, Way, end, noise, tunnel};
use crate::cipher::{Cipher, Offer};
use crate::hello::{HELLO, Role};
use crate::record::{MAX_PLAIN, OVERHEAD};

#[test]
fn bytes_come_out_as_they_went_in_with_each_cipher() {
    use Cipher::{Aes256Gcm, ChaCha20Poly1305};
    for (one, two) in [
        (Offer::Only(ChaCha20Poly1305), Offer::by_cpu()),
        (Offer::by_cpu(), Offer::Only(Aes256Gcm)),
        (Offer::Rather(Aes256Gcm), Offer::Rather(Aes256Gcm)),
        (Offer::Rather(Aes256Gcm), Offer::Rather(ChaCha20Poly1305)),
    ] {
        let flow = FlowInfo::detached(7);
        let mut way = Way::new(
            end(one).spawn(Role::Seal, &flow).unwrap(),
            end(two).spawn(Role::Open, &flow).unwrap(),
        );
        let (question, answer) = (noise(200_000), noise(3 * MAX_PLAIN));
        way.say(&question, &answer);
        assert!(way.heard() == (&question, &answer), "{one:?} {two:?}");
        way.end();
        assert!(way.open.up.finished && way.seal.down.finished);
        // The last record was of its own here: all had been sent before the end came.
        for (wire, length) in way.wire.iter().zip([200_000_usize, 3 * MAX_PLAIN]) {
            let records = wire.len() - HELLO - OVERHEAD - length;
            assert!(records.is_multiple_of(OVERHEAD), "{records}");
            let least = length.div_ceil(MAX_PLAIN);
            assert!((least..=least + 4).contains(&(records / OVERHEAD)));
        }
    }
}

#[test]
fn any_room_and_any_window_will_do() {
    let bytes = noise(9000);
    for room in [1, 2, OVERHEAD, OVERHEAD + 1, 43, 44, 45, 1000, 4096, 69_632] {
        for window in [1, 2, 3, 17, 18, 19, 43, 44, 45, 4114, 65_536] {
            let mut way = Way::fixed();
            for caller in [&mut way.seal, &mut way.open] {
                caller.room = room;
                // A record has to be seen in whole: the host offers all there is.
                caller.window = window.max(MAX_PLAIN + OVERHEAD);
            }
            for piece in bytes.chunks(window) {
                way.say(piece, piece);
            }
            way.end();
            assert!(way.heard() == (&bytes, &bytes), "{room} {window}");
            assert!(way.open.up.finished && way.seal.down.finished);
        }
    }
}

#[test]
fn a_stream_split_at_every_byte_is_the_same() {
    let mut way = Way::fixed();
    way.say(b"hello", b"");
    way.say(&noise(40), b"");
    way.end();
    let [up, _] = &way.wire;
    for split in 0..=up.len() {
        let mut open = Caller::new(tunnel(Role::Open, OPEN));
        open.up.input.extend(&up[..split]);
        open.run(Direction::Upstream);
        open.up.input.extend(&up[split..]);
        open.up.end = true;
        open.run(Direction::Upstream);
        assert_eq!(&open.up.output[..5], b"hello", "{split}");
        assert_eq!(open.up.output[5..], noise(40), "{split}");
        assert!(open.up.finished && !open.reset, "{split}");
    }
}

#[test]
fn each_end_speaks_first_and_seals_nothing_before_the_other_has() {
    let mut seal = tunnel(Role::Seal, SEAL);
    let mut out = [0; 4096];
    let first = seal.process(Direction::Upstream, b"", &mut out, false);
    let Progress {
        consumed: 0,
        produced: HELLO,
        verdict: Verdict::Wait(ms),
    } = first.unwrap()
    else {
        panic!("no header comes first");
    };
    assert!((1..=40_000).contains(&ms));
    assert!(out.starts_with(b"S6SL"));
    for (input, end) in [(&b"secret"[..], false), (&[0; 65_536], false), (b"", true)] {
        let held = seal.process(Direction::Upstream, input, &mut out, end);
        let held = held.unwrap();
        assert_eq!((held.consumed, held.produced), (0, 0));
        assert!(matches!(held.verdict, Verdict::Wait(1..)));
    }
    let nothing = seal.process(Direction::Downstream, b"", &mut out, false);
    assert_eq!(nothing.unwrap(), Progress::more(0, 0));
    let hello = tunnel(Role::Open, OPEN).process(Direction::Downstream, b"", &mut out, false);
    assert_eq!(hello.unwrap().produced, HELLO);
    let heard = seal.process(Direction::Downstream, &out[..HELLO], &mut [0; 1], false);
    assert_eq!(heard.unwrap(), Progress::more(HELLO, 0));
    let sealed = seal.process(Direction::Upstream, b"secret", &mut out, true);
    assert_eq!(sealed.unwrap(), Progress::finished(6, OVERHEAD + 6));
}

#[test]
fn a_small_message_never_waits_for_a_full_record() {
    let mut way = Way::fixed();
    for (n, byte) in noise(100).into_iter().enumerate() {
        way.say(&[byte], &[byte]);
        let (up, down) = way.heard();
        assert_eq!((up.len(), down.len()), (n + 1, n + 1));
    }
}

#[test]
fn one_direction_ends_without_the_other() {
    let mut way = Way::fixed();
    way.seal.up.end = true;
    way.say(b"GET", b"");
    assert!(way.open.up.finished && !way.seal.down.finished);
    way.say(b"", b"here it is");
    way.open.down.end = true;
    way.run();
    assert_eq!(way.heard(), (&b"GET"[..], &b"here it is"[..]));
    assert!(way.seal.down.finished);
}

#[test]
fn empty_streams_end_in_order() {
    let mut way = Way::fixed();
    way.end();
    assert!(way.open.up.finished && way.seal.down.finished);
    assert_eq!(way.wire.map(|wire| wire.len()), [HELLO + OVERHEAD; 2]);
}

#[test]
fn what_follows_the_last_record_is_dropped() {
    let mut way = Way::fixed();
    way.say(b"all", b"");
    way.seal.up.end = true;
    way.seal.run(Direction::Upstream);
    let mut late = way.seal.up.output.clone();
    late.extend(b"and more");
    way.open.up.input = late;
    way.open.run(Direction::Upstream);
    assert_eq!(way.heard().0, b"all");
    assert!(way.open.up.finished && !way.open.reset);
}
