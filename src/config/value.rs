//! Text → values: what a word of the configuration must look like to be a device, a network, …
//!
//! `Display` of each is what `nft` and `ip` read, and what the same `FromStr` reads back.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::config::mark::MarkMask;
use crate::config::model::{Device, Network, PortRange};
use crate::wire::sid::Locator as LocatorPrefix;

/// Why a text is not the value that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It looks different altogether.
    Form,
    /// A prefix without its length, or with a wrong one; the right spelling.
    NotSlash80(LocatorPrefix),
    /// Bits behind the locator are set; the right spelling.
    LowBits(LocatorPrefix),
    /// Bits behind the prefix length are set; the right spelling.
    HostBits(Network),
    /// An address that means something else.
    Reserved(Reserved),
    /// A range whose end lies before its beginning; the right spelling.
    Reversed(PortRange),
}

/// What an address is that can't be routed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// `ff00::/8`
    Multicast,
    /// `::`
    Unspecified,
    /// `::1`
    Loopback,
    /// `fe80::/10`
    LinkLocal,
}

/// A whole number in decimal digits, without a sign.
pub fn decimal(text: &str) -> Result<u32, Fault> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_plain.then(|| text.parse().ok()).flatten();
    number.ok_or(Fault::Form)
}

/// A whole number, in decimal digits or `0x…`.
pub fn number(text: &str) -> Result<u32, Fault> {
    match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) if digits.starts_with('+') => Err(Fault::Form),
        Some(digits) => u32::from_str_radix(digits, 16).map_err(|_| Fault::Form),
        None => decimal(text),
    }
}

/// The words that `config_get_bool` of OpenWrt's `/lib/functions.sh` knows.
pub fn switch(text: &str) -> Result<bool, Fault> {
    match text {
        "1" | "on" | "yes" | "true" | "enabled" => Ok(true),
        "0" | "off" | "no" | "false" | "disabled" => Ok(false),
        _ => Err(Fault::Form),
    }
}

/// A text in one line.
pub fn text(text: &str) -> Result<String, Fault> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err(Fault::Form);
    }
    Ok(text.to_owned())
}

/// An absolute path.
pub fn path(text: &str) -> Result<PathBuf, Fault> {
    let path = PathBuf::from(self::text(text)?);
    path.is_absolute().then_some(path).ok_or(Fault::Form)
}

/// The file name of a module, or its absolute path.
pub fn module(text: &str) -> Result<PathBuf, Fault> {
    if text.contains('/') {
        return path(text);
    }
    if matches!(text, "." | "..") {
        return Err(Fault::Form);
    }
    self::text(text).map(PathBuf::from)
}

/// An address that packets can be sent to, also a link-local one.
pub fn next_hop(text: &str) -> Result<Ipv6Addr, Fault> {
    let address = text.parse().map_err(|_| Fault::Form)?;
    match reserved(address) {
        None | Some(Reserved::LinkLocal) => Ok(address),
        Some(reserved) => Err(Fault::Reserved(reserved)),
    }
}

/// An address that packets can be routed to from anywhere.
pub fn segment(text: &str) -> Result<Ipv6Addr, Fault> {
    let address = text.parse().map_err(|_| Fault::Form)?;
    match reserved(address) {
        None => Ok(address),
        Some(reserved) => Err(Fault::Reserved(reserved)),
    }
}

/// `ADDRESS/80`, its low 48 bits zero.
pub fn prefix(text: &str) -> Result<LocatorPrefix, Fault> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: Ipv6Addr = address.parse().map_err(|_| Fault::Form)?;
    // The /80 of `::1` begins at `::`.
    if let Some(reserved) = reserved(masked(address, 80)) {
        return Err(Fault::Reserved(reserved));
    }
    let right = LocatorPrefix::new(masked(address, 80)).ok_or(Fault::Form)?;
    if length != Some("80") {
        return Err(Fault::NotSlash80(right));
    }
    LocatorPrefix::new(address).ok_or(Fault::LowBits(right))
}

fn masked(address: Ipv6Addr, length: u8) -> Ipv6Addr {
    let host = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
    Ipv6Addr::from(u128::from(address) & !host)
}

fn reserved(address: Ipv6Addr) -> Option<Reserved> {
    match address {
        _ if address.is_multicast() => Some(Reserved::Multicast),
        _ if address.is_unspecified() => Some(Reserved::Unspecified),
        _ if address.is_loopback() => Some(Reserved::Loopback),
        _ if address.is_unicast_link_local() => Some(Reserved::LinkLocal),
        _ => None,
    }
}

impl FromStr for Device {
    type Err = Fault;

    /// Stricter than the kernel's `dev_valid_name` in a few characters that would mean something
    /// else in the text that `nft` reads.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let is_valid = matches!(text.len(), 1..=15)
            && !matches!(text, "." | "..")
            && text.bytes().all(|byte| {
                byte.is_ascii_graphic()
                    && !matches!(byte, b'/' | b':' | b'"' | b'\'' | b'\\' | b'*')
            });
        is_valid.then(|| Self(text.to_owned())).ok_or(Fault::Form)
    }
}

impl AsRef<str> for Device {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The bare name: `nft` wants it in quotes.
impl Device {
    /// A device of this name; `None` if no device can be called so.
    pub fn new(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Network {
    type Err = Fault;

    /// `ADDRESS/LENGTH`, or an address alone for its /128.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let (address, length) = text.split_once('/').unwrap_or((text, "128"));
        let address: Ipv6Addr = address.parse().map_err(|_| Fault::Form)?;
        let length = decimal(length)?;
        let length = u8::try_from(length).map_err(|_| Fault::Form)?;
        if length > 128 {
            return Err(Fault::Form);
        }
        let right = Self {
            address: masked(address, length),
            length,
        };
        if right.address == address {
            Ok(right)
        } else {
            Err(Fault::HostBits(right))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for PortRange {
    type Err = Fault;

    /// `N` or `N-M`, each 1 to 65535.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first <= last {
            Ok(Self { first, last })
        } else {
            Err(Fault::Reversed(Self {
                first: last,
                last: first,
            }))
        }
    }
}

fn port(text: &str) -> Result<u16, Fault> {
    match u16::try_from(decimal(text)?) {
        Ok(0) | Err(_) => Err(Fault::Form),
        Ok(port) => Ok(port),
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for MarkMask {
    type Err = Fault;

    /// A number with eight adjacent bits.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let mask = number(text)?;
        let shift = u8::try_from(mask.trailing_zeros()).map_err(|_| Fault::Form)?;
        let found = (shift <= 24).then_some(Self { shift });
        found
            .filter(|found| found.mask() == mask)
            .ok_or(Fault::Form)
    }
}

impl fmt::Display for MarkMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.mask())
    }
}

impl std::error::Error for Fault {}

/// Continues "'VALUE' …".
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("is not of that form"),
            Self::NotSlash80(right) => write!(f, "is not a /80: write '{right}'"),
            Self::LowBits(right) => write!(f, "has bits set behind the /80: write '{right}'"),
            Self::HostBits(right) => write!(f, "has bits set behind its length: write '{right}'"),
            Self::Reserved(reserved) => write!(f, "is {reserved}"),
            Self::Reversed(right) => write!(f, "runs backwards: write '{right}'"),
        }
    }
}

impl fmt::Display for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Multicast => "multicast",
            Self::Unspecified => "the unspecified address",
            Self::Loopback => "the loopback address",
            Self::LinkLocal => "link-local",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same<T: FromStr<Err = Fault> + fmt::Display>(text: &str) {
        match text.parse::<T>() {
            Ok(value) => assert_eq!(value.to_string(), text),
            Err(fault) => panic!("{text}: {fault}"),
        }
    }

    #[test]
    fn what_is_printed_is_what_was_read() {
        for text in ["lo", "br-lan.7", "eth0@if3", "abcdefghijklmno"] {
            same::<Device>(text);
        }
        for text in ["::/0", "2001:db8::/32", "::1/128", "8000::/1"] {
            same::<Network>(text);
        }
        for text in ["1", "80", "80-65535"] {
            same::<PortRange>(text);
        }
        for shift in 0..=24 {
            same::<MarkMask>(&MarkMask { shift }.to_string());
        }
    }

    #[test]
    fn device_names_that_the_kernel_or_nft_would_misread() {
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a:b",
            "a\"b",
            "abcdefghijklmnop",
            "ä",
            "wan*",
        ] {
            assert_eq!(text.parse::<Device>(), Err(Fault::Form), "{text}");
        }
    }

    #[test]
    fn host_bits_are_shown_their_place() {
        let fault = "2001:db8:5::1/48".parse::<Network>().unwrap_err();
        assert!(fault.to_string().ends_with("write '2001:db8:5::/48'"));
        assert_eq!("1::/129".parse::<Network>(), Err(Fault::Form));
        assert_eq!("1::/+8".parse::<Network>(), Err(Fault::Form));
    }

    #[test]
    fn prefixes_are_80_bits_long() {
        assert!(prefix("2001:db8:99::/80").is_ok());
        for (text, right) in [
            ("2001:db8:99::/64", "write '2001:db8:99::/80'"),
            ("2001:db8:99::", "write '2001:db8:99::/80'"),
            ("2001:db8:99::1/80", "write '2001:db8:99::/80'"),
            ("ff02::/80", "is multicast"),
            ("::1/80", "is the unspecified address"),
            ("fe80::/80", "is link-local"),
        ] {
            assert!(
                prefix(text).unwrap_err().to_string().ends_with(right),
                "{text}"
            );
        }
    }

    #[test]
    fn eight_adjacent_bits_and_no_others() {
        for text in [
            "0",
            "0xff00ff00",
            "0x7f",
            "0x1ff",
            "0xff0000000",
            "0x+ff",
            "ff",
            "",
        ] {
            assert_eq!(text.parse::<MarkMask>(), Err(Fault::Form), "{text}");
        }
        assert_eq!("255".parse::<MarkMask>(), Ok(MarkMask { shift: 0 }));
    }

    #[test]
    fn numbers_have_no_sign() {
        assert_eq!(decimal("+1"), Err(Fault::Form));
        assert_eq!(decimal(""), Err(Fault::Form));
        assert_eq!(number("0xffff"), Ok(0xffff));
        assert_eq!(number("4294967296"), Err(Fault::Form));
    }
}
