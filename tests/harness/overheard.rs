//! What a wire has carried, put together from the segments a tap heard.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};

use srv6pipes::demo::frame::{Frame, flag};
use srv6pipes::demo::sniff::Tap;

use super::wait_for;

/// What `from` sent on this wire from its SYN to its FIN, in order; waits for both, and for every
/// byte between them. Asserts that every checksum was right.
pub fn stream(tap: &Tap, from: SocketAddrV6) -> Vec<u8> {
    stream_of(tap, &format!("from {from}"), |frame| frame.source == from)
}

/// The same of the segments that `which` picks; they must be of one direction of one connection.
pub fn stream_of(tap: &Tap, what: &str, which: impl Fn(&Frame) -> bool) -> Vec<u8> {
    wait_for(&format!("the whole stream {what} on the wire"), || {
        tap.frames(|frames| {
            assert!(
                frames.iter().all(|frame| frame.checksum_ok),
                "a wrong checksum on the wire"
            );
            put_together(frames.iter().filter(|frame| which(frame)))
        })
    })
}

/// The SYNs without ACK of a wire, each once: who sent it, and its SRH's segments.
pub fn syns(tap: &Tap) -> Vec<(SocketAddrV6, Vec<Ipv6Addr>)> {
    tap.frames(|frames| {
        let mut seen = Vec::new();
        for frame in frames {
            let segments = frame.routing.as_ref().map(|srh| srh.segments.clone());
            let syn = (frame.source, segments.unwrap_or_default());
            if frame.has(flag::SYN) && !frame.has(flag::ACK) && !seen.contains(&syn) {
                seen.push(syn);
            }
        }
        seen
    })
}

/// The longest segment of a wire, and the longest packet it makes with its headers: bytes without
/// link header. TCP options count as the twelve of a timestamp.
pub fn longest(tap: &Tap) -> (usize, usize) {
    const IPV6_TCP_TIMESTAMP: usize = 40 + 20 + 12;
    tap.frames(|frames| {
        let srh = |frame: &Frame| {
            let srh = frame.routing.as_ref();
            srh.map_or(0, |srh| 8 + 16 * srh.segments.len())
        };
        let payload = frames.iter().map(|frame| frame.payload.len()).max();
        let packet = frames
            .iter()
            .map(|frame| IPV6_TCP_TIMESTAMP + srh(frame) + frame.payload.len())
            .max();
        (payload.unwrap_or(0), packet.unwrap_or(0))
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
