//! What `door` hands over when it lets a flow in.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use crate::proxy::stage::Chain;
use crate::sys::end::End;

/// What is needed to begin a flow.
#[derive(Debug)]
pub struct Beginning {
    /// The client.
    pub client: SocketAddrV6,
    /// The final destination.
    pub server: SocketAddrV6,
    /// The SID of ours that the client's packets come to, if they have an SRH.
    pub came_to: Option<Ipv6Addr>,
    /// The initial sequence number of the SYN that the capture held; `None` with `saved_syn`.
    pub isn: Option<u32>,
    /// The accepted socket.
    pub inbound: End,
    /// The next segment's, connected or not.
    pub outbound: End,
    /// The functions.
    pub chain: Chain,
    /// How long the next segment has to answer; `None` if it has.
    pub connect_timeout: Option<Duration>,
    /// How long nothing may move.
    pub idle_timeout: Duration,
}
