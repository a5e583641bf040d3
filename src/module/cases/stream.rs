//! Cases about the bytes of one flow: how they come in, and where they may go.

use std::time::{Duration, Instant};

use srv6pipes_vnf::abi::{MAX_WINDOW, MIN_ROOM};

use crate::module::broke::Broke;
use crate::module::cases::Remark;
use crate::module::desk::ROOM;
use crate::module::feed::{BOTH, word};
use crate::module::samples;
use crate::module::subject::{Act, Expected, Plan, Subject};
use crate::sys::guarded::Edge;
use crate::vnf::Direction;

/// Bytes of [`large`], each direction.
const LARGE: usize = 4 << 20;
/// What going once through it may take, or it is made shorter.
const SHARE: Duration = Duration::from_secs(3);

/// The other direction.
fn other(direction: Direction) -> Direction {
    match direction {
        Direction::Upstream => Direction::Downstream,
        Direction::Downstream => Direction::Upstream,
    }
}

fn small(subject: &Subject<'_>, direction: Direction) -> Vec<u8> {
    samples::small(subject.plan.sample.as_deref(), direction)
}

fn long(subject: &Subject<'_>, direction: Direction, length: usize) -> Vec<u8> {
    samples::long(subject.plan.sample.as_deref(), direction, length)
}

/// Plays and compares.
fn holds(
    subject: &mut Subject<'_>,
    expected: &Expected,
    acts: &[Act<'_>],
    room: usize,
) -> Result<(), Broke> {
    let played = subject.play(acts, room)?;
    subject.compare(expected, &played)
}

/// Both directions end before a byte has come.
pub fn empty(subject: &mut Subject<'_>) -> Remark {
    for first in BOTH {
        let acts = [Act::Last(first, b""), Act::Last(other(first), b"")];
        let expected = subject.reference(&acts)?;
        holds(subject, &expected, &acts, 1).map_err(|broke| {
            broke.when(|| format!("when {} ends first, with room for one byte", word(first)))
        })?;
    }
    Ok(None)
}

/// A small stream in two pieces, cut at every place; the end comes with the second or by itself.
pub fn splits(subject: &mut Subject<'_>, direction: Direction) -> Remark {
    let bytes = small(subject, direction);
    let expected = subject.reference(&[Act::Last(direction, &bytes)])?;
    for at in 0..=bytes.len() {
        let (front, back) = bytes.split_at(at);
        let with = [Act::Bytes(direction, front), Act::Last(direction, back)];
        let apart = [
            with[0],
            Act::Bytes(direction, back),
            Act::Last(direction, b""),
        ];
        for acts in [&with[..], &apart[..]] {
            holds(subject, &expected, acts, ROOM)
                .map_err(|broke| broke.when(|| format!("cut into {at} + {} bytes", back.len())))?;
        }
    }
    Ok(None)
}

/// A small stream, each byte by itself.
pub fn bytes(subject: &mut Subject<'_>) -> Remark {
    for direction in BOTH {
        let bytes = small(subject, direction);
        let expected = subject.reference(&[Act::Last(direction, &bytes)])?;
        let mut acts: Vec<_> = bytes
            .chunks(1)
            .map(|byte| Act::Bytes(direction, byte))
            .collect();
        for room in [ROOM, 1] {
            acts.push(Act::Last(direction, b""));
            holds(subject, &expected, &acts, room)
                .map_err(|broke| broke.when(|| format!("byte by byte {}", word(direction))))?;
            acts.pop();
        }
    }
    Ok(None)
}

/// A small stream with so much room in each call, but for those after one that did nothing.
pub fn room(subject: &mut Subject<'_>, room: usize) -> Remark {
    for direction in BOTH {
        let bytes = small(subject, direction);
        let expected = subject.reference(&[Act::Last(direction, &bytes)])?;
        let (front, back) = bytes.split_at(bytes.len() / 2);
        for acts in [
            &[Act::Last(direction, &bytes)][..],
            &[Act::Bytes(direction, front), Act::Last(direction, back)][..],
        ] {
            holds(subject, &expected, acts, room).map_err(|broke| {
                broke.when(|| format!("with room for {room} {}", word(direction)))
            })?;
        }
    }
    Ok(None)
}

/// Some amounts of room that a function may not have thought of.
pub fn little_room(subject: &mut Subject<'_>) -> Remark {
    for amount in [2, 3, 7, 100, MIN_ROOM - 1, MIN_ROOM] {
        room(subject, amount)?;
    }
    Ok(None)
}

/// As much input as a call is ever offered, and less room.
pub fn window(subject: &mut Subject<'_>) -> Remark {
    for direction in BOTH {
        let bytes = long(subject, direction, MAX_WINDOW + 1);
        let expected = subject.reference(&[Act::Last(direction, &bytes)])?;
        for room in [100, MIN_ROOM, ROOM] {
            for at in [MAX_WINDOW - 1, MAX_WINDOW] {
                let (front, back) = bytes.split_at(at);
                let acts = [Act::Bytes(direction, front), Act::Last(direction, back)];
                holds(subject, &expected, &acts, room).map_err(|broke| {
                    broke.when(|| {
                        let word = word(direction);
                        format!("with {at} bytes {word} and room for {room}")
                    })
                })?;
            }
        }
    }
    Ok(None)
}

/// One direction ends first, and the other still carries everything.
pub fn half_close(subject: &mut Subject<'_>, first: Direction) -> Remark {
    let last = other(first);
    let (early, late) = (small(subject, first), small(subject, last));
    let expected = subject.reference(&[
        Act::Bytes(first, &early),
        Act::Bytes(last, &late),
        Act::Last(first, b""),
        Act::Last(last, b""),
    ])?;
    let (front, back) = late.split_at(late.len() / 2);
    let acts = [
        Act::Last(first, &early),
        Act::Bytes(last, front),
        Act::Last(last, back),
    ];
    holds(subject, &expected, &acts, ROOM).map_err(|broke| {
        let (first, last) = (word(first), word(last));
        broke.when(|| format!("when {first} has ended before {last} begins"))
    })?;
    Ok(None)
}

/// A few bytes one way, a few the other.
pub fn turns(subject: &mut Subject<'_>) -> Remark {
    let streams = BOTH.map(|direction| small(subject, direction));
    let [up, down] = &streams;
    let alone = [
        subject.reference(&[Act::Last(BOTH[0], up)])?,
        subject.reference(&[Act::Last(BOTH[1], down)])?,
    ];
    let mut pieces = [up.chunks(7), down.chunks(7)];
    let mut acts = Vec::new();
    loop {
        let before = acts.len();
        for (direction, pieces) in BOTH.into_iter().zip(&mut pieces) {
            acts.extend(pieces.next().map(|piece| Act::Bytes(direction, piece)));
        }
        if acts.len() == before {
            break;
        }
    }
    acts.extend(BOTH.map(|direction| Act::Last(direction, b"")));
    let together = subject.reference(&acts)?;
    let Expected::Bytes(out) = together else {
        return Ok(None);
    };
    for (n, (alone, direction)) in alone.iter().zip(BOTH).enumerate() {
        if let Expected::Bytes(alone) = alone
            && alone[n] != out[n]
        {
            let word = word(direction);
            return Ok(Some(format!(
                "{word} other bytes come out when the other direction carries some, too: right if the function means that"
            )));
        }
    }
    Ok(None)
}

/// Some megabytes, one direction and the other; fewer if the function is slow.
pub fn large(subject: &mut Subject<'_>) -> Remark {
    for direction in BOTH {
        let bytes = long(subject, direction, LARGE);
        let began = Instant::now();
        subject.play(&[Act::Last(direction, &bytes[..LARGE / 64])], ROOM)?;
        let parts = SHARE.as_micros() / began.elapsed().as_micros().max(1);
        let parts = usize::try_from(parts).unwrap_or(64).clamp(1, 64);
        let bytes = &bytes[..LARGE / 64 * parts];
        let acts = |length| {
            let pieces = bytes.chunks(length);
            let mut acts: Vec<_> = pieces.map(|piece| Act::Bytes(direction, piece)).collect();
            acts.push(Act::Last(direction, b""));
            acts
        };
        let expected = subject.reference(&acts(MAX_WINDOW))?;
        for (length, room) in [(10_007, ROOM), (MAX_WINDOW - 1, MIN_ROOM)] {
            holds(subject, &expected, &acts(length), room).map_err(|broke| {
                broke.when(|| format!("{length} bytes at a time with room for {room}"))
            })?;
        }
    }
    Ok(None)
}

/// As others, but what lies before the buffers is watched instead of what lies behind them.
pub fn before(plan: &Plan) -> Remark {
    let mut subject = Subject::new(plan, Edge::Front)?;
    let done = empty(&mut subject)
        .and_then(|_| bytes(&mut subject))
        .and_then(|_| room(&mut subject, 1))
        .and_then(|_| window(&mut subject));
    subject.done();
    done
}

/// Bytes that nobody means, to the function alone; and what the inverse makes, damaged.
pub fn hostile(subject: &mut Subject<'_>) -> Remark {
    let mut streams: Vec<Vec<u8>> = (0..32).map(|seed| samples::noise(5000, seed)).collect();
    streams.extend([0x00, 0x7f, 0x80, 0xff].map(|byte| vec![byte; MAX_WINDOW + 1]));
    for direction in BOTH {
        for bytes in &streams {
            alone(subject, direction, bytes)?;
        }
        let made = match subject.inverse_of(direction)? {
            Some(made) if made.len() <= 4096 => made,
            _ => continue,
        };
        for at in 0..made.len() {
            alone(subject, direction, &made[..at])
                .map_err(|broke| broke.when(|| format!("cut short after {at} bytes")))?;
            let mut damaged = made.clone();
            damaged[at] ^= 1 << (at % 8);
            alone(subject, direction, &damaged)
                .map_err(|broke| broke.when(|| format!("with a bit changed at {at}")))?;
        }
    }
    Ok(None)
}

fn alone(subject: &mut Subject<'_>, direction: Direction, bytes: &[u8]) -> Result<(), Broke> {
    let feed = subject.alone(subject.plan.function.argument, ROOM)?;
    let (front, back) = bytes.split_at(bytes.len() / 2);
    let acts = [Act::Bytes(direction, front), Act::Last(direction, back)];
    subject.play_on(feed, &acts)?;
    Ok(())
}
