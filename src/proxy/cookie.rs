//! Connections that the kernel made from a SYN cookie, as it does while more SYNs wait than the
//! listener's queue holds. It keeps none of those SYNs; but the packet that brings the cookie back
//! carries the flow's SRH as well, and the kernel hands that out if it was asked to before
//! (`IPV6_RECVRTHDR`, RFC 3542 section 7).
//!
//! It is asked only while there are such connections: it would clone each packet with an SRH. So
//! the first of them, one for each worker, finds no SRH and is reset.
//!
//! Read first: `tcp_conn_request` (net/ipv4/tcp_input.c), `cookie_v6_check`
//! (net/ipv6/syncookies.c), `tcp_v6_syn_recv_sock` (net/ipv6/tcp_ipv6.c).

use std::cell::Cell;
use std::io;
use std::net::SocketAddrV6;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::proxy::itinerary::Refusal;
use crate::sys::{option, socket};
use crate::wire::srh::{Srh, SrhRepr};
use crate::wire::syn::Syn;

/// How long a listener goes on asking after the last cookie.
const ASKING: Duration = Duration::from_secs(60);
/// How long accepted sockets may then still have the question from it: more than they wait in
/// its queue.
const ASKED: Duration = Duration::from_secs(10);

/// What a worker knows of cookies.
#[derive(Debug, Default)]
pub struct Cookies {
    state: Cell<State>,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// Nobody needs one.
    #[default]
    None,
    /// The listener asks for routing headers, until then at least.
    Asking(Instant),
    /// It asks no more, but whom it accepts until then may.
    Asked(Instant),
}

impl Cookies {
    /// What is left of the SYN of a connection that has no saved one.
    ///
    /// # Errors
    /// The headers cannot be read, or were not kept: from now on they are.
    pub fn syn(
        &self,
        listener: &OwnedFd,
        inbound: &OwnedFd,
        client: SocketAddrV6,
    ) -> Result<Syn, Refusal> {
        if !matches!(self.state.get(), State::Asking(_)) {
            told(option::receive_routing_header(listener, true));
        }
        self.state.set(State::Asking(Instant::now() + ASKING));
        let header = option::received_routing_header(inbound).ok().flatten();
        let header = header.ok_or(Refusal::NoSrh)?;
        let server = socket::local(inbound).map_err(|_| Refusal::NoSrh)?;
        let srh = Srh::new_checked(header.as_slice()).map(|srh| SrhRepr::parse(&srh));
        Ok(Syn::of_cookie(
            client,
            server,
            srh.map_err(Refusal::Malformed)?,
        ))
    }

    /// Lets an accepted socket keep no more headers, if its listener made it do so.
    pub fn forget(&self, listener: &OwnedFd, inbound: &OwnedFd) {
        match self.state.get() {
            State::None => return,
            State::Asking(until) if until <= Instant::now() => {
                told(option::receive_routing_header(listener, false));
                self.state.set(State::Asked(Instant::now() + ASKED));
            }
            State::Asked(until) if until <= Instant::now() => self.state.set(State::None),
            State::Asking(_) | State::Asked(_) => {}
        }
        told(option::receive_routing_header(inbound, false));
    }
}

fn told(asked: io::Result<()>) {
    if let Err(error) = asked {
        log::debug!("set IPV6_RECVRTHDR: {error}");
    }
}
