//! One flow's life, as a machine that is told what happened and says what to do.
//!
//! ```text
//!  Connecting ──connected──▶ Piping ──both FINs out──▶ closed in order
//!    │ ▲  │                    │
//!    └─┘  └─ refused, late ────┴─ reset, idle, function ──▶ both ends reset
//!  elsewhere
//! ```
//! Refused or late, it goes elsewhere if functions of its own choose another way.
//!
//! A function may say that it wants no more while a peer still sends. What comes then is read and
//! dropped for a while, since closing a socket with unread bytes in it is a reset (RFC 2525,
//! section 2.17), and that could overtake what the peer has not read yet.
//!
//! A reset does not overtake the bytes before it either: what the lost end had sent is carried on
//! first, as far as functions and the other end take it without waiting.
//!
//! A function that waits is called in a step, too: after [`Session::wake`], or when the flow is
//! [`Session::due`]. That moves the idle timeout only if bytes move.
//!
//! The clock and the worker's pools come in as arguments.

mod beginning;
mod elsewhere;
mod failure;
#[cfg(test)]
mod tests;
mod times;

use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollFlags;

use crate::flow::FlowKey;
use crate::proxy::course::{Choices, Course};
use crate::proxy::outcome::Outcome;
use crate::proxy::pipe::{Pipe, Pools, Pumped};
use crate::proxy::stage::Chain;
use crate::sys::end::End;
use crate::vnf::Direction;

pub use beginning::Beginning;
use times::Times;

/// How long a peer may go on sending what nobody reads, after all that is for it has been sent.
const LINGER: Duration = Duration::from_secs(5);

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
    /// Both FINs are out, but a peer has not sent its own.
    Lingering,
}

/// One flow.
#[derive(Debug)]
pub struct Session {
    /// What functions know it by.
    pub id: u64,
    /// The client.
    pub client: SocketAddrV6,
    /// The final destination, as functions chose it.
    pub server: SocketAddrV6,
    /// The SID of ours that the client's packets come to, if they have an SRH.
    pub came_to: Option<Ipv6Addr>,
    /// As the capture knows it that held its SYN, with the SYN's initial sequence number; `None`
    /// with `saved_syn`.
    pub held: Option<(FlowKey, u32)>,
    /// When its connection was accepted.
    pub began: Instant,
    state: State,
    inbound: End,
    outbound: End,
    chain: Chain,
    upstream: Pipe,
    downstream: Pipe,
    /// A function has closed the flow.
    closed: bool,
    /// The end whose connection broke, and how; nothing is written to it any more.
    lost: Option<(Side, Outcome)>,
    idle_timeout: Duration,
    deadline: Instant,
    choices: Choices,
    undecided: Option<Box<Course>>,
    /// When the next segment was asked, this one.
    asked: Instant,
    /// How long it took to answer, if it has.
    answered_after: Option<Duration>,
    /// `None` if no function wants to know.
    times: Option<Box<Times>>,
}

impl Session {
    /// A flow that has just been accepted.
    pub fn new(beginning: Beginning, now: Instant) -> Self {
        let mut chain = beginning.chain;
        let (state, patience) = match beginning.connect_timeout {
            Some(timeout) => (State::Connecting, timeout),
            None => (State::Piping, beginning.idle_timeout),
        };
        let mut session = Self {
            id: beginning.id,
            client: beginning.client,
            server: beginning.server,
            came_to: beginning.came_to,
            held: beginning.held,
            began: now,
            state,
            inbound: beginning.inbound,
            outbound: beginning.outbound,
            upstream: Pipe::new(Direction::Upstream, &mut chain),
            downstream: Pipe::new(Direction::Downstream, &mut chain),
            chain,
            closed: false,
            lost: None,
            idle_timeout: beginning.idle_timeout,
            deadline: now + patience,
            choices: beginning.choices,
            undecided: beginning.undecided,
            asked: beginning.asked,
            answered_after: beginning.answered_after,
            times: None,
        };
        session.take_times();
        session
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
        match (side, self.state) {
            (Side::Inbound, State::Connecting) => Some(Outcome::ClientGone(error)),
            (Side::Outbound, State::Connecting) => Some(Outcome::NotConnected(error)),
            _ => self.lose(side, error).err(),
        }
    }

    /// Goes on as far as the ends allow.
    pub fn step(&mut self, now: Instant, pools: &mut Pools) -> Action {
        if self.state == State::Connecting {
            if !self.outbound.writable() {
                return Action::Wait;
            }
            // If it has failed, epoll has said more than that it is writable.
            if self.outbound.hung_up()
                && let Some(error) = self.outbound.take_error()
            {
                return Action::Close(Outcome::NotConnected(error));
            }
            self.note_answer(now);
            if let Err(refusal) = self.decide() {
                return Action::Close(Outcome::Refused(refusal));
            }
            self.enter(State::Piping);
            self.deadline = now + self.idle_timeout;
        }
        let before = self.moved();
        let action = self.pump(now, pools);
        if self.moved() != before {
            self.note_bytes(now);
            if self.state != State::Lingering {
                self.deadline = now + self.idle_timeout;
            }
        }
        action
    }

    fn pump(&mut self, now: Instant, pools: &mut Pools) -> Action {
        let known_lost = self.lost.is_some();
        let turn_over = match self.pump_both(now, pools) {
            Ok(turn_over) => turn_over,
            Err(outcome) => return Action::Close(outcome),
        };
        if self.lost.is_some() && (turn_over || !known_lost) {
            return Action::Again;
        }
        if let Some((_, outcome)) = self.lost.take() {
            return Action::Close(outcome);
        }
        if self.sent_all() {
            if self.inbound.ended() && self.outbound.ended() {
                return Action::Close(self.in_order());
            }
            if self.state != State::Lingering {
                self.enter(State::Lingering);
                self.deadline = now + LINGER;
            }
        }
        if turn_over {
            Action::Again
        } else {
            Action::Wait
        }
    }

    /// Both directions, and again from the start when one of them has changed the other; whether
    /// there is more to do.
    fn pump_both(&mut self, now: Instant, pools: &mut Pools) -> Result<bool, Outcome> {
        'changed: loop {
            let mut turn_over = false;
            for direction in [Direction::Upstream, Direction::Downstream] {
                if self.leads_nowhere(direction) {
                    continue;
                }
                let (pipe, source, sink, last) = match direction {
                    Direction::Upstream => (
                        &mut self.upstream,
                        &mut self.inbound,
                        &mut self.outbound,
                        self.downstream.finished(),
                    ),
                    Direction::Downstream => (
                        &mut self.downstream,
                        &mut self.outbound,
                        &mut self.inbound,
                        self.upstream.finished(),
                    ),
                };
                pipe.is_last(last && self.lost.is_none());
                match pipe.pump(source, sink, &mut self.chain, pools, now) {
                    Ok(pumped) => turn_over |= pumped == Pumped::TurnOver,
                    Err(failure) => {
                        self.absorb(direction, failure, pools)?;
                        continue 'changed;
                    }
                }
            }
            return Ok(turn_over);
        }
    }

    /// Whether it has functions, or will have: who has none cannot be woken.
    pub fn has_functions(&self) -> bool {
        !self.chain.is_empty() || self.undecided.is_some()
    }

    /// The functions that wait are to be called in the next step; whether there is any that was
    /// not already.
    pub fn wake(&mut self) -> bool {
        let up = self.upstream.wake();
        self.downstream.wake() || up
    }

    /// When to look at it again though nothing happened: to ask [`Self::late`], or to step because
    /// a function wanted a call by then. `clock` is read if one has said so in the last step.
    pub fn due(&mut self, clock: impl Fn() -> Instant) -> Instant {
        let mut due = self.deadline;
        for direction in [Direction::Upstream, Direction::Downstream] {
            // No step calls functions there, however often it is due.
            if self.leads_nowhere(direction) {
                continue;
            }
            let pipe = match direction {
                Direction::Upstream => &mut self.upstream,
                Direction::Downstream => &mut self.downstream,
            };
            due = pipe.due(&clock).map_or(due, |call| call.min(due));
        }
        due
    }

    /// The deadline has passed, if it has: connect, idle or linger.
    pub fn late(&self, now: Instant) -> Option<Outcome> {
        (self.deadline <= now).then_some(match self.state {
            State::Connecting => Outcome::ConnectTimeout,
            State::Piping => Outcome::Idle,
            State::Closing | State::Lingering => self.in_order(),
        })
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
            (State::Closing | State::Lingering, ..) => "closing",
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
    pub fn close(mut self, outcome: &Outcome, now: Instant, pools: &mut Pools) {
        self.report(now, true);
        self.upstream.release(pools);
        self.downstream.release(pools);
        let in_order = match outcome {
            Outcome::Finished => true,
            Outcome::ByFunction => self.sent_all(),
            _ => false,
        };
        if !in_order {
            self.inbound.reset_on_close();
            self.outbound.reset_on_close();
        }
    }

    fn sent_all(&self) -> bool {
        self.upstream.finished() && self.downstream.finished()
    }

    fn in_order(&self) -> Outcome {
        if self.closed {
            Outcome::ByFunction
        } else {
            Outcome::Finished
        }
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
