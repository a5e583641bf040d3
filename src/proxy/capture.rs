//! `nfqueue` capture: each SYN is held until the next segment has answered.
//!
//! ```text
//!  SYN ─▶ hold ─▶ connect ─┬─ answered ───▶ let it go on: the kernel answers, a worker accepts
//!                          ├─ refused ────▶ let it go on with a mark: our table answers by reset
//!                          ├─ unreachable ▶ drop it, send what a router would send (RFC 4443)
//!                          └─ silence ────▶ drop it: silence
//! ```
//! So the client sees what it would see without us. The other capture, `saved_syn`, needs no
//! thread: see `door`.

mod answers;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use nfq::{Message, Verdict};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use slab::Slab;

use crate::flow::{Arrival, FlowKey, FlowTable};
use crate::proxy::connect::{self, Dead};
use crate::proxy::course::Course;
use crate::proxy::deadlines::Deadlines;
use crate::proxy::itinerary::{Itinerary, Refusal, Seen};
use crate::proxy::runtime::Runtime;
use crate::proxy::threads::Ended;
use crate::proxy::worker::Command;
use crate::proxy::{Answered, Shared};
use crate::sys::nfqueue::NetQueue;
use crate::sys::own_address::OwnAddress;
use crate::sys::raw::Icmpv6;
use crate::sys::socket;
use crate::wire::syn::Syn;

const QUEUE: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;
/// How often flows are looked for whose client never went on.
const SWEEP: Duration = Duration::from_secs(1);

/// A SYN that somebody waits for an answer to.
#[derive(Debug)]
struct Held {
    key: FlowKey,
    isn: u32,
    message: Message,
}

/// One whose next segment is being asked.
#[derive(Debug)]
struct Asking {
    generation: u64,
    deadline: Instant,
    held: Held,
    course: Course,
    outbound: OwnedFd,
    since: Instant,
}

/// The capture thread's state.
#[derive(Debug)]
pub struct Capture {
    queue: NetQueue,
    epoll: Epoll,
    wake: Arc<EventFd>,
    commands: Receiver<Command>,
    runtime: Arc<Runtime>,
    shared: Arc<Shared>,
    table: Arc<FlowTable<Answered>>,
    icmp: Icmpv6,
    own: OwnAddress,
    asking: Slab<Asking>,
    generation: u64,
    deadlines: Deadlines<(usize, u64)>,
    swept: Instant,
    /// ICMPv6 errors sent since `swept`.
    errors: u32,
}

impl Capture {
    /// Binds the queue; packets wait in it from now on.
    pub fn new(
        queue: u16,
        wake: Arc<EventFd>,
        commands: Receiver<Command>,
        runtime: Arc<Runtime>,
        shared: Arc<Shared>,
        table: Arc<FlowTable<Answered>>,
    ) -> io::Result<Self> {
        let queue = NetQueue::bind(queue)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&queue, EpollEvent::new(EpollFlags::EPOLLIN, QUEUE))?;
        epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Self {
            queue,
            epoll,
            wake,
            commands,
            runtime,
            shared,
            table,
            icmp: Icmpv6::open()?,
            own: OwnAddress::open()?,
            asking: Slab::new(),
            generation: 0,
            deadlines: Deadlines::default(),
            swept: Instant::now(),
            errors: 0,
        })
    }

    /// Serves until told to stop; SYNs held then are dropped, and sent again by their clients.
    pub fn run(mut self) -> Ended {
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let count = match self.epoll.wait(&mut events, self.patience()) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => {
                    // Only a bug can make it fail (epoll_wait(2)).
                    log::error!("wait for SYNs: {errno}");
                    return Ended::Failed;
                }
            };
            let mut asked = false;
            for event in &events[..count] {
                match event.data() {
                    QUEUE => asked = true,
                    WAKE => {
                        if self.obey() {
                            return Ended::Told;
                        }
                    }
                    index => self.answered(index),
                }
            }
            // Last, since a new SYN may put a held one out of the slab that this round's events name.
            if asked {
                self.receive();
            }
            self.expire(Instant::now());
        }
    }

    fn patience(&self) -> EpollTimeout {
        let sweep = (!self.table.is_empty()).then_some(SWEEP);
        self.deadlines.timeout(Instant::now(), sweep)
    }

    fn obey(&mut self) -> bool {
        // A counter that was read already is no reason to fail.
        let _ = self.wake.read();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Runtime(runtime, done) => {
                    self.runtime = runtime;
                    let _ = done.send(());
                }
                Command::Flows(_) | Command::Report(_) => {}
                Command::Stop => return true,
            }
        }
        false
    }

    fn receive(&mut self) {
        loop {
            match self.queue.queue.recv() {
                Ok(message) => self.hold(message),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // An answer to a verdict: its SYN is in the queue no longer, as after new rules
                // (`nfqnl_recv_verdict`, net/netfilter/nfnetlink_queue.c). It is sent again.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    log::debug!("give a verdict on a SYN that has left the queue: {error}");
                }
                Err(error) => return log::warn!("receive a SYN from the queue: {error}"),
            }
        }
    }

    fn hold(&mut self, message: Message) {
        let syn = match Syn::parse(message.get_payload()) {
            Ok(syn) if syn.bare => syn,
            Ok(_) => return self.judge(message, Verdict::Accept),
            Err(error) => return self.refuse(message, &Refusal::Malformed(error)),
        };
        let itinerary = match (&syn.srh, self.runtime.mark.path_of(message.get_nfmark())) {
            (Some(_), _) => Itinerary::of_segments(&syn, Seen::Untouched, &self.runtime.map),
            (None, Some(path)) => Itinerary::of_policy(&syn, path, &self.runtime.map),
            (None, None) => return self.judge(message, Verdict::Accept),
        };
        let itinerary = match itinerary.and_then(|way| self.runtime.admit(way, &self.own)) {
            Ok(itinerary) => itinerary,
            Err(refusal) => return self.refuse(message, &refusal),
        };
        let counters = &self.shared.counters;
        if counters.live_flows.value() >= u64::from(self.runtime.max_flows) {
            counters.max_flows_refused_flows.one();
            return self.answer_by_reset(message);
        }
        let key = FlowKey::new(itinerary.client, itinerary.server);
        let isn = syn.sequence_number;
        // Not more than there may be flows: a SYN that repeats itself later finds them live.
        let capacity = usize::try_from(self.runtime.max_flows).unwrap_or(usize::MAX);
        match self.table.hold(key, isn, capacity) {
            Arrival::New => counters.held_syn_packets.one(),
            // What was given up goes first: the new flow may want its port.
            Arrival::InsteadOfHeld => {
                counters.held_syn_packets.one();
                self.release(key);
            }
            Arrival::InsteadOfAnswered(abandoned) => {
                counters.held_syn_packets.one();
                self.abandon(&abandoned);
            }
            // Its first copy is on the way; two would be two connections.
            Arrival::Repeated => {
                counters.repeated_syn_packets.one();
                return self.judge(message, Verdict::Drop);
            }
            // The kernel knows what to do with it: answer again, or challenge (RFC 9293).
            Arrival::Answered | Arrival::Live => {
                counters.repeated_syn_packets.one();
                return self.judge(message, Verdict::Accept);
            }
            Arrival::Full => {
                counters.unheld_syn_packets.one();
                return self.judge(message, Verdict::Drop);
            }
        }
        let held = Held { key, isn, message };
        let runtime = Arc::clone(&self.runtime);
        let mut course = match Course::new(itinerary, runtime, &self.own) {
            Ok(course) => course,
            Err(refusal) => return self.give_up(held, &Dead::Refused(refusal)),
        };
        match connect::begin(&mut course, false, &self.own, &self.shared.counters) {
            Ok(outbound) => self.ask(held, course, outbound),
            Err(dead) => self.give_up(held, &dead),
        }
    }

    /// Waits for the next segment's answer.
    fn ask(&mut self, held: Held, course: Course, outbound: OwnedFd) {
        self.generation += 1;
        let entry = self.asking.vacant_entry();
        let (index, generation) = (entry.key(), self.generation);
        let event = EpollEvent::new(EpollFlags::EPOLLOUT, u64::try_from(index).unwrap_or(QUEUE));
        if let Err(errno) = self.epoll.add(&outbound, event) {
            return self.give_up(held, &Dead::NotConnected(errno.into()));
        }
        let since = Instant::now();
        let deadline = since + course.patience();
        self.deadlines.push(deadline, (index, generation));
        entry.insert(Asking {
            generation,
            deadline,
            held,
            course,
            outbound,
            since,
        });
    }

    /// The next segment has not answered, or not as it should: another one may.
    fn ask_again(&mut self, held: Held, mut course: Course, error: io::Error) {
        match connect::begin_again(&mut course, false, error, &self.own, &self.shared.counters) {
            Ok(outbound) => self.ask(held, course, outbound),
            Err(dead) => self.give_up(held, &dead),
        }
    }

    /// The next segment has answered, one way or the other.
    fn answered(&mut self, index: u64) {
        let Ok(index) = usize::try_from(index) else {
            return;
        };
        let Some(Asking {
            generation,
            deadline,
            held,
            mut course,
            outbound,
            since,
        }) = self.asking.try_remove(index)
        else {
            return;
        };
        self.deadlines.cancel(deadline, (index, generation));
        // From here on it is a worker's to watch.
        let _ = self.epoll.delete(outbound.as_fd());
        if let Some(error) = socket::take_error(&outbound) {
            return self.ask_again(held, course, error);
        }
        course.choices.connect();
        let Held { key, isn, message } = held;
        let now = Instant::now();
        let deadline = now + course.runtime.connect_timeout;
        let answered = Answered {
            outbound,
            course,
            asked: since,
            after: now - since,
        };
        self.table.answer(key, isn, answered, deadline);
        self.judge(message, Verdict::Accept);
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, (index, generation))) = self.deadlines.pop(now) {
            let asking = self.asking.get(index);
            if asking.is_some_and(|asking| asking.generation == generation) {
                let asking = self.asking.remove(index);
                socket::reset_on_close(&asking.outbound);
                let late = io::Error::from_raw_os_error(libc::ETIMEDOUT);
                drop(asking.outbound);
                self.ask_again(asking.held, asking.course, late);
            }
        }
        if now.saturating_duration_since(self.swept) >= SWEEP {
            self.swept = now;
            self.errors = 0;
            for abandoned in self.table.expire(now) {
                self.abandon(&abandoned);
            }
        }
    }

    /// Resets a next segment whose client never went on; the caller drops it.
    fn abandon(&self, answered: &Answered) {
        self.shared.counters.abandoned_flows.one();
        socket::reset_on_close(&answered.outbound);
    }

    /// Drops the held SYN of `key`, which its client has given up. That is rare, so it is looked
    /// for in all.
    fn release(&mut self, key: FlowKey) {
        let mut all = self.asking.iter();
        let place = all.find(|(_, asking)| asking.held.key == key);
        let Some(index) = place.map(|(index, _)| index) else {
            return;
        };
        let asking = self.asking.remove(index);
        self.deadlines
            .cancel(asking.deadline, (index, asking.generation));
        socket::reset_on_close(&asking.outbound);
        self.judge(asking.held.message, Verdict::Drop);
    }
}
