//! Network devices: their index by name, and the one device we make.
//!
//! Read first: rtnetlink(7), `include/uapi/linux/if_link.h`.

use std::fmt;
use std::io;

use crate::config::model::Device;
use crate::netlink::message::{Message, attribute, c_string, u32_at};
use crate::netlink::{Error, Socket, uapi};

/// What kind of device to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `dummy`: a device that leads nowhere.
    Dummy,
    /// `bridge`: without ports it leads nowhere too.
    Bridge,
}

/// A device as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Whether it is switched on (`IFF_UP`).
    pub up: bool,
}

/// Finds a device; `ENODEV` when there is none.
///
/// # Errors
/// The kernel's refusal.
pub fn find(socket: &mut Socket, device: &Device) -> Result<Link, Error> {
    let op = format!("find device {device}");
    let message = Message::new(libc::RTM_GETLINK, &header(0, 0, 0))
        .attribute(uapi::IFLA_IFNAME, &c_string(device.as_str()));
    let answers = socket.ask(&op, message)?;
    // struct ifinfomsg: the index at 4, the flags at 8.
    answers
        .first()
        .and_then(|answer| {
            Some(Link {
                index: u32_at(answer, 4)?,
                up: u32_at(answer, 8)? & UP != 0,
            })
        })
        .ok_or_else(|| Error::new(&op, io::Error::from_raw_os_error(libc::ENODEV)))
}

/// A device's index.
///
/// # Errors
/// As [`find`].
pub fn index(socket: &mut Socket, device: &Device) -> Result<u32, Error> {
    find(socket, device).map(|link| link.index)
}

/// Makes a device; `EEXIST` when the name is taken, `EOPNOTSUPP` without its driver.
///
/// # Errors
/// The kernel's refusal.
pub fn create(socket: &mut Socket, device: &Device, kind: Kind) -> Result<(), Error> {
    let info = attribute(uapi::IFLA_INFO_KIND, kind.name().as_bytes());
    let message = Message::new(libc::RTM_NEWLINK, &header(0, 0, 0))
        .flags(uapi::NLM_F_CREATE | uapi::NLM_F_EXCL)
        .attribute(uapi::IFLA_IFNAME, &c_string(device.as_str()))
        .attribute(uapi::IFLA_LINKINFO | uapi::NLA_F_NESTED, &info);
    socket.request(&format_args!("add link {device} type {kind}"), message)
}

/// Keeps the kernel from giving the device a link-local address when it goes up: nobody talks on
/// it, and the address would bring a second `fe80::/64` route.
///
/// # Errors
/// The kernel's refusal.
pub fn without_address(socket: &mut Socket, device: &Device) -> Result<(), Error> {
    let family = u16::try_from(libc::AF_INET6).expect("AF_INET6 is 10");
    let mode = attribute(
        uapi::IFLA_INET6_ADDR_GEN_MODE,
        &[uapi::IN6_ADDR_GEN_MODE_NONE],
    );
    let per_family = attribute(family | uapi::NLA_F_NESTED, &mode);
    let message = Message::new(libc::RTM_NEWLINK, &header(index(socket, device)?, 0, 0))
        .attribute(uapi::IFLA_AF_SPEC | uapi::NLA_F_NESTED, &per_family);
    socket.request(&format_args!("set link {device} addrgenmode none"), message)
}

/// Switches a device on.
///
/// # Errors
/// The kernel's refusal.
pub fn up(socket: &mut Socket, device: &Device) -> Result<(), Error> {
    let message = Message::new(libc::RTM_NEWLINK, &header(index(socket, device)?, UP, UP));
    socket.request(&format_args!("set link {device} up"), message)
}

/// Deletes a device; `ENODEV` when there is none.
///
/// # Errors
/// The kernel's refusal.
pub fn delete(socket: &mut Socket, device: &Device) -> Result<(), Error> {
    let message = Message::new(libc::RTM_DELLINK, &header(index(socket, device)?, 0, 0));
    socket.request(&format_args!("delete link {device}"), message)
}

/// `IFF_UP` (linux/if.h).
const UP: u32 = 1;

/// `struct ifinfomsg`: family and padding, type, index, flags, which flags to change.
fn header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&change.to_ne_bytes());
    bytes
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Dummy => "dummy",
            Self::Bridge => "bridge",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
