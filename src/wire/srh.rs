//! The segment routing header: which segments a flow still has to visit.
//!
//! Read out of a captured SYN by [`super::syn`]; what goes on to the next segment is made of it by
//! [`super::rthdr`]. Read first: RFC 8754 section 2.

use std::net::Ipv6Addr;

use crate::wire::tlv::Tlvs;
use crate::wire::{Error, Structure, address_at, require, u16_at};

/// The routing type of RFC 8754.
pub const ROUTING_TYPE: u8 = 4;

/// Segments we accept in one list, the final destination not counted: as many as a policy of the
/// configuration may have.
pub const MAX_SEGMENTS: usize = 16;

/// RFC 8754 section 2:
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +---------------+---------------+---------------+---------------+
/// |  Next Header  |  Hdr Ext Len  | Routing Type  | Segments Left |
/// +---------------+---------------+---------------+---------------+
/// |  Last Entry   |     Flags     |              Tag              |
/// +---------------+---------------+-------------------------------+
/// |     Segment List[0] (16 octets): the final destination        |
/// +---------------------------------------------------------------+
/// |                              ...                              |
/// +---------------------------------------------------------------+
/// |     Segment List[Last Entry]: the first segment of the path   |
/// +---------------------------------------------------------------+
/// |     Type Length Value objects (variable, optional)            |
/// +---------------------------------------------------------------+
/// ```
mod field {
    pub const NEXT_HEADER: usize = 0;
    pub const HDR_EXT_LEN: usize = 1;
    pub const ROUTING_TYPE: usize = 2;
    pub const SEGMENTS_LEFT: usize = 3;
    pub const LAST_ENTRY: usize = 4;
    pub const FLAGS: usize = 5;
    pub const TAG: usize = 6;
    pub const SEGMENT_LIST: usize = 8;
}

/// View of a segment routing header; octets behind it are allowed.
#[derive(Debug, Clone, Copy)]
pub struct Srh<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Srh<T> {
    /// A view of `buffer`, which starts at the routing header.
    ///
    /// # Errors
    /// Unless the header is there in full, of type 4, has at most [`MAX_SEGMENTS`] segments and
    /// the final destination, `segments_left` is within the list, and all TLVs can be read.
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let srh = Self { buffer };
        srh.check_len()?;
        Ok(srh)
    }

    fn check_len(&self) -> Result<(), Error> {
        let bytes = self.buffer.as_ref();
        require(Structure::Srh, bytes, field::SEGMENT_LIST)?;
        let routing_type = bytes[field::ROUTING_TYPE];
        if routing_type != ROUTING_TYPE {
            return Err(Error::UnknownRouting { routing_type });
        }
        require(Structure::Srh, bytes, self.total_len())?;
        let (last_entry, segments_left) = (self.last_entry(), self.segments_left());
        if self.list_end() > self.total_len() {
            let hdr_ext_len = self.hdr_ext_len();
            return Err(Error::LastEntryBeyondLength {
                last_entry,
                hdr_ext_len,
            });
        }
        if usize::from(last_entry) > MAX_SEGMENTS {
            return Err(Error::TooManySegments {
                count: usize::from(last_entry),
            });
        }
        if segments_left > last_entry {
            return Err(Error::SegmentsLeftBeyondLast {
                segments_left,
                last_entry,
            });
        }
        self.tlvs().try_for_each(|tlv| tlv.map(drop))
    }

    /// What comes behind this header.
    pub fn next_header(&self) -> u8 {
        self.buffer.as_ref()[field::NEXT_HEADER]
    }

    /// Length of this header in 8 octets, without the first 8.
    pub fn hdr_ext_len(&self) -> u8 {
        self.buffer.as_ref()[field::HDR_EXT_LEN]
    }

    /// Length of this header in octets.
    pub fn total_len(&self) -> usize {
        8 + 8 * usize::from(self.hdr_ext_len())
    }

    /// Index of the active segment; 0 on the way to the final destination. In a saved SYN it is
    /// always 0, because the kernel has consumed the segments by then.
    pub fn segments_left(&self) -> u8 {
        self.buffer.as_ref()[field::SEGMENTS_LEFT]
    }

    /// Index of the first segment of the path.
    pub fn last_entry(&self) -> u8 {
        self.buffer.as_ref()[field::LAST_ENTRY]
    }

    /// The flags; RFC 8754 defines none.
    pub fn flags(&self) -> u8 {
        self.buffer.as_ref()[field::FLAGS]
    }

    /// Class or group of the packet.
    pub fn tag(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::TAG)
    }

    /// The segments as they lie in the header: the final destination first, then in reverse order
    /// of travel.
    pub fn segments(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        let list = &self.buffer.as_ref()[field::SEGMENT_LIST..self.list_end()];
        list.chunks_exact(16).map(|octets| address_at(octets, 0))
    }

    /// The TLVs; each one is `Ok` in a checked view.
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs::new(self.tlv_area())
    }

    fn tlv_area(&self) -> &[u8] {
        &self.buffer.as_ref()[self.list_end()..self.total_len()]
    }

    fn list_end(&self) -> usize {
        field::SEGMENT_LIST + 16 * (usize::from(self.last_entry()) + 1)
    }
}

/// The meaning of a segment routing header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrhRepr {
    /// What comes behind this header.
    pub next_header: u8,
    /// Index of the active segment in [`segments`](Self::segments).
    pub segments_left: u8,
    /// The flags.
    pub flags: u8,
    /// Class or group of the packet.
    pub tag: u16,
    /// As in the header: `[0]` is the final destination, the last one is visited first. Never
    /// empty, and at most [`MAX_SEGMENTS`] + 1 long.
    pub segments: Vec<Ipv6Addr>,
    /// The TLVs as in the header, padding included: a multiple of 8 octets. Read with
    /// [`Tlvs::new`].
    pub tlvs: Vec<u8>,
}

impl SrhRepr {
    /// What the view says.
    pub fn parse<T: AsRef<[u8]>>(srh: &Srh<T>) -> Self {
        Self {
            next_header: srh.next_header(),
            segments_left: srh.segments_left(),
            flags: srh.flags(),
            tag: srh.tag(),
            segments: srh.segments().collect(),
            tlvs: srh.tlv_area().to_vec(),
        }
    }

    /// Index of the active segment: the one in the IPv6 destination address.
    pub fn active_index(&self) -> usize {
        usize::from(self.segments_left)
    }

    /// Octets that [`emit`](Self::emit) writes.
    pub fn buffer_len(&self) -> usize {
        field::SEGMENT_LIST + 16 * self.segments.len() + self.tlvs.len()
    }

    /// Writes the header to the front of `buffer`, every octet of it.
    ///
    /// # Errors
    /// When `buffer` is shorter than [`buffer_len`](Self::buffer_len), or for a header that
    /// [`Srh::new_checked`] would refuse.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<(), Error> {
        let length = self.buffer_len();
        require(Structure::Srh, buffer, length)?;
        let bad_length = Error::BadLength {
            structure: Structure::Srh,
            length,
        };
        let Some(last) = self.segments.len().checked_sub(1) else {
            return Err(bad_length);
        };
        let too_many = Error::TooManySegments { count: last };
        let header = &mut buffer[..length];
        header[field::NEXT_HEADER] = self.next_header;
        header[field::HDR_EXT_LEN] = match (length % 8, u8::try_from(length / 8 - 1)) {
            (0, Ok(hdr_ext_len)) => hdr_ext_len,
            _ => return Err(bad_length),
        };
        header[field::ROUTING_TYPE] = ROUTING_TYPE;
        header[field::SEGMENTS_LEFT] = self.segments_left;
        header[field::LAST_ENTRY] = u8::try_from(last).map_err(|_| too_many)?;
        header[field::FLAGS] = self.flags;
        header[field::TAG..field::SEGMENT_LIST].copy_from_slice(&self.tag.to_be_bytes());
        let (list, tlvs) = header[field::SEGMENT_LIST..].split_at_mut(16 * self.segments.len());
        for (octets, segment) in list.chunks_exact_mut(16).zip(&self.segments) {
            octets.copy_from_slice(&segment.octets());
        }
        tlvs.copy_from_slice(&self.tlvs);
        Srh::new_checked(header).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srh() -> SrhRepr {
        SrhRepr {
            next_header: 6,
            segments_left: 1,
            flags: 0x20,
            tag: 0x0102,
            segments: vec![Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED],
            tlvs: vec![4, 5, 0, 0, 0, 0, 0, 0x7c, 0, 4, 4, 0, 0, 0, 0, 0],
        }
    }

    #[test]
    fn every_octet_is_written_and_read() {
        let srh = SrhRepr {
            tlvs: vec![0x7c, 6, 1, 2, 3, 4, 5, 6],
            ..srh()
        };
        let mut bytes = [0xff; 48];
        srh.emit(&mut bytes).unwrap();
        assert_eq!(bytes[..8], [6, 5, 4, 1, 1, 0x20, 1, 2]);
        assert_eq!(bytes[8..24], Ipv6Addr::LOCALHOST.octets());
        assert_eq!(bytes[24..40], [0; 16]);
        assert_eq!(bytes[40..], [0x7c, 6, 1, 2, 3, 4, 5, 6]);
        assert_eq!(SrhRepr::parse(&Srh::new_checked(bytes).unwrap()), srh);
    }

    #[test]
    fn a_header_that_would_be_refused_is_not_written() {
        let error = |srh: SrhRepr| srh.emit(&mut vec![0; srh.buffer_len()]);
        let bad_length = |length| {
            Err(Error::BadLength {
                structure: Structure::Srh,
                length,
            })
        };
        assert_eq!(
            error(SrhRepr {
                segments: vec![],
                ..srh()
            }),
            bad_length(24)
        );
        assert_eq!(
            error(SrhRepr {
                tlvs: vec![0; 7],
                ..srh()
            }),
            bad_length(47)
        );
        assert_eq!(
            error(SrhRepr {
                tlvs: vec![0; 2048],
                ..srh()
            }),
            bad_length(2088)
        );
        assert_eq!(
            error(SrhRepr {
                tlvs: vec![9; 8],
                ..srh()
            }),
            Err(Error::TruncatedTlv { offset: 0 })
        );
        assert_eq!(
            error(SrhRepr {
                segments_left: 2,
                ..srh()
            }),
            Err(Error::SegmentsLeftBeyondLast {
                segments_left: 2,
                last_entry: 1
            })
        );
        assert_eq!(
            error(SrhRepr {
                segments: vec![Ipv6Addr::LOCALHOST; 18],
                ..srh()
            }),
            Err(Error::TooManySegments { count: 17 })
        );
    }

    #[test]
    fn a_foreign_routing_header_is_no_srh() {
        let error = Srh::new_checked([6, 2, 3, 0, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(error, Error::UnknownRouting { routing_type: 3 });
    }
}
