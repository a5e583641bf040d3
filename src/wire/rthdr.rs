//! What the outbound socket is told of the segments that remain: the value of `IPV6_RTHDR`.
//!
//! Last step of the SRH's way through us: `proxy` hands the octets to
//! `setsockopt(IPPROTO_IPV6, IPV6_RTHDR)`. Read first: `ipv6_push_rthdr4` in net/ipv6/exthdrs.c
//! and `seg6_validate_srh` in net/ipv6/seg6.c of Linux.
//!
//! ```text
//!  inbound list      [0] server  [1] P3  [2] P2  [3] P1 (us, own_index 3)
//!  IPV6_RTHDR        [0] ::      [1] P3  [2] P2               segments_left = last_entry = 2
//!  on the wire       [0] server  [1] P3  [2] P2  to P2        the kernel wrote [0]
//! ```
//!
//! Flags are not carried on: RFC 8754 section 2 wants undefined ones 0 on transmission, the one
//! defined since (RFC 9259: O, telemetry) marks single packets and not a connection, and Linux
//! takes bit 3 for "sign with the HMAC key", which we have not got.

use std::net::Ipv6Addr;

use crate::wire::Error;
use crate::wire::srh::{MAX_SEGMENTS, Srh, SrhRepr};
use crate::wire::tlv::carried_on;

impl SrhRepr {
    /// The routing header for the way on from `own_index`, our last SID's index in
    /// [`segments`](Self::segments); `None` when only the final destination remains.
    ///
    /// The tag goes on, and so do TLVs except padding and HMAC. If no segment is ours, say
    /// `segments.len()`: all of them remain.
    ///
    /// # Errors
    /// For a header that [`emit`](Self::emit) would refuse, or when re-padding makes it too long.
    pub fn advance(&self, own_index: usize) -> Result<Option<Vec<u8>>, Error> {
        let remaining = self.segments.get(..own_index).unwrap_or(&self.segments);
        match remaining {
            [] | [_] => Ok(None),
            [_final_destination, segments @ ..] => {
                rthdr(segments.iter().copied(), self.tag, carried_on(&self.tlvs)?).map(Some)
            }
        }
    }
}

/// The routing header that sends a connection through `segments`, in order of travel and without
/// the final destination; `None` when there are none.
///
/// # Errors
/// [`Error::TooManySegments`] for more than [`MAX_SEGMENTS`].
pub fn build(segments: &[Ipv6Addr]) -> Result<Option<Vec<u8>>, Error> {
    if segments.is_empty() {
        return Ok(None);
    }
    rthdr(segments.iter().rev().copied(), 0, Vec::new()).map(Some)
}

/// The segments that a header made here leads through, in the order of travel; empty for anything
/// else.
pub fn segments(header: &[u8]) -> Vec<Ipv6Addr> {
    let Ok(srh) = Srh::new_checked(header) else {
        return Vec::new();
    };
    let mut segments: Vec<Ipv6Addr> = srh.segments().skip(1).collect();
    segments.reverse();
    segments
}

/// Puts another segment in the place of the next one; the others, the tag and the TLVs stay. The
/// final destination is not in the header yet, and follows the socket's.
///
/// # Errors
/// For a header that was not made here.
pub fn set_next_segment(header: &mut [u8], segment: Ipv6Addr) -> Result<(), Error> {
    let mut srh = SrhRepr::parse(&Srh::new_checked(&*header)?);
    if let [_final_destination, .., next] = srh.segments.as_mut_slice() {
        *next = segment;
    }
    srh.emit(header)
}

/// `segments` as in the header, but without `[0]`.
fn rthdr(
    segments: impl ExactSizeIterator<Item = Ipv6Addr>,
    tag: u16,
    tlvs: Vec<u8>,
) -> Result<Vec<u8>, Error> {
    let count = segments.len();
    let too_many = Error::TooManySegments { count };
    if count > MAX_SEGMENTS {
        return Err(too_many);
    }
    let srh = SrhRepr {
        // The kernel puts the right one in.
        next_header: 0,
        segments_left: u8::try_from(count).map_err(|_| too_many)?,
        flags: 0,
        tag,
        segments: std::iter::once(Ipv6Addr::UNSPECIFIED)
            .chain(segments)
            .collect(),
        tlvs,
    };
    let mut bytes = vec![0; srh.buffer_len()];
    srh.emit(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
    }

    /// Server 0xf, then P3, P2, P1 from first to last as they lie in the header.
    fn inbound(tlvs: &[u8]) -> SrhRepr {
        SrhRepr {
            next_header: 6,
            segments_left: 0,
            flags: 0x28,
            tag: 0x1234,
            segments: [0xf, 3, 2, 1].map(address).to_vec(),
            tlvs: tlvs.to_vec(),
        }
    }

    fn octets(header: [u8; 8], segments: &[u16], tlvs: &[u8]) -> Vec<u8> {
        let mut bytes = header.to_vec();
        bytes.extend([0; 16]);
        for &segment in segments {
            bytes.extend(address(segment).octets());
        }
        bytes.extend(tlvs);
        bytes
    }

    #[test]
    fn the_segments_before_ours_in_the_list_remain() {
        let srh = inbound(&[]);
        let from_p1 = octets([0, 6, 4, 2, 2, 0, 0x12, 0x34], &[3, 2], &[]);
        let from_p2 = octets([0, 4, 4, 1, 1, 0, 0x12, 0x34], &[3], &[]);
        assert_eq!(srh.advance(3), Ok(Some(from_p1)));
        assert_eq!(srh.advance(2), Ok(Some(from_p2)));
        assert_eq!(srh.advance(1), Ok(None));
        assert_eq!(srh.advance(0), Ok(None));
    }

    #[test]
    fn all_remain_when_none_is_ours() {
        let all = octets([0, 8, 4, 3, 3, 0, 0x12, 0x34], &[3, 2, 1], &[]);
        assert_eq!(inbound(&[]).advance(4), Ok(Some(all.clone())));
        assert_eq!(inbound(&[]).advance(usize::MAX), Ok(Some(all)));
    }

    #[test]
    fn an_opaque_tlv_goes_on_without_the_hmac() {
        let mut tlvs = vec![5, 38];
        tlvs.extend([0x55; 38]);
        tlvs.extend([0x7c, 3, 1, 2, 3, 0, 0, 0]);
        let expected = octets(
            [0, 5, 4, 1, 1, 0, 0x12, 0x34],
            &[3],
            &[0x7c, 3, 1, 2, 3, 4, 1, 0],
        );
        assert_eq!(inbound(&tlvs).advance(2), Ok(Some(expected)));
    }

    #[test]
    fn padding_that_no_longer_fits_is_an_error() {
        let tlvs = [0, 0x7c, 1, 9].repeat(490);
        assert!(matches!(
            inbound(&tlvs).advance(2),
            Err(Error::BadLength { .. })
        ));
    }

    #[test]
    fn another_next_segment_changes_nothing_else() {
        for (own_index, before, after) in [(3, &[3, 2][..], &[3, 7][..]), (2, &[3], &[7])] {
            let mut srh = inbound(&[0x7c, 6, 1, 2, 3, 4, 5, 6]);
            let mut header = srh.advance(own_index).unwrap().unwrap();
            let tlvs = header[header.len() - 8..].to_vec();
            let way = |way: &[u16]| way.iter().rev().map(|s| address(*s)).collect::<Vec<_>>();
            assert_eq!(segments(&header), way(before));
            set_next_segment(&mut header, address(7)).unwrap();
            assert_eq!(segments(&header), way(after));
            srh.segments[own_index - 1] = address(7);
            assert_eq!(srh.advance(own_index), Ok(Some(header.clone())));
            assert_eq!(header[header.len() - 8..], tlvs);
        }
    }

    #[test]
    fn what_is_no_header_has_no_next_segment() {
        for header in [&mut [][..], &mut [0; 7], &mut [6, 2, 3, 0, 0, 0, 0, 0]] {
            assert!(segments(header).is_empty());
            assert!(set_next_segment(header, address(7)).is_err());
        }
    }

    #[test]
    fn a_policy_is_written_in_reverse_order_of_travel() {
        let expected = octets([0, 6, 4, 2, 2, 0, 0, 0], &[7, 8], &[]);
        assert_eq!(build(&[address(8), address(7)]), Ok(Some(expected)));
        assert_eq!(build(&[]), Ok(None));
        let longest = build(&[address(1); MAX_SEGMENTS]).unwrap().unwrap();
        assert_eq!(longest[..8], [0, 34, 4, 16, 16, 0, 0, 0]);
        let too_many = Err(Error::TooManySegments { count: 300 });
        assert_eq!(build(&[address(1); 300]), too_many);
    }
}
