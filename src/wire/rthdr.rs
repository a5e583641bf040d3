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
use crate::wire::srh::{MAX_SEGMENTS, SrhRepr};
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
