//! Whoever sits on the wire: nothing of theirs is delivered, and nothing of ours in their order.

use std::sync::Arc;
use std::time::Duration;

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Verdict};

use super::{Caller, OPEN, SEAL, Way, end, master, noise, tunnel};
use crate::cipher::{Cipher, Offer};
use crate::hello::{HELLO, Role};
use crate::keys::Keys;
use crate::record::OVERHEAD;
use crate::tunnel::Terms;

/// A flow of three records each way, the last one marked as such; what went over the wire.
fn recorded() -> [Vec<u8>; 2] {
    let mut way = Way::fixed();
    way.say(b"first", b"one");
    way.say(b"second", b"two");
    way.end();
    way.wire
}

const PLAIN: &[u8] = b"firstsecond";

/// The three records of `recorded()` upstream.
fn records(up: &[u8]) -> [&[u8]; 3] {
    let (first, rest) = up[HELLO..].split_at(OVERHEAD + 5);
    let (second, third) = rest.split_at(OVERHEAD + 6);
    [first, second, third]
}

/// What `open`, having drawn `random`, makes of `up`: what it delivered, and whether it ended in
/// order; else it was reset, or waits for more.
fn fed(random: [u8; 32], up: &[u8]) -> (Vec<u8>, bool, bool) {
    let mut open = Caller::new(tunnel(Role::Open, random));
    open.up.input.extend(up);
    open.up.end = true;
    open.run(Direction::Upstream);
    (open.up.output, open.up.finished, open.reset)
}

#[test]
fn the_flow_that_is_left_alone_arrives() {
    let [up, _] = recorded();
    assert_eq!(fed(OPEN, &up), (PLAIN.to_vec(), true, false));
}

#[test]
fn a_stream_cut_off_at_any_byte_is_reset() {
    let [up, _] = recorded();
    for length in 0..up.len() {
        let (_, finished, reset) = fed(OPEN, &up[..length]);
        assert!(reset && !finished, "{length}");
        // The bytes before are delivered once they are there, the end of them is not.
        let mut open = Caller::new(tunnel(Role::Open, OPEN));
        open.up.input.extend(&up[..length]);
        open.run(Direction::Upstream);
        assert!(!open.reset && !open.up.finished, "{length}");
        let whole = length.checked_sub(HELLO).map_or(0, |length| match length {
            ..23 => 0,
            23..47 => 5,
            _ => 11,
        });
        assert_eq!(open.up.output, PLAIN[..whole], "{length}");
    }
}

#[test]
fn a_bit_flipped_in_any_byte_is_noticed_and_nothing_of_its_record_delivered() {
    let [up, _] = recorded();
    for place in 0..up.len() {
        for bit in 0..8 {
            let mut changed = up.clone();
            changed[place] ^= 1 << bit;
            // Without the end: it is not the missing last record that gives it away.
            let mut open = Caller::new(tunnel(Role::Open, OPEN));
            for byte in changed {
                open.up.input.push(byte);
                open.run(Direction::Upstream);
            }
            let before = match place {
                ..67 => 0,
                67..91 => 5,
                _ => 11,
            };
            assert_eq!(open.up.output, PLAIN[..before], "{place}.{bit}");
            assert!(!open.up.finished, "{place}.{bit}");
            open.up.end = true;
            open.run(Direction::Upstream);
            assert!(open.reset, "{place}.{bit}");
        }
    }
}

#[test]
fn a_recorded_flow_played_back_is_refused_at_its_first_record() {
    let [up, down] = recorded();
    // The same key, the same addresses, but the other end has drawn anew.
    assert_eq!(fed([9; 32], &up), (Vec::new(), false, true));
    let mut seal = Caller::new(tunnel(Role::Seal, [9; 32]));
    seal.down.input = down;
    seal.run(Direction::Downstream);
    assert!(seal.reset && seal.down.output.is_empty());
}

#[test]
fn records_out_of_order_twice_or_missing_are_refused() {
    let [up, _] = recorded();
    let [first, second, third] = records(&up);
    for (order, delivered) in [
        (vec![second, first, third], 0),
        (vec![first, first, second, third], 5),
        (vec![first, third], 5),
        (vec![first, second, second, third], 11),
        (vec![third], 0),
        (vec![second, third], 0),
    ] {
        let mut open = Caller::new(tunnel(Role::Open, OPEN));
        open.up.input.extend(&up[..HELLO]);
        for record in order {
            open.up.input.extend(record);
            open.run(Direction::Upstream);
        }
        assert_eq!(open.up.output, PLAIN[..delivered]);
        assert!(open.reset && !open.up.finished);
    }
}

#[test]
fn records_of_another_flow_or_of_the_other_direction_are_refused() {
    let [up, down] = recorded();
    let mut other = Way::new(tunnel(Role::Seal, [9; 32]), tunnel(Role::Open, OPEN));
    other.say(b"first", b"");
    for strange in [&other.wire[0][HELLO..], &down[HELLO..]] {
        let mut stream = up[..HELLO].to_vec();
        stream.extend(strange);
        assert_eq!(fed(OPEN, &stream), (Vec::new(), false, true));
    }
}

#[test]
fn an_end_does_not_speak_with_its_own_reflection() {
    let mut seal = Caller::new(tunnel(Role::Seal, SEAL));
    seal.up.input.extend(b"secret");
    seal.run(Direction::Upstream);
    seal.down.input = seal.up.output.clone();
    seal.run(Direction::Downstream);
    assert!(seal.reset);
    // Nor if the header is made to look right.
    let mut seal = Caller::new(tunnel(Role::Seal, SEAL));
    seal.run(Direction::Upstream);
    seal.down.input = seal.up.output.clone();
    seal.down.input[5] = 1;
    seal.run(Direction::Downstream);
    assert!(!seal.reset);
    seal.up.output.clear();
    seal.up.input.extend(b"secret");
    seal.run(Direction::Upstream);
    seal.down.input = seal.up.output.clone();
    seal.run(Direction::Downstream);
    assert!(seal.reset && seal.down.output.is_empty());
}

/// Whether the ends talk; if not, both have reset the flow and delivered nothing.
fn talk(mut way: Way) -> bool {
    way.say(b"hello", b"hello");
    let heard = way.heard();
    if heard == (b"hello", b"hello") {
        return true;
    }
    assert_eq!(heard, (&[][..], &[][..]));
    assert!(way.seal.reset && way.open.reset);
    false
}

#[test]
fn ends_that_do_not_match_do_not_talk() {
    let flow = FlowInfo::detached(7);
    let seal = || tunnel(Role::Seal, SEAL);
    let chacha = || end(Offer::Only(Cipher::ChaCha20Poly1305));
    assert!(talk(Way::new(seal(), tunnel(Role::Open, OPEN))));

    let mut other_key = chacha();
    other_key.keys = Keys::from([(7, master([0; 32])), (8, master(super::MASTER))]);
    let open = |end: &crate::End, flow: &FlowInfo| end.spawn(Role::Open, flow).unwrap();
    assert!(!talk(Way::new(seal(), open(&other_key, &flow))));
    let eight = FlowInfo::detached(8);
    assert!(!talk(Way::new(seal(), open(&other_key, &eight))));

    let aes = end(Offer::Only(Cipher::Aes256Gcm));
    assert!(!talk(Way::new(seal(), open(&aes, &flow))));

    let mut loose = chacha();
    loose.addresses = false;
    assert!(!talk(Way::new(seal(), open(&loose, &flow))));
}

#[test]
fn a_flow_led_to_another_server_is_refused_unless_addresses_do_not_matter() {
    for addresses in [true, false] {
        let mut function = end(Offer::by_cpu());
        function.addresses = addresses;
        let there = FlowInfo::detached(7);
        let mut elsewhere = [there; 4];
        elsewhere[0].client.set_port(1);
        elsewhere[1].server.set_port(1);
        elsewhere[2].client.set_ip(2.into());
        elsewhere[3].server.set_ip(2.into());
        for elsewhere in elsewhere {
            let seal = function.spawn(Role::Seal, &there).unwrap();
            let open = function.spawn(Role::Open, &elsewhere).unwrap();
            assert_eq!(talk(Way::new(seal, open)), !addresses);
        }
    }
}

#[test]
fn who_does_not_seal_is_noticed_by_the_first_byte() {
    for strange in [&b"HTTP/1.1 400 Bad Request"[..], b"2", b"S6S\0"] {
        let mut seal = Caller::new(tunnel(Role::Seal, SEAL));
        seal.down.input.extend(strange);
        seal.run(Direction::Downstream);
        assert!(seal.reset, "{strange:?}");
    }
}

#[test]
fn headers_of_a_kind_we_do_not_know_are_refused() {
    let [_, down] = recorded();
    // Version, ciphers, flags.
    for (place, values) in [(4, &[0, 2, 255][..]), (6, &[0, 2, 5, 255]), (7, &[0, 2, 3])] {
        for value in values {
            let mut hello = down[..HELLO].to_vec();
            hello[place] = *value;
            let mut seal = Caller::new(tunnel(Role::Seal, SEAL));
            seal.down.input = hello;
            seal.run(Direction::Downstream);
            assert!(seal.reset, "{place} {value}");
        }
    }
}

#[test]
fn records_longer_than_any_are_refused_before_they_are_there() {
    let [up, _] = recorded();
    for head in [[0x10, 0x01], [0x7f, 0xff], [0xff, 0xff], [0, 0]] {
        let mut open = Caller::new(tunnel(Role::Open, OPEN));
        open.up.input.extend(&up[..HELLO]);
        open.up.input.extend(head);
        open.run(Direction::Upstream);
        assert!(open.reset, "{head:?}");
    }
}

#[test]
fn who_says_nothing_in_time_is_given_up() {
    let mut end = end(Offer::by_cpu());
    let terms = Arc::get_mut(&mut end.terms).unwrap();
    *terms = Terms {
        patience: Duration::ZERO,
        log: terms.log,
        waker: terms.waker,
        unauthentic: srv6pipes_vnf::Setup::detached(&[]).counters().open("", ""),
        unanswered: srv6pipes_vnf::Setup::detached(&[]).counters().open("", ""),
    };
    let mut seal = end.spawn(Role::Seal, &FlowInfo::detached(7)).unwrap();
    let done = seal.process(Direction::Upstream, b"", &mut [0; 4096], false);
    assert_eq!(done.unwrap().verdict, Verdict::Reset);
}

#[test]
fn noise_is_never_delivered() {
    for skip in 0..64 {
        let [up, _] = recorded();
        let mut stream = up[..HELLO].to_vec();
        stream.extend(&noise(40_000)[skip * 500..]);
        let (delivered, finished, reset) = fed(OPEN, &stream);
        assert!(delivered.is_empty() && reset && !finished, "{skip}");
    }
}
