//! One flow's life, as a machine that is told what happened and says what to do.
//!
//! ```text
//!  Connecting ──connected──▶ Piping ──both FINs out──▶ closed in order
//!      │                       │
//!      └─ refused, late ───────┴─ reset, idle, function ──▶ both ends reset
//! ```
//! The clock and the worker's pools come in as arguments.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollFlags;

use crate::config::model::FunctionFailure;
use crate::proxy::outcome::Outcome;
use crate::proxy::pipe::{Failure, Pipe, Pools, Pumped};
use crate::proxy::stage::Chain;
use crate::sys::end::End;
use crate::vnf::Direction;

/// How long a flow that a function closed may go on sending what nobody reads.
const CLOSE_LINGER: Duration = Duration::from_secs(5);

/// Which of a flow's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Inbound,
    /// The next segment's.
    Outbound,
}

/// What a flow's worker should do next.
#[derive(Debug)]
pub enum Action {
    /// Wait for an event.
    Wait,
    /// Call again after the others had their turn.
    Again,
    /// The flow is over.
    Close(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    Piping,
    /// A function has closed the flow: what was produced is delivered.
    Closing,
}

/// One flow.
#[derive(Debug)]
pub struct Session {
    /// The client.
    pub client: SocketAddrV6,
    /// The final destination.
    pub server: SocketAddrV6,
    /// The SID of ours that the client's packets come to, if they have an SRH.
    pub came_to: Option<Ipv6Addr>,
    /// When its connection was accepted.
    pub began: Instant,
    state: State,
    inbound: End,
    outbound: End,
    chain: Chain,
    upstream: Pipe,
    downstream: Pipe,
    idle_timeout: Duration,
    deadline: Instant,
}

/// What is needed to begin a flow.
#[derive(Debug)]
pub struct Beginning {
    /// The client.
    pub client: SocketAddrV6,
    /// The final destination.
    pub server: SocketAddrV6,
    /// The SID of ours that the client's packets come to, if they have an SRH.
    pub came_to: Option<Ipv6Addr>,
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

impl Session {
    /// A flow that has just been accepted.
    pub fn new(beginning: Beginning, now: Instant) -> Self {
        let functions = beginning.chain.len();
        let (state, patience) = match beginning.connect_timeout {
            Some(timeout) => (State::Connecting, timeout),
            None => (State::Piping, beginning.idle_timeout),
        };
        Self {
            client: beginning.client,
            server: beginning.server,
            came_to: beginning.came_to,
            began: now,
            state,
            inbound: beginning.inbound,
            outbound: beginning.outbound,
            chain: beginning.chain,
            upstream: Pipe::new(Direction::Upstream, functions),
            downstream: Pipe::new(Direction::Downstream, functions),
            idle_timeout: beginning.idle_timeout,
            deadline: now + patience,
        }
    }

    /// epoll said something about one side.
    pub fn note(&mut self, side: Side, events: EpollFlags) -> Option<Outcome> {
        let end = match side {
            Side::Inbound => &mut self.inbound,
            Side::Outbound => &mut self.outbound,
        };
        end.note(events);
        if !events.contains(EpollFlags::EPOLLERR) {
            return None;
        }
        let error = end.take_error()?;
        Some(match (side, self.state) {
            (Side::Inbound, _) => Outcome::ClientGone(error),
            (Side::Outbound, State::Connecting) => Outcome::NotConnected(error),
            (Side::Outbound, _) => Outcome::ServerGone(error),
        })
    }

    /// Goes on as far as the ends allow.
    pub fn step(&mut self, now: Instant, pools: &mut Pools) -> Action {
        if self.state == State::Connecting {
            if !self.outbound.writable() {
                return Action::Wait;
            }
            if let Some(error) = self.outbound.take_error() {
                return Action::Close(Outcome::NotConnected(error));
            }
            self.enter(State::Piping);
            self.deadline = now + self.idle_timeout;
        }
        let before = self.moved();
        let action = self.pump(now, pools);
        if self.moved() != before && self.state == State::Piping {
            self.deadline = now + self.idle_timeout;
        }
        action
    }

    fn pump(&mut self, now: Instant, pools: &mut Pools) -> Action {
        let mut turn_over = false;
        for direction in [Direction::Upstream, Direction::Downstream] {
            loop {
                let (pipe, source, sink) = match direction {
                    Direction::Upstream => {
                        (&mut self.upstream, &mut self.inbound, &mut self.outbound)
                    }
                    Direction::Downstream => {
                        (&mut self.downstream, &mut self.outbound, &mut self.inbound)
                    }
                };
                match pipe.pump(source, sink, &mut self.chain, pools) {
                    Ok(Pumped::Waiting | Pumped::Finished) => break,
                    Ok(Pumped::TurnOver) => {
                        turn_over = true;
                        break;
                    }
                    Err(failure) => match self.absorb(direction, failure, now) {
                        None => {}
                        Some(outcome) => return Action::Close(outcome),
                    },
                }
            }
        }
        match (
            self.upstream.finished() && self.downstream.finished(),
            self.state,
        ) {
            (true, State::Closing) if self.linger_over() => Action::Close(Outcome::ByFunction),
            (true, State::Closing) => Action::Wait,
            (true, _) => Action::Close(Outcome::Finished),
            (false, _) if turn_over => Action::Again,
            (false, _) => Action::Wait,
        }
    }

    /// The deadline has passed, if it has: connect, idle or linger.
    pub fn late(&self, now: Instant) -> Option<Outcome> {
        (self.deadline <= now).then_some(match self.state {
            State::Connecting => Outcome::ConnectTimeout,
            State::Piping => Outcome::Idle,
            State::Closing => Outcome::ByFunction,
        })
    }

    /// When to ask [`Self::late`] again.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the next segment has answered.
    pub fn connected(&self) -> bool {
        self.state != State::Connecting
    }

    /// The state's name, for `flows`.
    pub fn state_name(&self) -> &'static str {
        match (
            self.state,
            self.upstream.finished(),
            self.downstream.finished(),
        ) {
            (State::Connecting, ..) => "connecting",
            (State::Closing, ..) => "closing",
            (State::Piping, false, false) => "piping",
            (State::Piping, ..) => "half-closed",
        }
    }

    /// One of the two sockets, to be watched.
    pub fn socket(&self, side: Side) -> BorrowedFd<'_> {
        match side {
            Side::Inbound => self.inbound.as_fd(),
            Side::Outbound => self.outbound.as_fd(),
        }
    }

    /// The functions, for `flows`.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The two directions: upstream, downstream.
    pub fn pipes(&self) -> (&Pipe, &Pipe) {
        (&self.upstream, &self.downstream)
    }

    /// Ends the flow; unless it ended in order, both ends see a reset.
    pub fn close(mut self, outcome: &Outcome, pools: &mut Pools) {
        self.upstream.release(pools);
        self.downstream.release(pools);
        let in_order = match outcome {
            Outcome::Finished => true,
            Outcome::ByFunction => self.upstream.finished() && self.downstream.finished(),
            _ => false,
        };
        if !in_order {
            self.inbound.reset_on_close();
            self.outbound.reset_on_close();
        }
    }

    /// What a failure of one direction means for the flow; `None`: pump again.
    fn absorb(&mut self, direction: Direction, failure: Failure, now: Instant) -> Option<Outcome> {
        let (place, broken) = match (failure, direction) {
            (Failure::Source(error), Direction::Upstream)
            | (Failure::Sink(error), Direction::Downstream) => {
                return Some(Outcome::ClientGone(error));
            }
            (Failure::Source(error), Direction::Downstream)
            | (Failure::Sink(error), Direction::Upstream) => {
                return Some(Outcome::ServerGone(error));
            }
            (Failure::Reset, _) => return Some(Outcome::ByFunction),
            (Failure::Close, _) => {
                self.upstream.close();
                self.downstream.close();
                self.enter(State::Closing);
                self.deadline = now + CLOSE_LINGER;
                return None;
            }
            (Failure::Function(place, broken), _) => (place, broken),
        };
        let other = self.chain.len().saturating_sub(place + 1);
        let stage = self.chain.stage(direction, place)?;
        stage.counters.broken_flows.one();
        if stage.on_failure == FunctionFailure::Reset {
            return Some(Outcome::Broken(stage.id, broken));
        }
        log::debug!("function {:#06x} passes from now on: it {broken}", stage.id);
        match direction {
            Direction::Upstream => {
                self.upstream.pass(place);
                self.downstream.pass(other);
            }
            Direction::Downstream => {
                self.downstream.pass(place);
                self.upstream.pass(other);
            }
        }
        None
    }

    fn linger_over(&self) -> bool {
        self.inbound.ended() && self.outbound.ended()
    }

    fn moved(&self) -> [u64; 4] {
        let (up, down) = self.pipes();
        [up.read, up.written, down.read, down.written]
    }

    fn enter(&mut self, state: State) {
        log::trace!("flow of {}: {:?} => {state:?}", self.client, self.state);
        self.state = state;
    }
}
