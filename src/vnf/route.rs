//! `func_route` and `func_routed`: where a function sends a flow, checked before it counts.
//!
//! SAFETY comments quote `srv6pipes_vnf.h`.
#![allow(unsafe_code, reason = "every call here goes to C")]

use std::error::Error;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};

use srv6pipes_vnf::abi;

use crate::vnf::active::Active;
use crate::vnf::c::{c_flow, size_of_abi};
use crate::vnf::{FlowInfo, Route, Routed};
use crate::wire::ipv6::is_host;

/// A function has no place for a flow to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteError {
    /// The function's name.
    pub function: String,
    /// Why.
    pub fault: RouteFault,
}

/// What is wrong with what `func_route` answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteFault {
    /// It returned this number: there is nowhere to go (any more).
    Refused(i32),
    /// The server it chose is no address of one host, or has port 0.
    Server(SocketAddrV6),
    /// The next segment it chose is no address of one host.
    NextSegment(Ipv6Addr),
    /// It changed what it may only read.
    ReadOnly,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function '{}' ", self.function)?;
        match self.fault {
            RouteFault::Refused(code) => write!(f, "has nowhere to send the flow ({code})"),
            RouteFault::Server(server) => {
                write!(f, "chose the server {server}, which is none")
            }
            RouteFault::NextSegment(segment) => {
                write!(f, "chose the next segment {segment}, which is none")
            }
            RouteFault::ReadOnly => {
                f.write_str("changed a field of the route that it may only read")
            }
        }
    }
}

impl Error for RouteError {}

impl Active {
    /// Whether there is a `func_route` to ask.
    pub fn routes(&self) -> bool {
        self.calls.route.is_some()
    }

    /// Whether its flows want `func_report`.
    pub fn reports(&self) -> bool {
        self.calls.report.is_some()
    }

    /// `func_route`, on a worker thread; `route` is untouched by an error.
    pub fn route(&self, flow: &FlowInfo, route: &mut Route) -> Result<(), RouteError> {
        let Some(call) = self.calls.route else {
            return Ok(());
        };
        let flow = c_flow(&FlowInfo {
            id: 0,
            choice: 0,
            ..*flow
        });
        let mut place = c_route(route);
        // SAFETY: `self.state` is what func_init set, func_deinit has not run while `self` lives,
        // and both structures are ours and outlive the call.
        let code = unsafe { call(self.state, &raw const flow, &raw mut place) };
        let fail = |fault| RouteError {
            function: self.name.clone(),
            fault,
        };
        if code != 0 {
            return Err(fail(RouteFault::Refused(code)));
        }
        *route = checked(route, &place).map_err(|fault| {
            self.routed(place.choice, Routed::Dropped);
            fail(fault)
        })?;
        Ok(())
    }

    /// `func_routed`, on a worker thread.
    pub fn routed(&self, choice: u64, event: Routed) {
        let Some(call) = self.calls.routed else {
            return;
        };
        let event = match event {
            Routed::Connected => abi::ROUTE_CONNECTED,
            Routed::Failed => abi::ROUTE_FAILED,
            Routed::Dropped => abi::ROUTE_DROPPED,
            Routed::Ended => abi::ROUTE_ENDED,
        };
        // SAFETY: as in `route`; any two numbers are allowed.
        unsafe { call(self.state, choice, event) };
    }
}

fn c_route(route: &Route) -> abi::Route {
    abi::Route {
        struct_size: size_of_abi::<abi::Route>(),
        attempt: route.attempt,
        server_address: route.server.ip().octets(),
        next_segment: route.next_segment.map_or([0; 16], |next| next.octets()),
        server_port: route.server.port(),
        has_next_segment: u16::from(route.next_segment.is_some()),
        choice: 0,
    }
}

/// What the function made of `asked`. What it left as it was is not judged: that was the client's
/// choice, or that of the function before.
fn checked(asked: &Route, place: &abi::Route) -> Result<Route, RouteFault> {
    let was = c_route(asked);
    let read_only = |route: &abi::Route| (route.struct_size, route.attempt, route.has_next_segment);
    if read_only(place) != read_only(&was) {
        return Err(RouteFault::ReadOnly);
    }
    let server = SocketAddrV6::new(
        Ipv6Addr::from(place.server_address),
        place.server_port,
        0,
        0,
    );
    let is_new = (server.ip(), server.port()) != (asked.server.ip(), asked.server.port());
    if is_new && (server.port() == 0 || !is_host(*server.ip())) {
        return Err(RouteFault::Server(server));
    }
    let chosen = Ipv6Addr::from(place.next_segment);
    let next_segment = asked.next_segment.map(|_| chosen);
    if next_segment != asked.next_segment && !is_host(chosen) {
        return Err(RouteFault::NextSegment(chosen));
    }
    Ok(Route {
        attempt: asked.attempt,
        server,
        next_segment,
        choice: place.choice,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Route {
        Route {
            attempt: 2,
            server: "[2001:db8::1]:80".parse().unwrap(),
            next_segment: Some("fc00::1".parse().unwrap()),
            choice: 0,
        }
    }

    /// What becomes of [`asked`] when the function changes it so.
    fn after(change: impl FnOnce(&mut abi::Route)) -> Result<Route, RouteFault> {
        let mut place = c_route(&asked());
        change(&mut place);
        checked(&asked(), &place)
    }

    fn octets(address: &str) -> [u8; 16] {
        address.parse::<Ipv6Addr>().unwrap().octets()
    }

    #[test]
    fn hosts_may_be_chosen() {
        assert_eq!(after(|_| ()), Ok(asked()));
        let chosen = after(|route| {
            route.server_address = octets("2001:db8::2");
            route.server_port = 81;
            route.next_segment = octets("fc00::2");
            route.choice = u64::MAX;
        });
        let expected = Route {
            attempt: 2,
            server: "[2001:db8::2]:81".parse().unwrap(),
            next_segment: Some("fc00::2".parse().unwrap()),
            choice: u64::MAX,
        };
        assert_eq!(chosen, Ok(expected));
    }

    #[test]
    fn anything_else_may_not() {
        for address in ["::", "::1", "ff02::1", "fe80::1", "::ffff:192.0.2.1"] {
            let server = after(|route| route.server_address = octets(address));
            assert!(matches!(server, Err(RouteFault::Server(_))), "{address}");
            let next = after(|route| route.next_segment = octets(address));
            let expected = RouteFault::NextSegment(address.parse().unwrap());
            assert_eq!(next, Err(expected));
        }
        let port = after(|route| route.server_port = 0);
        assert!(matches!(port, Err(RouteFault::Server(_))));
    }

    #[test]
    fn what_was_there_before_is_not_judged() {
        let asked = Route {
            server: "[::1]:80".parse().unwrap(),
            next_segment: Some(Ipv6Addr::LOCALHOST),
            ..asked()
        };
        assert_eq!(checked(&asked, &c_route(&asked)), Ok(asked));
    }

    #[test]
    fn a_next_segment_is_neither_added_nor_taken_away() {
        assert_eq!(
            after(|route| route.has_next_segment = 0),
            Err(RouteFault::ReadOnly)
        );
        assert_eq!(after(|route| route.attempt = 0), Err(RouteFault::ReadOnly));
        assert_eq!(
            after(|route| route.struct_size = 0),
            Err(RouteFault::ReadOnly)
        );
        let last = Route {
            next_segment: None,
            ..asked()
        };
        let mut place = c_route(&last);
        place.next_segment = octets("fc00::2");
        assert_eq!(checked(&last, &place), Ok(last), "means nothing there");
        place.has_next_segment = 1;
        assert_eq!(checked(&last, &place), Err(RouteFault::ReadOnly));
    }
}
