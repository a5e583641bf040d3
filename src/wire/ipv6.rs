//! The IPv6 header, and the way from it over extension headers to TCP.
//!
//! First stop of every captured packet. Read first: RFC 8200 sections 3 and 4.

use std::net::Ipv6Addr;

use crate::wire::{Error, Structure, address_at, require, u16_at};

/// Octets of the fixed header.
pub const HEADER_LEN: usize = 40;

/// More extension headers than this before TCP are nobody's honest packet; RFC 8200 section 4.1
/// recommends six at most.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// Numbers of the headers we know, from IANA's "Assigned Internet Protocol Numbers".
pub mod next_header {
    /// Hop-by-hop options, only directly behind the IPv6 header.
    pub const HOP_BY_HOP: u8 = 0;
    /// TCP.
    pub const TCP: u8 = 6;
    /// Routing, of which type 4 is the SRH.
    pub const ROUTING: u8 = 43;
    /// Fragment.
    pub const FRAGMENT: u8 = 44;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// Destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
}

/// RFC 8200 section 3:
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------+---------------+---------------------------------------+
/// |Version| Traffic Class |              Flow Label               |
/// +-------+---------------+-------+---------------+---------------+
/// |         Payload Length        |  Next Header  |   Hop Limit   |
/// +-------------------------------+---------------+---------------+
/// |                    Source Address (16 octets)                 |
/// +---------------------------------------------------------------+
/// |                 Destination Address (16 octets)               |
/// +---------------------------------------------------------------+
/// ```
mod field {
    pub const VERSION: usize = 0;
    pub const PAYLOAD_LENGTH: usize = 4;
    pub const NEXT_HEADER: usize = 6;
    pub const HOP_LIMIT: usize = 7;
    pub const SOURCE: usize = 8;
    pub const DESTINATION: usize = 24;
}

/// View of the fixed header; octets behind it are allowed.
#[derive(Debug, Clone, Copy)]
pub struct Ipv6Header<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Ipv6Header<T> {
    /// A view of `buffer`, which starts at the IPv6 header.
    ///
    /// # Errors
    /// [`Error::Truncated`] and [`Error::NotIpv6`]. The payload may be cut short: neither the
    /// saved SYN nor a queued packet need hold all of it.
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let header = Self { buffer };
        header.check_len()?;
        Ok(header)
    }

    fn check_len(&self) -> Result<(), Error> {
        let bytes = self.buffer.as_ref();
        require(Structure::Ipv6, bytes, HEADER_LEN)?;
        match bytes[field::VERSION] >> 4 {
            6 => Ok(()),
            version => Err(Error::NotIpv6 { version }),
        }
    }

    /// Differentiated services and ECN, 8 bits.
    pub fn traffic_class(&self) -> u8 {
        let [high, _] = (u16_at(self.buffer.as_ref(), field::VERSION) << 4).to_be_bytes();
        high
    }

    /// The 20 bits of the flow label.
    pub fn flow_label(&self) -> u32 {
        let b = self.buffer.as_ref();
        u32::from_be_bytes([0, b[1] & 0x0f, b[2], b[3]])
    }

    /// Octets behind the fixed header, extension headers included.
    pub fn payload_length(&self) -> u16 {
        u16_at(self.buffer.as_ref(), field::PAYLOAD_LENGTH)
    }

    /// What comes directly behind the fixed header.
    pub fn next_header(&self) -> u8 {
        self.buffer.as_ref()[field::NEXT_HEADER]
    }

    /// How many more routers may forward it.
    pub fn hop_limit(&self) -> u8 {
        self.buffer.as_ref()[field::HOP_LIMIT]
    }

    /// Where it comes from.
    pub fn source(&self) -> Ipv6Addr {
        address_at(self.buffer.as_ref(), field::SOURCE)
    }

    /// Where it goes now: the active segment when an SRH has segments left.
    pub fn destination(&self) -> Ipv6Addr {
        address_at(self.buffer.as_ref(), field::DESTINATION)
    }
}

/// The meaning of the fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Repr {
    /// Differentiated services and ECN.
    pub traffic_class: u8,
    /// 20 bits; higher ones are not written.
    pub flow_label: u32,
    /// Octets behind the fixed header.
    pub payload_length: u16,
    /// What comes directly behind the fixed header.
    pub next_header: u8,
    /// How many more routers may forward it.
    pub hop_limit: u8,
    /// Where it comes from.
    pub source: Ipv6Addr,
    /// Where it goes now.
    pub destination: Ipv6Addr,
}

impl Ipv6Repr {
    /// What the view says.
    pub fn parse<T: AsRef<[u8]>>(header: &Ipv6Header<T>) -> Self {
        Self {
            traffic_class: header.traffic_class(),
            flow_label: header.flow_label(),
            payload_length: header.payload_length(),
            next_header: header.next_header(),
            hop_limit: header.hop_limit(),
            source: header.source(),
            destination: header.destination(),
        }
    }

    /// The header's [`HEADER_LEN`] octets.
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0xf_ffff);
        bytes[..field::PAYLOAD_LENGTH].copy_from_slice(&first.to_be_bytes());
        bytes[field::PAYLOAD_LENGTH..field::NEXT_HEADER]
            .copy_from_slice(&self.payload_length.to_be_bytes());
        bytes[field::NEXT_HEADER] = self.next_header;
        bytes[field::HOP_LIMIT] = self.hop_limit;
        bytes[field::SOURCE..field::DESTINATION].copy_from_slice(&self.source.octets());
        bytes[field::DESTINATION..].copy_from_slice(&self.destination.octets());
        bytes
    }
}

/// Where things lie in a packet; offsets count from the IPv6 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Start of the routing header of type 4.
    pub srh: Option<usize>,
    /// Start of the first header that is no extension header we walk over.
    pub upper_layer: usize,
    /// Number of that header, TCP one hopes.
    pub upper_next_header: u8,
    /// End of the packet by its payload length, or of what we have of it if that is less.
    pub end: usize,
}

/// Walks over at most [`MAX_EXTENSION_HEADERS`] hop-by-hop, routing, fragment and destination
/// options headers.
///
/// A fragment header is walked over when it is the packet's only fragment (RFC 6946). A routing
/// header of a foreign type is when it has no segments left, as RFC 8200 section 4.4 says.
///
/// # Errors
/// When a header is cut short or may not be walked over; see [`Error`].
pub fn walk(packet: &[u8]) -> Result<Layout, Error> {
    let header = Ipv6Header::new_checked(packet)?;
    let end = packet
        .len()
        .min(HEADER_LEN + usize::from(header.payload_length()));
    let mut next_header = header.next_header();
    let mut offset = HEADER_LEN;
    let mut srh = None;
    for _ in 0..=MAX_EXTENSION_HEADERS {
        let rest = &packet[offset..end];
        match next_header {
            next_header::HOP_BY_HOP if offset == HEADER_LEN => {}
            next_header::DESTINATION_OPTIONS => {}
            next_header::ROUTING => {
                require(Structure::Extension, rest, 8)?;
                match (rest[2], rest[3]) {
                    (super::srh::ROUTING_TYPE, _) if srh.is_some() => {
                        return Err(Error::SecondSrh);
                    }
                    (super::srh::ROUTING_TYPE, _) => srh = Some(offset),
                    (_, 0) => {}
                    (routing_type, _) => return Err(Error::UnknownRouting { routing_type }),
                }
            }
            next_header::FRAGMENT => {
                require(Structure::Extension, rest, 8)?;
                // Fragment offset in the high 13 bits, "more fragments" in the lowest.
                if u16_at(rest, 2) & 0xfff9 != 0 {
                    return Err(Error::Fragment);
                }
            }
            upper_next_header => {
                return Ok(Layout {
                    srh,
                    upper_layer: offset,
                    upper_next_header,
                    end,
                });
            }
        }
        require(Structure::Extension, rest, 8)?;
        // The fragment header's second octet is reserved (RFC 8200 section 4.5).
        let length = match next_header {
            next_header::FRAGMENT => 8,
            _ => 8 + 8 * usize::from(rest[1]),
        };
        require(Structure::Extension, rest, length)?;
        next_header = rest[0];
        offset += length;
    }
    Err(Error::TooManyHeaders)
}

/// Whether a connection to `address` can leave this machine as IPv6 to one other host.
pub fn is_host(address: Ipv6Addr) -> bool {
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address.to_ipv4_mapped().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_written_and_read() {
        let repr = Ipv6Repr {
            traffic_class: 0xa5,
            flow_label: 0xc_def0,
            payload_length: 0x1234,
            next_header: next_header::TCP,
            hop_limit: 64,
            source: "2001:db8::1".parse().unwrap(),
            destination: "2001:db8::2".parse().unwrap(),
        };
        let bytes = repr.emit();
        assert_eq!(bytes[..8], [0x6a, 0x5c, 0xde, 0xf0, 0x12, 0x34, 6, 64]);
        assert_eq!(
            Ipv6Repr::parse(&Ipv6Header::new_checked(bytes).unwrap()),
            repr
        );
        let too_wide = Ipv6Repr {
            flow_label: u32::MAX,
            ..repr
        };
        assert_eq!(too_wide.emit()[..4], [0x6a, 0x5f, 0xff, 0xff]);
    }
}
