//! The way in: accept → itinerary → course → spawn → connect; whoever cannot be served is reset at
//! once.

use std::fs::File;
use std::io;
use std::net::SocketAddrV6;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::{FlowKey, FlowTable};
use crate::proxy::connect::{self, Cause, Dead};
use crate::proxy::cookie::Cookies;
use crate::proxy::course::{Choices, Course};
use crate::proxy::itinerary::{Itinerary, Refusal, Seen};
use crate::proxy::outcome::Outcome;
use crate::proxy::pipe::Pools;
use crate::proxy::runtime::Runtime;
use crate::proxy::session::{Beginning, Session};
use crate::proxy::spawn;
use crate::proxy::stage::Chain;
use crate::proxy::{Answered, Shared};
use crate::sys::end::End;
use crate::sys::own_address::OwnAddress;
use crate::sys::{option, socket};
use crate::wire::syn::Syn;

/// IPv6 header, the longest extension headers we read, TCP header with all options.
const SAVED_SYN: usize = 4096;

/// What accepting once brought.
#[derive(Debug)]
pub enum Visitor {
    /// Nobody waits.
    None,
    /// Somebody came and was reset.
    Refused,
    /// A flow.
    Flow(Box<Session>),
    /// Somebody may wait, but there is nothing to accept them with.
    Stuck,
}

/// All of a flow but its client's connection.
struct Found {
    outbound: OwnedFd,
    course: Course,
    /// Empty if the functions are yet to be spawned.
    chain: Chain,
    /// As the capture knows it, if that has connected it.
    held: Option<(FlowKey, u32)>,
    /// When the next segment was asked, or a little before.
    asked: Instant,
    /// How long it took to answer, if it has.
    answered_after: Option<Duration>,
}

/// A worker's listener.
#[derive(Debug)]
pub struct Door {
    listener: OwnedFd,
    shared: Arc<Shared>,
    own: OwnAddress,
    cookies: Cookies,
    /// A descriptor kept to be given up: with it, a connection can be accepted and reset when
    /// there are no others, instead of waiting in the queue for what may never come.
    spare: Option<File>,
    /// The operator has been told that nobody can be accepted.
    told: bool,
}

impl Door {
    /// A door with this listener behind it.
    pub fn new(listener: OwnedFd, shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Self {
            listener,
            shared,
            own: OwnAddress::open()?,
            cookies: Cookies::default(),
            spare: File::open("/dev/null").ok(),
            told: false,
        })
    }

    /// What to watch.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Lets one visitor in; its functions will know the flow by `id`.
    pub fn open(
        &mut self,
        runtime: &Arc<Runtime>,
        id: u64,
        now: Instant,
        pools: &mut Pools,
    ) -> Visitor {
        let (inbound, client) = match socket::accept(&self.listener) {
            Ok(accepted) => accepted,
            Err(error) => return self.cannot_accept(&error, pools),
        };
        if self.spare.is_none() {
            self.spare = File::open("/dev/null").ok();
        }
        self.told = false;
        let counters = &self.shared.counters;
        counters.accepted_flows.one();
        if counters.live_flows.value() >= u64::from(runtime.max_flows) {
            counters.max_flows_refused_flows.one();
            return self.turn_away(&inbound, client);
        }
        match self.receive(inbound, client, runtime, id) {
            Ok(beginning) => {
                counters.live_flows.one();
                if beginning.held.is_some() {
                    counters.piped_flows.one();
                }
                Visitor::Flow(Box::new(Session::new(beginning, now)))
            }
            Err(inbound) => {
                socket::reset_on_close(&inbound);
                Visitor::Refused
            }
        }
    }

    /// Gives a flow whose next segment does not answer another one, if its functions know one.
    ///
    /// # Errors
    /// `outcome`, or the one that the last attempt came to: the flow is over.
    pub fn send_elsewhere(
        &self,
        session: &mut Session,
        outcome: Outcome,
        now: Instant,
    ) -> Result<(), Outcome> {
        session.go_elsewhere(outcome, now, &self.own, &self.shared.counters)
    }

    /// Everything a flow needs; every reason against it is counted and logged here, and the
    /// connection handed back.
    fn receive(
        &self,
        inbound: OwnedFd,
        client: SocketAddrV6,
        runtime: &Arc<Runtime>,
        id: u64,
    ) -> Result<Beginning, OwnedFd> {
        let found = match &self.shared.answered {
            Some(table) => self.take(table, &inbound, client, id),
            None => self.connect(&inbound, client, runtime, id),
        };
        match found {
            Some(found) => Ok(found.with(inbound, id)),
            None => Err(inbound),
        }
    }

    /// `nfqueue` capture: it has connected the flow already.
    fn take(
        &self,
        table: &FlowTable<Answered>,
        inbound: &OwnedFd,
        client: SocketAddrV6,
        id: u64,
    ) -> Option<Found> {
        let taken = key(inbound, client).and_then(|key| Some((key, table.take(key)?)));
        let Some((key, (isn, answered))) = taken else {
            // It did not come through our queue: from this machine, or before we listened.
            self.shared.counters.no_srh_flows.one();
            return None;
        };
        let Answered {
            outbound,
            course,
            asked,
            after,
        } = answered;
        match spawn::chain(&course, id) {
            Ok(chain) => Some(Found {
                outbound,
                course,
                chain,
                held: Some((key, isn)),
                asked,
                answered_after: Some(after),
            }),
            Err(refusal) => {
                self.refuse(&refusal);
                table.forget(key, isn);
                socket::reset_on_close(&outbound);
                None
            }
        }
    }

    /// `saved_syn` capture: the next segment is still to be asked.
    fn connect(
        &self,
        inbound: &OwnedFd,
        client: SocketAddrV6,
        runtime: &Arc<Runtime>,
        id: u64,
    ) -> Option<Found> {
        let counters = &self.shared.counters;
        let way = self.itinerary(inbound, client, runtime);
        self.cookies.forget(&self.listener, inbound);
        let way = way.and_then(|way| runtime.admit(way, &self.own));
        let course = way.and_then(|way| Course::new(way, Arc::clone(runtime), &self.own));
        let refused = |refusal| self.refuse(&refusal);
        let mut course = course.map_err(refused).ok()?;
        let chain = match course.is_chosen() {
            // Another choice may follow, and functions are to see the one that has answered.
            true => Chain::default(),
            false => spawn::chain(&course, id).map_err(refused).ok()?,
        };
        // A function may hold them back.
        let at_once = chain.is_empty() && !course.is_chosen() && socket::has_bytes(inbound);
        let asked = Instant::now();
        match connect::begin(&mut course, at_once, &self.own, counters) {
            Ok(outbound) => Some(Found {
                outbound,
                course,
                chain,
                held: None,
                asked,
                answered_after: None,
            }),
            Err(Dead::Refused(refusal)) => {
                self.refuse(&refusal);
                None
            }
            Err(Dead::NotConnected(error)) => {
                let Itinerary { server, client, .. } = course.itinerary;
                Cause::of(&error).count(counters);
                log::debug!("connect {server} for {client}: {error}");
                None
            }
        }
    }

    /// What the accepted socket's SYN says.
    fn itinerary(
        &self,
        inbound: &OwnedFd,
        client: SocketAddrV6,
        runtime: &Runtime,
    ) -> Result<Itinerary, Refusal> {
        let mut buffer = [0; SAVED_SYN];
        let length = option::saved_syn(inbound, &mut buffer).unwrap_or(0);
        let syn = if length == 0 {
            self.shared.counters.cookie_flows.one();
            self.cookies.syn(&self.listener, inbound, client)?
        } else {
            Syn::parse(&buffer[..length]).map_err(Refusal::Malformed)?
        };
        if syn.srh.is_some() {
            return Itinerary::of_segments(&syn, Seen::Consumed, &runtime.map);
        }
        let mark = socket::mark(inbound).unwrap_or(0);
        let path = runtime.mark.path_of(mark).ok_or(Refusal::NoSrh)?;
        Itinerary::of_policy(&syn, path, &runtime.map)
    }

    fn refuse(&self, refusal: &Refusal) {
        refusal.count(&self.shared.counters);
        log::debug!("refuse a flow: {refusal}");
    }

    fn turn_away(&self, inbound: &OwnedFd, client: SocketAddrV6) -> Visitor {
        if let Some(table) = &self.shared.answered
            && let Some(key) = key(inbound, client)
            && let Some((isn, answered)) = table.take(key)
        {
            socket::reset_on_close(&answered.outbound);
            table.forget(key, isn);
        }
        socket::reset_on_close(inbound);
        Visitor::Refused
    }

    fn cannot_accept(&mut self, error: &io::Error, pools: &mut Pools) -> Visitor {
        match error.raw_os_error() {
            // accept(2): errors of a connection that went away while it waited.
            Some(libc::ECONNABORTED | libc::EPROTO | libc::EPERM | libc::EINTR) => Visitor::Refused,
            Some(libc::EAGAIN) => Visitor::None,
            Some(libc::EMFILE | libc::ENFILE) => {
                pools.pipes.clear();
                self.spare = None;
                let inbound = socket::accept(&self.listener);
                let visitor = match &inbound {
                    Ok((inbound, client)) => {
                        self.shared.counters.accepted_flows.one();
                        self.shared.counters.no_resources_flows.one();
                        self.turn_away(inbound, *client)
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Visitor::None,
                    // Another thread was faster.
                    Err(error) => self.stuck(error),
                };
                drop(inbound);
                self.spare = File::open("/dev/null").ok();
                visitor
            }
            _ => self.stuck(error),
        }
    }

    fn stuck(&mut self, error: &io::Error) -> Visitor {
        if !self.told {
            self.told = true;
            log::warn!("accept connections: {error}; they wait");
        }
        Visitor::Stuck
    }
}

impl Found {
    fn with(self, inbound: OwnedFd, id: u64) -> Beginning {
        let Self {
            outbound,
            course,
            chain,
            held,
            asked,
            answered_after,
        } = self;
        let mut beginning = Beginning {
            id,
            client: course.itinerary.client,
            server: course.itinerary.server,
            came_to: course.itinerary.came_to,
            held,
            inbound: End::new(inbound),
            outbound: End::new(outbound),
            chain,
            connect_timeout: held.is_none().then(|| course.patience()),
            asked,
            answered_after,
            idle_timeout: course.runtime.idle_timeout,
            choices: Choices::default(),
            undecided: None,
        };
        if held.is_none() && course.is_chosen() {
            beginning.undecided = Some(Box::new(course));
        } else {
            beginning.choices = course.choices;
        }
        beginning
    }
}

fn key(inbound: &OwnedFd, client: SocketAddrV6) -> Option<FlowKey> {
    let server = socket::local(inbound).ok()?;
    Some(FlowKey::new(client, server))
}
