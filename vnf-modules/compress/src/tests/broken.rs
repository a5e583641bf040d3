//! What is not right ends the flow, and none of it goes on.

use srv6pipes_vnf::Direction;

use super::{ALGORITHMS, Carried, Given, Noise, ends, text, through};
use crate::codec::Algorithm;
use crate::format::{Kind, MAX_CLEAR, Record, Terms, chained};

/// What the far end makes of a packed stream: what it delivers, and why it ends the flow, if it
/// does.
fn unpacked(options: Given<'_>, stream: &[u8], end: bool) -> (Vec<u8>, Option<String>) {
    let [_, mut far] = ends(options);
    let mut unpacking = Carried::new(&mut far, Direction::Upstream, 69_632);
    let failed = unpacking.feed(stream, end).err();
    (unpacking.out, failed.map(|reason| reason.to_string()))
}

#[test]
fn a_stream_that_is_cut_off_is_told_from_one_that_ends() {
    let bytes = text(1, 3000);
    for options in ALGORITHMS {
        let packed = through(options, &bytes, 1000, 70_000).0;
        for cut in 0..packed.len() {
            let (out, failed) = unpacked(options, &packed[..cut], true);
            assert!(bytes.starts_with(&out));
            assert_eq!(failed.unwrap(), "the compressed stream was cut off");
        }
        assert_eq!(unpacked(options, &packed, true), (bytes.clone(), None));
    }
}

#[test]
fn no_bit_may_change() {
    let bytes = text(2, 1500);
    for options in ALGORITHMS {
        let packed = through(options, &bytes, 600, 70_000).0;
        for place in 0..packed.len() * 8 {
            let mut garbled = packed.clone();
            garbled[place / 8] ^= 1 << (place % 8);
            let (out, failed) = unpacked(options, &garbled, true);
            assert!(bytes.starts_with(&out), "bit {place}");
            // Two blocks may stand for the same bytes; then either is right.
            assert!(
                failed.is_some() || out == bytes,
                "bit {place} is overlooked"
            );
        }
    }
}

#[test]
fn no_record_may_be_left_out_said_twice_or_moved() {
    let options = ALGORITHMS[0];
    // Stored records: each would be valid by itself.
    let bytes = b"ten bytes.and others.even more..";
    let packed = through(options, bytes, 10, 70_000).0;
    let (header, records) = packed.split_at(8);
    let (first, rest) = records.split_at(16);
    let (second, rest) = rest.split_at(16);
    for wrong in [
        [header, second, rest].concat(),
        [header, first, first, second, rest].concat(),
        [header, second, first, rest].concat(),
    ] {
        let (out, failed) = unpacked(options, &wrong, true);
        assert!(bytes.starts_with(&out));
        assert!(failed.unwrap().ends_with("a checksum differs"));
    }
}

#[test]
fn who_is_no_peer_is_found_by_the_first_byte() {
    for options in ALGORITHMS {
        for stranger in [
            &b"G"[..],
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01\x02\x00",
            &[0x96, b's', b'x'],
            &[0; 100],
        ] {
            let (out, failed) = unpacked(options, stranger, false);
            assert!(out.is_empty());
            let failed = failed.unwrap();
            assert!(
                failed.contains("must pass `compress` at one proxy"),
                "{failed}"
            );
        }
    }
}

#[test]
fn a_peer_that_is_set_otherwise_is_told_from_a_stranger() {
    let other = Terms {
        algorithm: Algorithm::Zstd,
        window_log: 15,
    };
    let (out, failed) = unpacked(&[], &other.header(), false);
    assert_eq!(
        (out.len(), failed.unwrap().as_str()),
        (
            0,
            "the other end compresses by zstd with a window of 32 KiB, this one is set to lz4 \
             with a window of 32 KiB; give both sections the same algorithm and window_kb"
        )
    );
    let wide = Terms {
        algorithm: Algorithm::Lz4,
        window_log: 16,
    };
    let (_, failed) = unpacked(&[], &wide.header(), false);
    assert!(failed.unwrap().contains("a window of 64 KiB, this one"));
    // A smaller window asks for less than was allowed.
    assert_eq!(
        unpacked(&[("window_kb", "64")], &wide.header(), false).1,
        None
    );
    assert_eq!(
        unpacked(
            &[("window_kb", "64")],
            &Terms {
                window_log: 14,
                ..wide
            }
            .header(),
            false
        )
        .1,
        None
    );
    for (place, value) in [(4, 2), (5, 9), (6, 13), (6, 17), (7, 1)] {
        let mut header = wide.header();
        header[place] = value;
        let (_, failed) = unpacked(&[("window_kb", "64")], &header, false);
        assert!(failed.unwrap().contains("put the same version"));
    }
}

#[test]
fn nothing_follows_the_end() {
    for options in ALGORITHMS {
        let packed = through(options, b"over", 4, 70_000).0;
        let (out, failed) = unpacked(options, &[&packed[..], b"?"].concat(), false);
        assert_eq!(
            (&out[..], failed.unwrap().as_str()),
            (&b""[..], "bytes follow the end of the compressed stream")
        );
    }
}

/// A stream header and one packed record, rightly summed up.
fn forged(terms: Terms, packed: &[u8], clear: &[u8]) -> Vec<u8> {
    let header = terms.header();
    let mut stream = [&header[..], &[0; 8], packed].concat();
    let record = Record {
        kind: Kind::Packed(packed.len()),
        clear: clear.len(),
        checksum: chained(chained(0, &header), clear),
    };
    assert_eq!(record.write(&mut stream[8..]), 8);
    stream
}

#[test]
fn a_record_unpacks_to_what_its_head_says_and_to_no_more() {
    let terms = Terms {
        algorithm: Algorithm::Lz4,
        window_log: 15,
    };
    // One literal, a match of 4 + 15 + 5 × 255 + 200 bytes, one literal: 1496 bytes.
    let bomb = [&[0x1f, b'a', 1, 0][..], &[255; 5], &[200, 0x10, b'a']].concat();
    let (out, failed) = unpacked(&[], &forged(terms, &bomb, &[b'a'; 1496]), false);
    assert_eq!((out.len(), failed), (1496, None));
    for length in [1, 1495, 1497, MAX_CLEAR] {
        let (out, failed) = unpacked(&[], &forged(terms, &bomb, &vec![b'a'; length]), false);
        assert!(out.is_empty());
        assert!(
            failed.unwrap().ends_with("a record is not valid"),
            "{length}"
        );
    }
    // It must not refer to what was never said.
    let before = [0x10, b'a', 9, 0, 0x50, b'a', b'a', b'a', b'a', b'a'];
    let (_, failed) = unpacked(&[], &forged(terms, &before, &[b'a'; 10]), false);
    assert!(failed.unwrap().ends_with("a record is not valid"));
}

#[test]
fn rubbish_behind_a_good_header_neither_panics_nor_passes() {
    let mut noise = Noise(11);
    for options in ALGORITHMS {
        let header = through(options, &[], 1, 70_000).0[..8].to_vec();
        let good = through(options, &text(12, 4000), 900, 70_000).0;
        for _ in 0..3000 {
            let mut stream = header.clone();
            stream.extend(noise.bytes(200));
            let (out, _) = unpacked(options, &stream, true);
            assert!(out.is_empty());
            // A record whose head is right, and its inside not.
            let mut garbled = good.clone();
            for _ in 0..4 {
                let place = 16 + noise.below(garbled.len() - 16);
                garbled[place] = noise.next().to_be_bytes()[0];
            }
            let (out, _) = unpacked(options, &garbled, true);
            assert!(text(12, 4000).starts_with(&out));
        }
    }
}
