//! SID = locator : function : argument, 80 : 16 : 32 bits (thesis figure 3.2, RFC 8986 section 3.1).
//!
//! Tells `proxy` which segments of a list are ours and what each asks for; `config` keeps our
//! prefixes in the same type.

use std::fmt;
use std::net::Ipv6Addr;

/// A proxy's /80 prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Locator(pub(super) [u8; 10]);

impl Locator {
    /// Bits of a locator.
    pub const PREFIX_LENGTH: u8 = 80;

    /// The locator at `address`, unless one of the lower 48 bits is set.
    pub fn new(address: Ipv6Addr) -> Option<Self> {
        let sid = Sid::from(address);
        (sid.function == 0 && sid.argument == 0).then_some(sid.locator)
    }

    /// The prefix' address, with the lower 48 bits zero.
    pub fn address(self) -> Ipv6Addr {
        Sid {
            locator: self,
            function: 0,
            argument: 0,
        }
        .into()
    }

    /// Whether `address` is a SID of ours.
    pub fn contains(self, address: Ipv6Addr) -> bool {
        Sid::from(address).locator == self
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), Self::PREFIX_LENGTH)
    }
}

/// A segment identifier, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sid {
    /// Whose it is.
    pub locator: Locator,
    /// Which of the proxy's functions.
    pub function: u16,
    /// The function's parameter.
    pub argument: u32,
}

impl From<Ipv6Addr> for Sid {
    fn from(address: Ipv6Addr) -> Self {
        let o = address.octets();
        let mut locator = [0; 10];
        locator.copy_from_slice(&o[..10]);
        Self {
            locator: Locator(locator),
            function: u16::from_be_bytes([o[10], o[11]]),
            argument: u32::from_be_bytes([o[12], o[13], o[14], o[15]]),
        }
    }
}

impl From<Sid> for Ipv6Addr {
    fn from(sid: Sid) -> Self {
        let mut octets = [0; 16];
        octets[..10].copy_from_slice(&sid.locator.0);
        octets[10..12].copy_from_slice(&sid.function.to_be_bytes());
        octets[12..].copy_from_slice(&sid.argument.to_be_bytes());
        Self::from(octets)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv6Addr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCATORS: [&str; 4] = [
        "2001:db8:99::",
        "::",
        "fd00:1:2:3:4::",
        "ffff:ffff:ffff:ffff:ffff::",
    ];

    #[test]
    fn every_part_survives_the_address() {
        for locator in LOCATORS {
            let locator = Locator::new(locator.parse().unwrap()).unwrap();
            for function in [0, 1, 0x00ff, 0xff00, 0x8000, u16::MAX] {
                for argument in [0, 1, 0xffff, 0x1_0000, 0x8000_0000, u32::MAX] {
                    let sid = Sid {
                        locator,
                        function,
                        argument,
                    };
                    let address = Ipv6Addr::from(sid);
                    assert_eq!(Sid::from(address), sid);
                    assert!(locator.contains(address));
                    assert_eq!(sid.to_string(), address.to_string());
                    let is_locator = function == 0 && argument == 0;
                    assert_eq!(Locator::new(address), is_locator.then_some(locator));
                }
            }
        }
    }

    #[test]
    fn every_bit_belongs_to_one_part() {
        for bit in 0..128 {
            let sid = Sid::from(Ipv6Addr::from_bits(1 << bit));
            let zero = Sid::from(Ipv6Addr::UNSPECIFIED);
            let expected = match bit {
                0..32 => Sid {
                    argument: 1 << bit,
                    ..zero
                },
                32..48 => Sid {
                    function: 1 << (bit - 32),
                    ..zero
                },
                _ => Sid {
                    locator: sid.locator,
                    ..zero
                },
            };
            assert_eq!(sid, expected, "bit {bit}");
            assert_eq!(sid.locator == zero.locator, bit < 48, "bit {bit}");
        }
    }

    #[test]
    fn a_neighbouring_locator_is_not_ours() {
        let ours = Locator::new("2001:db8:99::".parse().unwrap()).unwrap();
        assert!(!ours.contains("2001:db8:99:0:1::".parse().unwrap()));
        assert!(!ours.contains("2001:db8:98::1:0:2a".parse().unwrap()));
        assert!(ours.contains("2001:db8:99::ffff:ffff:ffff".parse().unwrap()));
    }

    #[test]
    fn they_read_like_ip_route() {
        let address: Ipv6Addr = "2001:db8:99::1:0:2a".parse().unwrap();
        let sid = Sid::from(address);
        assert_eq!(sid.locator.to_string(), "2001:db8:99::/80");
        assert_eq!((sid.function, sid.argument), (1, 0x2a));
        assert_eq!(sid.to_string(), "2001:db8:99::1:0:2a");
        assert_eq!(format!("{sid:>21}"), "  2001:db8:99::1:0:2a");
    }
}
