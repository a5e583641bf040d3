//! What `door` hands over when it lets a flow in.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::{Duration, Instant};

use crate::flow::FlowKey;
use crate::proxy::course::{Choices, Course};
use crate::proxy::stage::Chain;
use crate::sys::end::End;

/// What is needed to begin a flow.
#[derive(Debug)]
pub struct Beginning {
    /// What functions know the flow by.
    pub id: u64,
    /// The client.
    pub client: SocketAddrV6,
    /// The final destination.
    pub server: SocketAddrV6,
    /// The SID of ours that the client's packets come to, if they have an SRH.
    pub came_to: Option<Ipv6Addr>,
    /// As the capture knows it that held its SYN, with the SYN's initial sequence number; `None`
    /// with `saved_syn`.
    pub held: Option<(FlowKey, u32)>,
    /// The accepted socket.
    pub inbound: End,
    /// The next segment's, connected or not.
    pub outbound: End,
    /// The functions.
    pub chain: Chain,
    /// How long the next segment has to answer; `None` if it has.
    pub connect_timeout: Option<Duration>,
    /// When it was asked.
    pub asked: Instant,
    /// How long it took to answer, if it has.
    pub answered_after: Option<Duration>,
    /// How long nothing may move.
    pub idle_timeout: Duration,
    /// What functions chose to have it go there.
    pub choices: Choices,
    /// Instead of that, and of the functions: the way that they may still change, as long as the
    /// next segment has not answered.
    pub undecided: Option<Box<Course>>,
}
