//! Heads of records, and what the codecs hold for a flow.

use srv6pipes_vnf::Direction;

use super::{Carried, Noise, ends, text};
use crate::codec::Algorithm;
use crate::format::{Kind, MAX_CLEAR, MAX_PACKED, Mistake, Record, Terms};

#[test]
fn a_head_reads_as_it_was_written() {
    let checksum = 0x0123_4567;
    for (kind, clear, bytes) in [
        (Kind::End, 0, &[0x00, 0x00, 0x01, 0x23, 0x45, 0x67][..]),
        (Kind::Stored, 1, &[0x40, 0x00, 0x01, 0x23, 0x45, 0x67]),
        (
            Kind::Packed(0x0102),
            MAX_CLEAR,
            &[0xbf, 0xff, 0x01, 0x02, 0x01, 0x23, 0x45, 0x67],
        ),
    ] {
        let record = Record {
            kind,
            clear,
            checksum,
        };
        let mut out = [0xff; 8];
        let n = record.write(&mut out);
        assert_eq!(&out[..n], bytes);
        assert_eq!(Record::read(bytes), Ok(Some((record, n))));
        for cut in 0..n {
            assert_eq!(Record::read(&bytes[..cut]), Ok(None));
        }
    }
}

#[test]
fn a_head_that_nobody_writes_is_refused() {
    let too_long = (MAX_PACKED + 1).to_be_bytes();
    let [.., high, low] = too_long;
    for wrong in [
        &[0x00, 0x01, 0, 0, 0, 0][..],
        &[0xc0, 0x00, 0, 0, 0, 0],
        &[0x80, 0x00, 0, 0, 0, 0, 0, 0],
        &[0x80, 0x00, high, low, 0, 0, 0, 0],
    ] {
        assert_eq!(Record::read(wrong), Err(Mistake::Record), "{wrong:?}");
    }
}

#[test]
fn the_stream_header_is_what_the_picture_says() {
    let terms = Terms {
        algorithm: Algorithm::Lz4,
        window_log: 15,
    };
    let header = [0x96, b's', b'6', b'z', 1, 1, 15, 0];
    assert_eq!(terms.header(), header);
    assert_eq!(Terms::read(&header), Ok(Some(terms)));
    for cut in 0..header.len() {
        assert_eq!(Terms::read(&header[..cut]), Ok(None));
    }
}

#[test]
fn single_bytes_are_stored_and_take_no_codec() {
    let [mut near, mut far] = ends(&[]);
    let mut packing = Carried::new(&mut near, Direction::Upstream, 70_000);
    for byte in text(1, 500) {
        packing.feed(&[byte], false).unwrap();
    }
    let packed = packing.out;
    assert_eq!(packed.len(), 8 + 500 * 7);
    assert!(!near.packer.allocates());
    let mut unpacking = Carried::new(&mut far, Direction::Upstream, 70_000);
    unpacking.feed(&packed, false).unwrap();
    assert_eq!(unpacking.out, text(1, 500));
    assert!(!far.unpacker.allocates());
}

#[test]
fn a_direction_that_has_ended_holds_nothing() {
    for options in super::ALGORITHMS {
        let [mut near, mut far] = ends(options);
        let mut packing = Carried::new(&mut near, Direction::Upstream, 70_000);
        packing.feed(&text(2, 5000), false).unwrap();
        let packed = std::mem::take(&mut packing.out);
        packing.feed(&[], true).unwrap();
        let last = packing.out;
        assert!(!near.packer.allocates());
        let mut unpacking = Carried::new(&mut far, Direction::Upstream, 70_000);
        unpacking.feed(&packed, false).unwrap();
        unpacking.feed(&last, true).unwrap();
        assert!(!far.unpacker.allocates());
    }
}

#[test]
fn lz4_takes_what_its_flow_needs_and_two_windows_at_most() {
    use crate::lz4::Encoder;
    let mut encoder = Encoder::new(1 << 15);
    let mut out = vec![0; 1 << 15];
    encoder.encode(&text(3, 1000), &mut out).unwrap();
    assert_eq!(encoder.memory(), 16_384 + 4096);
    for seed in 4..40 {
        encoder.encode(&text(seed, MAX_CLEAR), &mut out).unwrap();
    }
    assert_eq!(encoder.memory(), 16_384 + 65_536);
    assert_eq!(encoder.encode(&Noise(5).bytes(MAX_CLEAR), &mut out), None);
}
