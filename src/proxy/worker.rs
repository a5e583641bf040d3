//! One worker: an epoll loop with a listener of its own and the flows it accepted.
//!
//! Nothing is shared with other workers but counters and, in `nfqueue` capture, the table of
//! answered flows. From outside come the control thread's commands, and wake-ups by the threads of
//! modules; one eventfd tells of both.

mod elsewhere;
mod timers;
mod token;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::EventFd;
use slab::Slab;

use crate::proxy::Shared;
use crate::proxy::deadlines::Deadlines;
use crate::proxy::door::{Door, Visitor};
use crate::proxy::outcome::Outcome;
use crate::proxy::pipe::Pools;
use crate::proxy::runtime::Runtime;
use crate::proxy::session::{Action, Session, Side};
use crate::proxy::snapshot::{FlowSnapshot, tally};
use crate::proxy::threads::Ended;
use crate::proxy::worker::token::{LISTENER, Token, WAKE};
use crate::sys::end::End;
use crate::vnf::Bell;

/// Events taken from the kernel at once.
const EVENTS: usize = 256;
/// Connections accepted before the flows there are get their turn.
const ACCEPTS: usize = 64;
/// How long nobody is accepted when there is nothing to accept with.
const PAUSE: Duration = Duration::from_millis(100);

/// What the control thread asks of a worker.
#[derive(Debug)]
pub enum Command {
    /// New flows take this configuration; say when they do.
    Runtime(Arc<Runtime>, Sender<()>),
    /// Say which flows there are.
    Flows(Sender<Vec<FlowSnapshot>>),
    /// Tell the functions that want it what their flows have moved; say when that is done.
    Report(Sender<()>),
    /// Reset all flows and end.
    Stop,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    session: Session,
    /// The bell may ring for it.
    listed: bool,
    /// It is among those that report.
    reports: bool,
    /// Waits for another turn.
    queued: bool,
    /// Its entry among the deadlines.
    scheduled: Option<Instant>,
}

impl Place {
    /// Counts it among those that report, once its functions are there.
    fn count_report(&mut self, shared: &Shared) {
        if self.session.reports() && !self.reports {
            self.reports = true;
            shared.reporting.one();
        }
    }
}

/// One worker's state; [`Worker::run`] is its thread.
#[derive(Debug)]
pub struct Worker {
    epoll: Epoll,
    wake: Arc<EventFd>,
    commands: Receiver<Command>,
    bell: Bell,
    /// Those whom the bell rang for, while they are looked at.
    woken: Vec<u64>,
    runtime: Arc<Runtime>,
    shared: Arc<Shared>,
    door: Door,
    /// Until then the listener is not watched.
    paused: Option<Instant>,
    flows: Slab<Place>,
    generation: u32,
    again: VecDeque<Token>,
    deadlines: Deadlines<Token>,
    pools: Pools,
    now: Instant,
}

impl Worker {
    /// A worker that accepts from `listener`.
    pub fn new(
        listener: OwnedFd,
        wake: Arc<EventFd>,
        commands: Receiver<Command>,
        runtime: Arc<Runtime>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Self {
            epoll,
            bell: Bell::new(Arc::clone(&wake)),
            woken: Vec::new(),
            wake,
            commands,
            runtime,
            door: Door::new(listener, Arc::clone(&shared))?,
            shared,
            paused: None,
            flows: Slab::new(),
            generation: 0,
            again: VecDeque::new(),
            deadlines: Deadlines::default(),
            pools: Pools::default(),
            now: Instant::now(),
        })
    }

    /// Serves until told to stop.
    pub fn run(mut self) -> Ended {
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let count = match self.epoll.wait(&mut events, self.patience()) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => {
                    // Only a bug can make it fail (epoll_wait(2)).
                    log::error!("wait for events: {errno}");
                    return Ended::Failed;
                }
            };
            self.now = Instant::now();
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept(),
                    WAKE => {
                        if self.obey() {
                            return Ended::Told;
                        }
                        self.rouse();
                    }
                    data => self.notice(data, event.events()),
                }
            }
            for _ in 0..self.again.len() {
                if let Some(token) = self.again.pop_front() {
                    if let Some(place) = self.flows.get_mut(token.index) {
                        place.queued = false;
                    }
                    self.step(token);
                }
            }
            self.expire();
        }
    }

    /// Does what the control thread asks; whether that is to stop.
    fn obey(&mut self) -> bool {
        // A counter that was read already is no reason to fail.
        let _ = self.wake.read();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Runtime(runtime, done) => {
                    self.take_over(runtime);
                    // Whoever has given up waiting goes on without.
                    let _ = done.send(());
                }
                Command::Flows(reply) => {
                    let flows = self
                        .flows
                        .iter()
                        .map(|(_, place)| FlowSnapshot::of(&place.session, self.now));
                    // Nobody waits for it any more: their loss.
                    let _ = reply.send(flows.collect());
                }
                Command::Report(done) => {
                    for (_, place) in &mut self.flows {
                        place.session.report(self.now, false);
                    }
                    let _ = done.send(());
                }
                Command::Stop => return true,
            }
        }
        false
    }

    /// New flows take `runtime`. Live ones keep what they have, but not without their packets: no
    /// more of them reach a locator that is gone.
    fn take_over(&mut self, runtime: Arc<Runtime>) {
        let cut_off = |session: &Session| session.came_to.is_some_and(|sid| !runtime.map.owns(sid));
        let tokens = self.tokens(cut_off);
        for token in tokens {
            self.close(token, &Outcome::LocatorGone);
        }
        self.runtime = runtime;
    }

    /// Calls the functions that were woken.
    fn rouse(&mut self) {
        let mut woken = mem::take(&mut self.woken);
        self.bell.answer(&mut woken);
        for key in woken.drain(..) {
            if let Some((token, _)) = Token::of(key)
                && let Some(place) = self.flows.get_mut(token.index)
                && place.generation == token.generation
                && place.session.wake()
            {
                self.queue(token);
            }
        }
        self.woken = woken;
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            // Whoever is woken by it before `admit` has not been called yet, and will be.
            let id = self.bell.id();
            match self.door.open(&self.runtime, id, self.now, &mut self.pools) {
                Visitor::None => return,
                Visitor::Refused => {}
                Visitor::Flow(session) => self.admit(*session),
                Visitor::Stuck => return self.watch_listener(Some(self.now + PAUSE)),
            }
        }
    }

    /// Watches the listener, or does not until then: whoever waits there keeps it readable, and
    /// an epoll that always has something to say would be a busy loop.
    fn watch_listener(&mut self, paused: Option<Instant>) {
        let flags = match paused {
            None => EpollFlags::EPOLLIN,
            Some(_) => EpollFlags::empty(),
        };
        match self
            .epoll
            .modify(self.door.listener(), &mut EpollEvent::new(flags, LISTENER))
        {
            Ok(()) => self.paused = paused,
            Err(errno) => log::warn!("watch the listener: {errno}"),
        }
    }

    fn admit(&mut self, session: Session) {
        let entry = self.flows.vacant_entry();
        self.generation = self.generation.wrapping_add(1) & 0x7fff_ffff;
        let token = Token {
            index: entry.key(),
            generation: self.generation,
        };
        let generation = token.generation;
        let listed = session.has_functions();
        if listed {
            self.bell.enlist(session.id, token.data(Side::Inbound));
        }
        let place = entry.insert(Place {
            generation,
            session,
            listed,
            reports: false,
            queued: false,
            scheduled: None,
        });
        for side in [Side::Inbound, Side::Outbound] {
            let event = EpollEvent::new(End::INTEREST, token.data(side));
            if let Err(errno) = self.epoll.add(place.session.socket(side), event) {
                return self.close(token, &Outcome::NoResources(errno.into()));
            }
        }
        place.count_report(&self.shared);
        // Registering reports what is ready already, so the first event comes by itself.
        self.schedule(token);
    }

    fn notice(&mut self, data: u64, events: EpollFlags) {
        let Some((token, side)) = Token::of(data) else {
            return;
        };
        let Some(place) = self.flows.get_mut(token.index) else {
            return;
        };
        if place.generation != token.generation {
            return;
        }
        match place.session.note(side, events) {
            Some(outcome) => self.over(token, outcome),
            // Both sides' events of one round end in one step.
            None => self.queue(token),
        }
    }

    fn queue(&mut self, token: Token) {
        if let Some(place) = self.flows.get_mut(token.index)
            && !place.queued
        {
            place.queued = true;
            self.again.push_back(token);
        }
    }

    fn step(&mut self, token: Token) {
        let Some(place) = self.flows.get_mut(token.index) else {
            return;
        };
        if place.generation != token.generation {
            return;
        }
        let was_connected = place.session.connected();
        let before = tally(&place.session);
        let action = place.session.step(self.now, &mut self.pools);
        tally(&place.session)
            .since(&before)
            .count(&self.shared.counters);
        if !was_connected && place.session.connected() {
            self.shared.counters.piped_flows.one();
            place.count_report(&self.shared);
        }
        match action {
            Action::Wait => {}
            Action::Again => self.queue(token),
            Action::Close(outcome) => return self.over(token, outcome),
        }
        self.schedule(token);
    }

    fn close(&mut self, token: Token, outcome: &Outcome) {
        let Some(place) = self.flows.try_remove(token.index) else {
            return;
        };
        if let Some(scheduled) = place.scheduled {
            self.deadlines.cancel(scheduled, token);
        }
        let session = place.session;
        if place.reports {
            self.shared.reporting.gone();
        }
        if place.listed {
            self.bell.strike_off(session.id);
        }
        let counters = &self.shared.counters;
        outcome.count(counters);
        counters.live_flows.gone();
        log::debug!("flow {} → {}: {outcome}", session.client, session.server);
        if let (Some(table), Some((key, isn))) = (&self.shared.answered, session.held) {
            table.forget(key, isn);
        }
        // Closing the sockets takes them out of epoll (epoll(7), question 6): nobody else has
        // a copy of their descriptors.
        session.close(outcome, self.now, &mut self.pools);
    }

    fn tokens(&self, wanted: impl Fn(&Session) -> bool) -> Vec<Token> {
        let flows = self.flows.iter();
        flows
            .filter(|(_, place)| wanted(&place.session))
            .map(|(index, place)| Token {
                index,
                generation: place.generation,
            })
            .collect()
    }
}

/// Resets every flow, also when the worker panicked: a plain close would look like the end of
/// their streams.
impl Drop for Worker {
    fn drop(&mut self) {
        for token in self.tokens(|_| true) {
            self.close(token, &Outcome::Stopped);
        }
    }
}
