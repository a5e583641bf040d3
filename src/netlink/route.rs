//! One IPv6 route of ours, written as `ip -6 route` writes it.
//!
//! `setup` adds and deletes these; the text is what `check` prints and what the journal keeps,
//! so it reads back into the same route. Read first: rtnetlink(7), ip-route(8).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::config::model::{Device, Network};
use crate::netlink::message::{Message, attribute};
use crate::netlink::{Error, PROTOCOL, Socket, link, uapi};

/// A route that we add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Deliver to this host instead of sending on.
    pub local: bool,
    /// Where packets go.
    pub destination: Network,
    /// By which next hop.
    pub gateway: Option<Ipv6Addr>,
    /// Segments in the order of travel that are inserted as an SRH; empty is none.
    pub segments: Vec<Ipv6Addr>,
    /// By which device.
    pub device: Device,
    /// In which table; 255 is `local`.
    pub table: u32,
}

impl Route {
    /// The kernel's table `local`.
    pub const TABLE_LOCAL: u32 = 255;

    /// Adds the route; `EEXIST` when the table has a route to this destination.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn add(&self, socket: &mut Socket) -> Result<(), Error> {
        let op = format!("add route {self}");
        let message = self
            .message(libc::RTM_NEWROUTE, socket)?
            .flags(uapi::NLM_F_CREATE | uapi::NLM_F_EXCL);
        let segments = (!self.segments.is_empty()).then(|| self.encapsulation());
        let message = message
            .maybe(
                uapi::RTA_ENCAP_TYPE,
                segments.as_ref().map(|_| &LWTUNNEL[..]),
            )
            .maybe(uapi::RTA_ENCAP | uapi::NLA_F_NESTED, segments.as_deref());
        socket.request(&op, message)
    }

    /// Deletes the route; `ESRCH` when there is none that we made, `ENODEV` without its device.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete(&self, socket: &mut Socket) -> Result<(), Error> {
        let op = format!("delete route {self}");
        let message = self.message(libc::RTM_DELROUTE, socket)?;
        socket.request(&op, message)
    }

    fn message(&self, kind: u16, socket: &mut Socket) -> Result<Message, Error> {
        let index = link::index(socket, &self.device)?;
        let family = u8::try_from(libc::AF_INET6).expect("AF_INET6 is 10");
        let route_type = if self.local {
            libc::RTN_LOCAL
        } else {
            libc::RTN_UNICAST
        };
        // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
        let header = [
            family,
            self.destination.length,
            0,
            0,
            u8::try_from(self.table).unwrap_or(libc::RT_TABLE_UNSPEC),
            PROTOCOL,
            libc::RT_SCOPE_UNIVERSE,
            route_type,
            0,
            0,
            0,
            0,
        ];
        Ok(Message::new(kind, &header)
            .attribute(uapi::RTA_TABLE, &self.table.to_ne_bytes())
            .attribute(uapi::RTA_OIF, &index.to_ne_bytes())
            .maybe(
                uapi::RTA_DST,
                (self.destination.length > 0).then_some(&self.destination.address.octets()),
            )
            .maybe(
                uapi::RTA_GATEWAY,
                self.gateway
                    .as_ref()
                    .map(Ipv6Addr::octets)
                    .as_ref()
                    .map(|o| &o[..]),
            ))
    }

    /// `struct seg6_iptunnel_encap`: the mode, then the SRH (RFC 8754 section 2) with a free slot
    /// at the end of the path, which the kernel fills with each packet's destination.
    fn encapsulation(&self) -> Vec<u8> {
        let last = u8::try_from(self.segments.len())
            .expect("a configuration has at most 16 segments (Policy::segments)");
        let mut bytes = uapi::SEG6_IPTUN_MODE_INLINE.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&[0, 2 * (last + 1), SRH_ROUTING_TYPE, last, last, 0, 0, 0]);
        bytes.extend_from_slice(&[0; 16]);
        for segment in self.segments.iter().rev() {
            bytes.extend_from_slice(&segment.octets());
        }
        attribute(uapi::SEG6_IPTUNNEL_SRH, &bytes)
    }
}

const LWTUNNEL: [u8; 2] = uapi::LWTUNNEL_ENCAP_SEG6.to_ne_bytes();
const SRH_ROUTING_TYPE: u8 = 4;

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local {
            f.write_str("local ")?;
        }
        write!(f, "{}", self.destination)?;
        for (n, segment) in self.segments.iter().enumerate() {
            let before = if n == 0 {
                " encap seg6 mode inline segs "
            } else {
                ","
            };
            write!(f, "{before}{segment}")?;
        }
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        write!(
            f,
            " dev {} table {} proto {PROTOCOL}",
            self.device, self.table
        )
    }
}

/// A line that is not a route as we write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARoute;

impl FromStr for Route {
    type Err = NotARoute;

    fn from_str(text: &str) -> Result<Self, NotARoute> {
        let mut words = text.split(' ').peekable();
        let local = words.next_if_eq(&"local").is_some();
        let destination = words.next().and_then(|w| w.parse().ok()).ok_or(NotARoute)?;
        let (mut gateway, mut segments, mut device, mut table) = (None, Vec::new(), None, None);
        while let Some(key) = words.next() {
            let value = words.next().ok_or(NotARoute)?;
            match key {
                "encap" | "mode" => {}
                "segs" => {
                    segments = value
                        .split(',')
                        .map(str::parse)
                        .collect::<Result<_, _>>()
                        .map_err(|_| NotARoute)?;
                }
                "via" => gateway = Some(value.parse().map_err(|_| NotARoute)?),
                "dev" => device = Some(Device::new(value).ok_or(NotARoute)?),
                "table" => table = Some(value.parse().map_err(|_| NotARoute)?),
                "proto" => {}
                _ => return Err(NotARoute),
            }
        }
        Ok(Self {
            local,
            destination,
            gateway,
            segments,
            device: device.ok_or(NotARoute)?,
            table: table.ok_or(NotARoute)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::{attributes, u32_at};

    fn route(text: &str) -> Route {
        text.parse().unwrap()
    }

    #[test]
    fn a_route_reads_back_as_it_was_written() {
        for text in [
            "local fd00:99::/80 dev nfv0 table 255 proto 43",
            "::/0 encap seg6 mode inline segs fd00:1::1,fd00:2::1 dev nfv0 table 1001 proto 43",
            "::/0 via fe80::1 dev eth0.2 table 1002 proto 43",
        ] {
            assert_eq!(route(text).to_string(), text);
        }
        for text in [
            "",
            "local",
            "::/0 dev lo",
            "::/129 dev lo table 1",
            "::/0 dev lo table",
        ] {
            assert_eq!(text.parse::<Route>(), Err(NotARoute), "{text}");
        }
    }

    #[test]
    fn the_segment_list_travels_backwards_with_a_free_slot_at_its_end() {
        let route = route("::/0 encap seg6 mode inline segs fd00:1::1,fd00:2::1 dev nfv0 table 9");
        let encapsulation = route.encapsulation();
        let (kind, value) = attributes(&encapsulation).next().unwrap();
        assert_eq!((kind, u32_at(value, 0)), (uapi::SEG6_IPTUNNEL_SRH, Some(0)));
        // Hdr Ext Len, Routing Type, Segments Left, Last Entry.
        assert_eq!(value[5..9], [6, 4, 2, 2]);
        assert_eq!(value[12..28], [0; 16]);
        assert_eq!(value[28..44], route.segments[1].octets());
        assert_eq!(value[44..60], route.segments[0].octets());
        assert_eq!(value.len(), 60);
    }
}
