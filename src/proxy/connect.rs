//! To the next segment, from the client's address.

use std::io;
use std::net::SocketAddrV6;
use std::os::fd::OwnedFd;

use crate::proxy::course::Course;
use crate::proxy::itinerary::{Itinerary, Refusal};
use crate::stats::Counters;
use crate::sys::own_address::OwnAddress;
use crate::sys::socket;

/// Why a flow does not get to a next segment.
#[derive(Debug)]
pub enum Dead {
    /// None could be connected; how the last one failed.
    NotConnected(io::Error),
    /// A function chose what cannot be.
    Refused(Refusal),
}

/// Starts the outbound connection of a flow, to the first choice of its functions that can be
/// asked at all. `at_once` says that the client's bytes are waiting for it ([`socket::next_segment`]).
///
/// # Errors
/// When there is none, or none left.
pub fn begin(
    course: &mut Course,
    at_once: bool,
    own: &OwnAddress,
    counters: &Counters,
) -> Result<OwnedFd, Dead> {
    match start(&course.itinerary, at_once, counters) {
        Ok(outbound) => Ok(outbound),
        Err(error) => begin_again(course, at_once, error, own, counters),
    }
}

/// As [`begin`], after the last choice has failed by `error`.
///
/// # Errors
/// As [`begin`]'s; `error` itself if no function chooses another way.
pub fn begin_again(
    course: &mut Course,
    at_once: bool,
    mut error: io::Error,
    own: &OwnAddress,
    counters: &Counters,
) -> Result<OwnedFd, Dead> {
    // What we lack ourselves is not the fault of what was chosen, nor is there more of it elsewhere.
    while Cause::of(&error) != Cause::NoResources {
        let first = course.attempt() == 0;
        if !course.choose_again(own).map_err(Dead::Refused)? {
            break;
        }
        if first {
            counters.rerouted_flows.one();
        }
        match start(&course.itinerary, at_once, counters) {
            Ok(outbound) => return Ok(outbound),
            Err(next) => error = next,
        }
    }
    Err(Dead::NotConnected(error))
}

/// Starts the outbound connection of a flow.
///
/// It leaves from the client's own port, except when the way comes back to us, or when that port
/// already speaks to this server: a second visit, or a connection in TIME_WAIT (thesis section
/// 3.4.6). Another port of the client's address serves then; waiting for a minute would not.
fn start(itinerary: &Itinerary, at_once: bool, counters: &Counters) -> io::Result<OwnedFd> {
    let header = itinerary.routing_header.as_deref();
    let any_port = SocketAddrV6::new(*itinerary.client.ip(), 0, 0, 0);
    if !itinerary.visits_again {
        match socket::next_segment(itinerary.client, itinerary.server, header, at_once) {
            Err(error) if taken(&error) => {}
            answer => return answer.map_err(as_a_router_says),
        }
    }
    counters.other_port_flows.one();
    socket::next_segment(any_port, itinerary.server, header, at_once).map_err(as_a_router_says)
}

/// connect(2) itself fails with `EHOSTUNREACH` only for a route of type `unreachable`, about which
/// a Linux router says "no route" (`ip6_pkt_discard`, net/ipv6/route.c); that a neighbour does not
/// answer comes later.
fn as_a_router_says(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EHOSTUNREACH) => io::Error::from_raw_os_error(libc::ENETUNREACH),
        _ => error,
    }
}

fn taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse
    )
}

/// What kept a flow from its next segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It answered with a reset.
    Refused,
    /// No way leads there, or a router on the way said so.
    Unreachable,
    /// No answer.
    Timeout,
    /// Descriptors, memory or ports ran out here.
    NoResources,
}

impl Cause {
    /// Sorts an error of connect(2).
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::ECONNRESET) => Self::Refused,
            Some(libc::ETIMEDOUT) => Self::Timeout,
            Some(
                libc::EMFILE
                | libc::ENFILE
                | libc::ENOBUFS
                | libc::ENOMEM
                | libc::EADDRNOTAVAIL
                | libc::EADDRINUSE,
            ) => Self::NoResources,
            _ => Self::Unreachable,
        }
    }

    /// Counts it.
    pub fn count(self, counters: &Counters) {
        match self {
            Self::Refused => counters.next_refused_flows.one(),
            Self::Unreachable => counters.next_unreachable_flows.one(),
            Self::Timeout => counters.next_timeout_flows.one(),
            Self::NoResources => counters.no_resources_flows.one(),
        }
    }
}
