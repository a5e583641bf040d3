//! What goes in comes out, however it is cut.

use srv6pipes_vnf::Direction;

use super::{ALGORITHMS, Carried, Noise, ends, text, through};
use crate::format::HEADER;

#[test]
fn every_split_and_every_room_gives_the_same_bytes_at_once() {
    let bytes = text(1, 300);
    for options in ALGORITHMS {
        for piece in 1..=bytes.len() {
            assert_eq!(through(options, &bytes, piece, 70_000).1, bytes);
        }
        for room in [1, 7, 2047, 2048, 4096] {
            assert_eq!(through(options, &bytes, 40, room).1, bytes);
        }
    }
}

#[test]
fn the_packed_stream_may_be_cut_anywhere() {
    let bytes = text(2, 2000);
    for options in ALGORITHMS {
        let packed = through(options, &bytes, 700, 70_000).0;
        for cut in 0..=packed.len() {
            let [_, mut far] = ends(options);
            let mut unpacking = Carried::new(&mut far, Direction::Upstream, 70_000);
            unpacking.feed(&packed[..cut], false).unwrap();
            assert!(bytes.starts_with(&unpacking.out));
            unpacking.feed(&packed[cut..], true).unwrap();
            assert_eq!(unpacking.out, bytes);
        }
        let [_, mut far] = ends(options);
        let mut unpacking = Carried::new(&mut far, Direction::Upstream, 1);
        for byte in &packed {
            unpacking.feed(&[*byte], false).unwrap();
        }
        unpacking.feed(&[], true).unwrap();
        assert_eq!(unpacking.out, bytes);
    }
}

#[test]
fn large_streams_of_every_kind_come_back() {
    let mut noise = Noise(3);
    let mixed: Vec<u8> = (0..60)
        .flat_map(|i| match i % 3 {
            0 => text(i, 20_000),
            1 => noise.bytes(9_000),
            _ => vec![7; 30_000],
        })
        .collect();
    let periodic: Vec<u8> = (0..800_000_u32)
        .map(|i| (i % 251).to_be_bytes()[3])
        .collect();
    for options in ALGORITHMS {
        for bytes in [&mixed, &periodic, &text(4, 900_000), &noise.bytes(400_000)] {
            for (piece, room) in [(65_536, 69_632), (10_007, 5000), (1448, 3000)] {
                let (_, back) = through(options, bytes, piece, room);
                assert!(back == *bytes, "{options:?}, pieces of {piece}");
            }
        }
    }
}

#[test]
fn what_lies_a_window_back_and_a_little_more_comes_back() {
    let mut noise = Noise(5);
    for options in ALGORITHMS {
        for distance in [
            16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 65_535, 65_537,
        ] {
            // The same again and again at just that distance, and nothing else that matches.
            let once = noise.bytes(distance);
            let bytes: Vec<u8> = once.iter().copied().cycle().take(300_000).collect();
            let (_, back) = through(options, &bytes, 65_536, 69_632);
            assert!(back == bytes, "{options:?}, distance {distance}");
        }
    }
}

#[test]
fn both_directions_interleave_and_end_by_themselves() {
    let (up, down) = (text(6, 50_000), text(7, 80_000));
    for options in ALGORITHMS {
        // Two flows that each see one direction must not differ from one that sees both.
        let [mut near, mut far] = ends(options);
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let mut downs = down.chunks(900);
        for piece in up.chunks(700) {
            let mut enter = Carried::new(&mut near, Direction::Upstream, 70_000);
            enter.feed(piece, false).unwrap();
            let mut leave = Carried::new(&mut far, Direction::Upstream, 70_000);
            leave.feed(&enter.out, false).unwrap();
            to_server.extend(leave.out);
            if let Some(piece) = downs.next() {
                let mut enter = Carried::new(&mut far, Direction::Downstream, 70_000);
                enter.feed(piece, false).unwrap();
                let mut leave = Carried::new(&mut near, Direction::Downstream, 70_000);
                leave.feed(&enter.out, false).unwrap();
                to_client.extend(leave.out);
            }
        }
        let mut enter = Carried::new(&mut near, Direction::Upstream, 70_000);
        enter.feed(&[], true).unwrap();
        let mut leave = Carried::new(&mut far, Direction::Upstream, 70_000);
        leave.feed(&enter.out, true).unwrap();
        assert!(leave.finished && to_server == up);
        // Upstream is over; downstream goes on.
        for piece in downs {
            let mut enter = Carried::new(&mut far, Direction::Downstream, 70_000);
            enter.feed(piece, false).unwrap();
            let mut leave = Carried::new(&mut near, Direction::Downstream, 70_000);
            leave.feed(&enter.out, false).unwrap();
            to_client.extend(leave.out);
        }
        let mut enter = Carried::new(&mut far, Direction::Downstream, 70_000);
        enter.feed(&[], true).unwrap();
        let mut leave = Carried::new(&mut near, Direction::Downstream, 70_000);
        leave.feed(&enter.out, true).unwrap();
        assert!(leave.finished && to_client == down);
    }
}

#[test]
fn a_direction_without_bytes_is_a_header_and_an_end() {
    for options in ALGORITHMS {
        let (packed, back) = through(options, &[], 1, 70_000);
        assert_eq!(packed.len(), HEADER + 6);
        assert!(back.is_empty());
        let [mut near, _] = ends(options);
        let mut idle = Carried::new(&mut near, Direction::Upstream, 70_000);
        idle.feed(&[], false).unwrap();
        assert!(idle.out.is_empty());
    }
}

#[test]
fn the_end_may_come_with_the_last_bytes_and_with_little_room() {
    let bytes = Noise(8).bytes(60_000);
    for options in ALGORITHMS {
        let [mut near, mut far] = ends(options);
        let mut packing = Carried::new(&mut near, Direction::Upstream, 4096);
        packing.feed(&bytes, true).unwrap();
        let mut unpacking = Carried::new(&mut far, Direction::Upstream, 1);
        unpacking.feed(&packing.out, true).unwrap();
        assert!(packing.finished && unpacking.finished);
        assert!(unpacking.out == bytes);
    }
}

#[test]
fn noise_grows_by_a_little_and_text_shrinks() {
    let noise = Noise(9).bytes(1_000_000);
    let text = text(10, 1_000_000);
    for options in ALGORITHMS {
        let of_noise = through(options, &noise, 65_536, 69_632).0.len();
        assert!(of_noise <= noise.len() + noise.len() / 1000, "{of_noise}");
        let of_text = through(options, &text, 65_536, 69_632).0.len();
        assert!(of_text < text.len() * 45 / 100, "{options:?}: {of_text}");
    }
}

#[test]
fn small_messages_lean_on_those_before_them() {
    let message = |i: u32| {
        format!("{{\"id\":{i},\"method\":\"temperature\",\"params\":[\"kitchen\"]}}\n").into_bytes()
    };
    for options in ALGORITHMS {
        let [mut near, _] = ends(options);
        let mut packing = Carried::new(&mut near, Direction::Upstream, 70_000);
        packing.feed(&message(1), false).unwrap();
        let first = packing.out.len();
        let mut clear = 0;
        for i in 2..100 {
            packing.feed(&message(i), false).unwrap();
            clear += message(i).len();
        }
        let packed = packing.out.len() - first;
        assert!(packed * 2 < clear, "{options:?}: {packed} of {clear}");
    }
}
