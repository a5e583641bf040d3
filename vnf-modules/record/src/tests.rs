//! Flows through the function, read back from its files; blocks, segments, files and options in
//! files of their own.

mod blocks;
mod files;

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Setup};

use self::blocks::{Packet, packets};
use self::files::TestFolder;
use crate::Record;
use crate::flow::RecordFlow;
use crate::segment::{ACK, FIN, PSH, RST, SYN};

const CLIENT: u16 = 50_000;

/// Runs `with` with the function under these options and a folder; what it has recorded.
fn recorded(options: &[(&str, &str)], with: impl FnOnce(&Record)) -> Vec<Packet> {
    let folder = TestFolder::new();
    // Room for all, however slow the disk.
    let given = [("folder", folder.path()), ("queue_bytes", "16777216")];
    let options = [&given, options].concat();
    let record: Record = Setup::detached(&options).make().unwrap();
    with(&record);
    drop(record);
    let files = folder.files();
    files.iter().flat_map(|file| packets(file)).collect()
}

/// Plays the host: all of `input`, with `room` for output in each call, then perhaps the end.
fn play(flow: &mut RecordFlow, direction: Direction, mut input: &[u8], room: usize, end: bool) {
    let mut output = vec![0; room];
    loop {
        let progress = flow.process(direction, input, &mut output, end).unwrap();
        let Progress {
            consumed, produced, ..
        } = progress;
        assert_eq!(consumed, produced);
        assert_eq!(output[..produced], input[..consumed]);
        input = &input[consumed..];
        let finished = end && input.is_empty();
        if finished {
            assert_eq!(progress, Progress::finished(consumed, produced));
        } else {
            assert_eq!(progress, Progress::more(consumed, produced));
        }
        if input.is_empty() {
            return;
        }
    }
}

/// The payloads from `port`, joined at their sequence numbers, which must leave no gap.
fn stream(packets: &[Packet], port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let from = |packet: &&Packet| packet.source.port() == port;
    let mut packets = packets.iter().filter(from);
    let syn = packets.next().unwrap();
    assert_ne!(syn.flags & SYN, 0);
    let mut next = syn.next();
    for packet in packets {
        assert_eq!(packet.sequence, next, "{packet:?}");
        bytes.extend_from_slice(&packet.payload);
        next = packet.next();
    }
    bytes
}

#[test]
fn a_flow_is_recorded_from_its_handshake_to_its_end() {
    let packets = recorded(&[], |record| {
        let mut flow = record.spawn(&FlowInfo::detached(0)).unwrap();
        play(&mut flow, Direction::Upstream, b"GET /", 100, true);
        play(&mut flow, Direction::Downstream, b"200 OK", 100, false);
        play(&mut flow, Direction::Downstream, b"", 100, true);
    });
    let seen: Vec<_> = packets
        .iter()
        .map(|packet| (packet.source.port(), packet.flags, &packet.payload[..]))
        .collect();
    let expected: [(u16, u8, &[u8]); 8] = [
        (CLIENT, SYN, b""),
        (80, SYN | ACK, b""),
        (CLIENT, ACK, b""),
        (CLIENT, PSH | ACK, b"GET /"),
        (CLIENT, FIN | ACK, b""),
        (80, PSH | ACK, b"200 OK"),
        (80, FIN | ACK, b""),
        (CLIENT, ACK, b""),
    ];
    assert_eq!(seen, expected);
    // Each acknowledges all that the other had sent by then.
    let mut next = [0; 2];
    for packet in &packets {
        let side = usize::from(packet.source.port() == 80);
        if packet.flags & ACK != 0 {
            assert_eq!(packet.acknowledgment, next[1 - side], "{packet:?}");
        }
        next[side] = packet.next();
    }
    assert!(packets.is_sorted_by_key(|packet| packet.time_us));
    let comments: Vec<_> = packets
        .iter()
        .map(|packet| packet.comment.as_str())
        .collect();
    assert_eq!(comments[0], "function 0x0000, argument 0x0, flow 1");
    assert_eq!(comments[1..], [""; 7]);
}

#[test]
fn bytes_are_recorded_as_they_pass_whatever_the_room() {
    let bytes: Vec<u8> = (0..200_001_u32)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
        .collect();
    for (room, length) in [
        (1, 3000),
        (7, 3000),
        (5000, bytes.len()),
        (70_000, bytes.len()),
    ] {
        let bytes = &bytes[..length];
        let packets = recorded(&[], |record| {
            let mut flow = record.spawn(&FlowInfo::detached(3)).unwrap();
            for piece in bytes.chunks(65_536) {
                play(&mut flow, Direction::Upstream, piece, room, false);
                play(
                    &mut flow,
                    Direction::Downstream,
                    &piece[..piece.len() / 2],
                    room,
                    false,
                );
            }
            play(&mut flow, Direction::Upstream, b"", room, true);
            play(&mut flow, Direction::Downstream, b"tail", room, true);
        });
        assert!(stream(&packets, CLIENT) == bytes, "room {room}");
        let mut down: Vec<u8> = Vec::new();
        for piece in bytes.chunks(65_536) {
            down.extend_from_slice(&piece[..piece.len() / 2]);
        }
        down.extend_from_slice(b"tail");
        assert!(stream(&packets, 80) == down, "room {room}");
    }
}

#[test]
fn after_snap_bytes_the_flow_passes() {
    let packets = recorded(&[("snap_bytes", "4")], |record| {
        let mut flow = record.spawn(&FlowInfo::detached(0)).unwrap();
        let mut output = [0; 9];
        let up = flow.process(Direction::Upstream, b"abc", &mut output, false);
        assert_eq!(up.unwrap(), Progress::more(3, 3));
        let up = flow.process(Direction::Upstream, b"defg", &mut output, false);
        assert_eq!(up.unwrap(), Progress::pass(1, 1));
        let down = flow.process(Direction::Downstream, b"xyz", &mut output, true);
        assert_eq!(down.unwrap(), Progress::finished(3, 3));
    });
    assert_eq!(stream(&packets, CLIENT), b"abcd");
    assert_eq!(stream(&packets, 80), b"xyz");
    let last = packets.last().unwrap();
    let end = (last.source.port(), last.flags, last.comment.as_str());
    assert_eq!(end, (CLIENT, FIN | ACK, "what followed was not recorded"));
}

#[test]
fn the_argument_chooses_the_directions() {
    for (argument, up, down) in [
        (0, true, true),
        (1, true, false),
        (2, false, true),
        (3, true, true),
    ] {
        let packets = recorded(&[], |record| {
            let mut flow = record.spawn(&FlowInfo::detached(argument)).unwrap();
            for (direction, records) in [(Direction::Upstream, up), (Direction::Downstream, down)] {
                let done = flow
                    .process(direction, b"hello", &mut [0; 9], false)
                    .unwrap();
                let expected = if records {
                    Progress::more(5, 5)
                } else {
                    Progress::pass(0, 0)
                };
                assert_eq!(done, expected, "{argument} {direction:?}");
            }
        });
        assert_eq!(stream(&packets, CLIENT) == b"hello", up);
        assert_eq!(stream(&packets, 80) == b"hello", down);
    }
    recorded(&[], |record| {
        let refused = record.spawn(&FlowInfo::detached(4)).unwrap_err();
        assert_eq!(refused.to_string(), "argument 0x4: only the bits of 0x3");
    });
}

#[test]
fn a_flow_that_breaks_off_is_reset_in_the_file_too() {
    let packets = recorded(&[], |record| {
        let mut flow = record.spawn(&FlowInfo::detached(0)).unwrap();
        play(&mut flow, Direction::Upstream, b"half", 9, false);
    });
    let last = packets.last().unwrap();
    assert_eq!((last.source.port(), last.flags), (CLIENT, RST | ACK));
    assert_eq!(last.comment, "the flow ended otherwise than in order");
    assert_eq!(stream(&packets, CLIENT), b"half");
}

#[test]
fn flows_of_the_same_ports_begin_at_other_numbers() {
    let packets = recorded(&[], |record| {
        for id in [1, 2, 1 << 32 | 3] {
            let info = FlowInfo {
                id,
                ..FlowInfo::detached(0)
            };
            drop(record.spawn(&info).unwrap());
        }
    });
    let syns = packets.iter().filter(|packet| packet.flags & SYN != 0);
    let mut numbers: Vec<_> = syns.map(|packet| packet.sequence).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 6);
}
