//! The TLVs behind an SRH's segment list: read, and padded anew.
//!
//! Used by [`super::srh`] for reading and by [`super::rthdr`] for what goes to the next segment.
//! Read first: RFC 8754 section 2.1.

use crate::wire::{Error, u16_at};

/// Types from IANA's "Segment Routing Header TLVs".
mod kind {
    pub const PAD1: u8 = 0;
    pub const PADN: u8 = 4;
    pub const HMAC: u8 = 5;
}

/// One TLV, borrowed from the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tlv<'a> {
    /// One octet of padding, the only TLV without a length.
    Pad1,
    /// Two or more octets of padding; the value is what follows type and length.
    PadN(&'a [u8]),
    /// Keyed hash over source address, segment list and flags (RFC 8754 section 2.1.2).
    Hmac {
        /// The D bit: the destination address was not checked against the list.
        destination_unverified: bool,
        /// Which key.
        key_id: u32,
        /// The hash itself.
        hash: &'a [u8],
    },
    /// Anything else.
    Opaque {
        /// Its type.
        kind: u8,
        /// What follows type and length.
        value: &'a [u8],
    },
}

/// Iterator over a TLV area; stops after the first error.
#[derive(Debug, Clone)]
pub struct Tlvs<'a> {
    area: &'a [u8],
    offset: usize,
}

impl<'a> Tlvs<'a> {
    /// `area` is everything between the segment list and the end of the header.
    pub fn new(area: &'a [u8]) -> Self {
        Self { area, offset: 0 }
    }

    /// Where the next TLV starts in the area.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    fn read(&self, kind: u8) -> Option<(Tlv<'a>, usize)> {
        if kind == kind::PAD1 {
            return Some((Tlv::Pad1, self.offset + 1));
        }
        let start = self.offset + 2;
        let end = start + usize::from(*self.area.get(start - 1)?);
        let value = self.area.get(start..end)?;
        let tlv = match kind {
            kind::PADN => Tlv::PadN(value),
            kind::HMAC => {
                let (head, hash) = value.split_at_checked(6)?;
                Tlv::Hmac {
                    destination_unverified: head[0] & 0x80 != 0,
                    key_id: u32::from(u16_at(head, 2)) << 16 | u32::from(u16_at(head, 4)),
                    hash,
                }
            }
            kind => Tlv::Opaque { kind, value },
        };
        Some((tlv, end))
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<Tlv<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let kind = *self.area.get(self.offset)?;
        let offset = self.offset;
        match self.read(kind) {
            Some((tlv, next)) => {
                self.offset = next;
                Some(Ok(tlv))
            }
            None => {
                self.offset = self.area.len();
                Some(Err(Error::TruncatedTlv { offset }))
            }
        }
    }
}

/// Copies the TLVs of `area` that mean something to a later segment: not padding, and not the
/// HMAC, which covers a segment list that is no longer there. The result is padded to 8 octets.
///
/// Each TLV keeps its offset modulo 8, since its type may ask for one (RFC 8754 section 2.1).
pub(super) fn carried_on(area: &[u8]) -> Result<Vec<u8>, Error> {
    let mut carried = Vec::new();
    let mut tlvs = Tlvs::new(area);
    loop {
        let start = tlvs.offset();
        match tlvs.next().transpose()? {
            None => break,
            Some(Tlv::Opaque { .. }) => {
                pad(&mut carried, start);
                carried.extend_from_slice(&area[start..tlvs.offset()]);
            }
            Some(Tlv::Pad1 | Tlv::PadN(_) | Tlv::Hmac { .. }) => {}
        }
    }
    pad(&mut carried, 0);
    Ok(carried)
}

/// Pads `area` until its length is that of `offset` modulo 8.
///
/// Never with Pad1: Linux reads a length octet behind every type (`seg6_validate_srh` in
/// net/ipv6/seg6.c) and would refuse the header. A single octet becomes nine, as PadN of seven
/// and of two, because PadN carries five octets at most (RFC 8754 section 2.1.1.2).
fn pad(area: &mut Vec<u8>, offset: usize) {
    match (offset % 8 + 8 - area.len() % 8) % 8 {
        0 => {}
        1 => area.extend_from_slice(&[kind::PADN, 5, 0, 0, 0, 0, 0, kind::PADN, 0]),
        gap => {
            let padn = [kind::PADN, 0, 0, 0, 0, 0, 0];
            let start = area.len();
            area.extend_from_slice(&padn[..gap]);
            area[start + 1] = u8::try_from(gap - 2).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_reads_as_its_tlvs() {
        let area = [
            0, 0x7c, 2, 8, 9, 4, 1, 0, 5, 10, 0x80, 0, 0, 1, 0, 2, 1, 2, 3, 4, 0x7d, 0,
        ];
        let tlvs: Result<Vec<_>, _> = Tlvs::new(&area).collect();
        let expected = vec![
            Tlv::Pad1,
            Tlv::Opaque {
                kind: 0x7c,
                value: &[8, 9],
            },
            Tlv::PadN(&[0]),
            Tlv::Hmac {
                destination_unverified: true,
                key_id: 0x1_0002,
                hash: &[1, 2, 3, 4],
            },
            Tlv::Opaque {
                kind: 0x7d,
                value: &[],
            },
        ];
        assert_eq!(tlvs, Ok(expected));
    }

    #[test]
    fn reading_stops_at_what_is_cut_short() {
        for (area, offset) in [
            (&[0, 4][..], 1),
            (&[0x7c, 2, 0], 0),
            (&[4, 0, 0x7c], 2),
            (&[5, 5, 0, 0, 0, 0, 0], 0),
        ] {
            let last = Tlvs::new(area).last();
            assert_eq!(last, Some(Err(Error::TruncatedTlv { offset })), "{area:?}");
            assert_eq!(Tlvs::new(area).filter(Result::is_err).count(), 1);
        }
    }

    #[test]
    fn every_gap_is_padded_with_what_linux_reads() {
        for length in 0..8 {
            for offset in 0..8 {
                let mut area = vec![0xff; length];
                pad(&mut area, offset);
                assert_eq!(area.len() % 8, offset);
                assert!(Tlvs::new(&area[length..]).all(|tlv| {
                    matches!(tlv, Ok(Tlv::PadN(value)) if value.len() <= 5 && !value.contains(&1))
                }));
            }
        }
    }

    #[test]
    fn tlvs_keep_their_alignment() {
        // Pad1, then a TLV at 1 (modulo 8); PadN to 4, then another at 4.
        let area = [0, 0x7c, 0, 4, 0, 0x7d, 1, 9, 4, 2, 0, 0, 0x7e, 2, 1, 2];
        let carried = carried_on(&area).unwrap();
        let expected = [
            [4, 5, 0, 0, 0, 0, 0, 4],
            [0, 0x7c, 0, 4, 0, 0x7d, 1, 9],
            [4, 2, 0, 0, 0x7e, 2, 1, 2],
        ];
        assert_eq!(carried, expected.concat());
        assert_eq!(carried_on(&[4, 6, 0, 0, 0, 0, 0, 0]), Ok(Vec::new()));
    }
}
