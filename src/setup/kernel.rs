//! One journal entry's undoing, and one step's doing, against the running kernel.
//!
//! `apply` decides what and in which order; this knows what the kernel's answers mean.

use std::io;

use crate::config::model::Device;
use crate::netlink::link::{self, Kind};
use crate::netlink::route::Route;
use crate::netlink::{self, Socket};
use crate::setup::error::{Error, Obstacle};
use crate::setup::journal::Entry;
use crate::setup::{nft, sysctl};

/// The kernel of the network namespace whose thread opened this.
#[derive(Debug)]
pub struct Kernel {
    /// Links, routes and rules.
    pub route: Socket,
    /// nf_tables.
    pub netfilter: Socket,
}

impl Kernel {
    /// Opens the sockets.
    ///
    /// # Errors
    /// The kernel refuses one.
    pub fn open() -> Result<Self, Error> {
        Ok(Self {
            route: Socket::route()?,
            netfilter: Socket::netfilter()?,
        })
    }

    /// Adds a link, route or rule; when it is `known` (our journal has it), that it is there
    /// already is fine.
    ///
    /// # Errors
    /// Somebody else's is in the way, or the kernel refuses it.
    pub fn add(&mut self, entry: &Entry, known: bool) -> Result<(), Error> {
        let added = match entry {
            Entry::Link(device) => self.add_link(device, known),
            Entry::Route(route) => route.add(&mut self.route),
            Entry::Rule(rule) => rule.add(&mut self.route),
            Entry::Sysctl { .. } | Entry::Table => Ok(()),
        };
        match added {
            Err(error) if error.is(libc::EEXIST) => match obstacle(entry) {
                Some(obstacle) if !known => Err(Error::InTheWay(obstacle)),
                _ => Ok(()),
            },
            other => Ok(other?),
        }
    }

    fn add_link(&mut self, device: &Device, known: bool) -> Result<(), netlink::Error> {
        let made = match link::create(&mut self.route, device, Kind::Dummy) {
            // The kernel has no driver for it, not even as a module.
            Err(error) if error.is(libc::EOPNOTSUPP) => {
                link::create(&mut self.route, device, Kind::Bridge)
            }
            other => other,
        };
        match made {
            Err(error) if error.is(libc::EEXIST) && known => {}
            other => other?,
        }
        link::without_address(&mut self.route, device)?;
        link::up(&mut self.route, device)
    }

    /// Undoes `entry`; `false` when there was nothing to undo any more.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn undo(&mut self, entry: &Entry) -> Result<bool, Error> {
        let (undone, gone) = match entry {
            Entry::Sysctl { key, was, set } => return restore(key, was, set),
            Entry::Link(device) => (link::delete(&mut self.route, device), &[libc::ENODEV][..]),
            // A route without its device is gone with it.
            Entry::Route(route) => (
                route.delete(&mut self.route),
                &[libc::ESRCH, libc::ENODEV][..],
            ),
            Entry::Rule(rule) => (rule.delete(&mut self.route), &[libc::ENOENT][..]),
            Entry::Table => (nft::delete(&mut self.netfilter), &[libc::ENOENT][..]),
        };
        match undone {
            Ok(()) => Ok(true),
            Err(error) if gone.iter().any(|code| error.is(*code)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Puts a sysctl back, unless somebody has changed it since or it went with its device.
fn restore(key: &str, was: &str, set: &str) -> Result<bool, Error> {
    match sysctl::read(key) {
        Ok(now) if now != set => Ok(false),
        Ok(_) => match sysctl::write(key, was) {
            Ok(()) => Ok(true),
            Err(source) => Err(Error::sysctl(key, Some(was), source)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::sysctl(key, None, source)),
    }
}

fn obstacle(entry: &Entry) -> Option<Obstacle> {
    match entry {
        Entry::Link(device) => Some(Obstacle::Link(device.clone())),
        Entry::Rule(rule) => Some(Obstacle::Rule {
            preference: rule.preference,
        }),
        Entry::Route(route) => Some(Obstacle::Route {
            wanted: Route::to_string(route),
            table: route.table,
        }),
        Entry::Sysctl { .. } | Entry::Table => None,
    }
}
