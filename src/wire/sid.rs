//! SID = locator : function : argument, 80 : 16 : 32 bits (thesis figure 3.2, RFC 8986 section 3.1).

use std::net::Ipv6Addr;

/// A proxy's /80 prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Locator(pub(super) [u8; 10]);

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

impl Locator {
    /// The /80 that begins at `address`; `None` if any of the low 48 bits is set.
    pub fn new(address: Ipv6Addr) -> Option<Self> {
        let octets = address.octets();
        let (prefix, rest) = octets.split_first_chunk::<10>()?;
        rest.iter()
            .all(|&octet| octet == 0)
            .then_some(Self(*prefix))
    }

    /// The prefix's first address.
    pub fn address(self) -> Ipv6Addr {
        let mut octets = [0; 16];
        octets[..10].copy_from_slice(&self.0);
        Ipv6Addr::from(octets)
    }
}

impl std::fmt::Display for Locator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/80", self.address())
    }
}
