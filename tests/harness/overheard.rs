//! The bytes that a wire has carried, put together from the segments a tap heard.

use std::collections::BTreeMap;
use std::net::SocketAddrV6;

use srv6pipes::demo::frame::{Frame, flag};
use srv6pipes::demo::sniff::Tap;

use super::wait_for;

/// What `from` sent on this wire from its SYN to its FIN, in order; waits for both, and for every
/// byte between them. Asserts that every checksum was right.
pub fn stream(tap: &Tap, from: SocketAddrV6) -> Vec<u8> {
    wait_for(&format!("the whole stream of {from} on the wire"), || {
        tap.frames(|frames| {
            assert!(
                frames.iter().all(|frame| frame.checksum_ok),
                "a wrong checksum on the wire"
            );
            put_together(frames.iter().filter(|frame| frame.source == from))
        })
    })
}

/// `None`: something is missing.
fn put_together<'a>(frames: impl Iterator<Item = &'a Frame>) -> Option<Vec<u8>> {
    let mut first = None;
    let mut pieces: BTreeMap<u32, &[u8]> = BTreeMap::new();
    let mut finished = None;
    for frame in frames {
        if frame.has(flag::SYN) {
            first = Some(frame.sequence.wrapping_add(1));
        }
        // The SYN comes before all others, and streams here are shorter than 2^32.
        let Some(first) = first else { continue };
        let place = frame.sequence.wrapping_sub(first);
        if !frame.payload.is_empty() {
            let piece = pieces.entry(place).or_default();
            if piece.len() < frame.payload.len() {
                *piece = &frame.payload;
            }
        }
        if frame.has(flag::FIN) {
            finished = Some(usize::try_from(place).unwrap() + frame.payload.len());
        }
    }
    let length = finished?;
    let mut bytes = Vec::with_capacity(length);
    for (place, piece) in pieces {
        // A segment sent again may begin before what is there.
        let known = bytes.len().checked_sub(usize::try_from(place).unwrap())?;
        bytes.extend_from_slice(piece.get(known..).unwrap_or(&[]));
    }
    (bytes.len() == length).then_some(bytes)
}
