//! One captured SYN: what both ways of capture learn a flow from.
//!
//! `TCP_SAVED_SYN` and NFQUEUE both hand out a packet from its IPv6 header on; `proxy::capture`
//! turns it into a [`Syn`] and `flow` keeps that until the connection is accepted.

use std::net::{Ipv6Addr, SocketAddrV6};

use crate::wire::Error;
use crate::wire::ipv6::{self, HEADER_LEN, Ipv6Header, next_header};
use crate::wire::srh::{Srh, SrhRepr};
use crate::wire::tcp::Tcp;

/// A TCP packet, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syn {
    /// The client's address.
    pub source: Ipv6Addr,
    /// The IPv6 header's destination: the active segment in NFQUEUE, and the final destination
    /// in a saved SYN, whose segments the kernel has consumed.
    pub destination: Ipv6Addr,
    /// Where the flow ends: the last segment of travel, or `destination` without an SRH.
    pub final_destination: Ipv6Addr,
    /// The client's port.
    pub source_port: u16,
    /// The server's port.
    pub destination_port: u16,
    /// The initial sequence number.
    pub sequence_number: u32,
    /// The largest segment the client takes, in octets.
    pub mss: Option<u16>,
    /// Whether the client offers MPTCP.
    pub mp_capable: bool,
    /// Whether it is a SYN without ACK, RST and FIN; if not, it opens no connection.
    pub bare: bool,
    /// The segment routing header.
    pub srh: Option<SrhRepr>,
    /// Whether the SRH comes directly behind the IPv6 header, where nft rules with fixed offsets
    /// look for it.
    pub srh_directly_after_ipv6: bool,
}

impl Syn {
    /// What is left of a SYN that was answered with a cookie, when the cookie has come back with
    /// `srh`, directly behind the IPv6 header of a packet whose segments were consumed.
    pub fn of_cookie(client: SocketAddrV6, server: SocketAddrV6, srh: SrhRepr) -> Self {
        let destination = *server.ip();
        Self {
            source: *client.ip(),
            destination,
            final_destination: srh.segments.first().copied().unwrap_or(destination),
            source_port: client.port(),
            destination_port: server.port(),
            sequence_number: 0,
            mss: None,
            mp_capable: false,
            bare: true,
            srh: Some(srh),
            srh_directly_after_ipv6: true,
        }
    }

    /// Takes apart `packet`, which starts at its IPv6 header and may lack its TCP payload.
    ///
    /// # Errors
    /// When it is not TCP over IPv6, or a header on the way cannot be read; see [`Error`].
    pub fn parse(packet: &[u8]) -> Result<Self, Error> {
        let header = Ipv6Header::new_checked(packet)?;
        let layout = ipv6::walk(packet)?;
        if layout.upper_next_header != next_header::TCP {
            return Err(Error::UnexpectedHeader {
                next_header: layout.upper_next_header,
            });
        }
        let srh = match layout.srh {
            Some(start) => Some(SrhRepr::parse(&Srh::new_checked(
                &packet[start..layout.upper_layer],
            )?)),
            None => None,
        };
        let tcp = Tcp::new_checked(&packet[layout.upper_layer..layout.end])?;
        let destination = header.destination();
        let last_segment = srh.as_ref().and_then(|srh| srh.segments.first().copied());
        Ok(Self {
            source: header.source(),
            destination,
            final_destination: last_segment.unwrap_or(destination),
            source_port: tcp.source_port(),
            destination_port: tcp.destination_port(),
            sequence_number: tcp.sequence_number(),
            mss: tcp.mss(),
            mp_capable: tcp.is_mp_capable(),
            bare: tcp.is_bare_syn(),
            srh,
            srh_directly_after_ipv6: layout.srh == Some(HEADER_LEN),
        })
    }
}
