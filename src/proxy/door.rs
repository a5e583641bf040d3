//! The way in: accept → itinerary → spawn → connect; whoever cannot be served is reset at once.

use std::fs::File;
use std::io;
use std::net::SocketAddrV6;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use crate::config::model::FunctionFailure;
use crate::flow::FlowKey;
use crate::proxy::Shared;
use crate::proxy::connect::{self, Cause};
use crate::proxy::itinerary::{Itinerary, Refusal, Seen};
use crate::proxy::pipe::Pools;
use crate::proxy::runtime::Runtime;
use crate::proxy::session::{Beginning, Session};
use crate::proxy::stage::{Chain, Stage, count_broken};
use crate::sys::end::End;
use crate::sys::own_address::OwnAddress;
use crate::sys::{option, socket};
use crate::vnf::FlowInfo;
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

/// A worker's listener.
#[derive(Debug)]
pub struct Door {
    listener: OwnedFd,
    shared: Arc<Shared>,
    own: OwnAddress,
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
            spare: File::open("/dev/null").ok(),
            told: false,
        })
    }

    /// What to watch.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Lets one visitor in; functions know the flow by `id`.
    pub fn open(&mut self, runtime: &Runtime, id: u64, now: Instant, pools: &mut Pools) -> Visitor {
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
        match self.receive(&inbound, client, runtime, id) {
            Ok(beginning) => {
                let (outbound, chain, itinerary, isn) = beginning;
                counters.live_flows.one();
                if isn.is_some() {
                    counters.piped_flows.one();
                }
                Visitor::Flow(Box::new(Session::new(
                    Beginning {
                        client: itinerary.client,
                        server: itinerary.server,
                        came_to: itinerary.came_to,
                        isn,
                        inbound: End::new(inbound),
                        outbound: End::new(outbound),
                        chain,
                        connect_timeout: isn.is_none().then_some(runtime.connect_timeout),
                        idle_timeout: runtime.idle_timeout,
                    },
                    now,
                )))
            }
            Err(()) => {
                socket::reset_on_close(&inbound);
                Visitor::Refused
            }
        }
    }

    /// Everything a flow needs, with the ISN of its SYN if the capture held that and so has
    /// connected it; every reason against it is counted and logged here.
    fn receive(
        &self,
        inbound: &OwnedFd,
        client: SocketAddrV6,
        runtime: &Runtime,
        id: u64,
    ) -> Result<(OwnedFd, Chain, Itinerary, Option<u32>), ()> {
        let counters = &self.shared.counters;
        // Without it small messages wait for acknowledgements, nothing worse.
        let _ = socket::no_delay(inbound);
        if let Some(table) = &self.shared.answered {
            let key = key(inbound, client);
            let taken = key.and_then(|key| Some((key, table.take(key)?)));
            let Some((key, (isn, answered))) = taken else {
                // It did not come through our queue: from this machine, or before we listened.
                counters.no_srh_flows.one();
                return Err(());
            };
            let chain = self
                .spawn(&answered.itinerary, &answered.runtime, id)
                .map_err(|()| {
                    table.forget(key, isn);
                    socket::reset_on_close(&answered.outbound);
                })?;
            return Ok((answered.outbound, chain, answered.itinerary, Some(isn)));
        }
        let way = itinerary(inbound, runtime).and_then(|way| runtime.admit(way, &self.own));
        let itinerary = way.map_err(|refusal| {
            refusal.count(counters);
            log::debug!("refuse a flow: {refusal}");
        })?;
        let chain = self.spawn(&itinerary, runtime, id)?;
        let outbound = connect::start(&itinerary, counters).map_err(|error| {
            Cause::of(&error).count(counters);
            log::debug!(
                "connect {} for {}: {error}",
                itinerary.server,
                itinerary.client
            );
        })?;
        Ok((outbound, chain, itinerary, None))
    }

    fn spawn(&self, itinerary: &Itinerary, runtime: &Runtime, id: u64) -> Result<Chain, ()> {
        let mut stages = Vec::with_capacity(itinerary.steps.len());
        for step in &itinerary.steps {
            let Some(served) = runtime.functions.get(&step.function) else {
                self.shared.counters.unknown_function_flows.one();
                return Err(());
            };
            served.counters.flows.one();
            if served.function.passes_at_once() {
                continue;
            }
            let info = FlowInfo {
                argument: step.argument,
                client: itinerary.client,
                server: itinerary.server,
                id,
            };
            match served.function.spawn(&info) {
                Ok(transform) => stages.push(Stage {
                    id: step.function,
                    transform,
                    on_failure: served.on_failure,
                    counters: Arc::clone(&served.counters),
                }),
                Err(error) if served.on_failure == FunctionFailure::Pass => {
                    let id = step.function;
                    log::log!(
                        count_broken(&served.counters),
                        "function {id:#06x}: {error}; its flow goes on untouched"
                    );
                }
                Err(error) => {
                    self.shared.counters.spawn_refused_flows.one();
                    log::debug!("spawn function {:#06x}: {error}", step.function);
                    return Err(());
                }
            }
        }
        Ok(Chain::new(stages))
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

fn key(inbound: &OwnedFd, client: SocketAddrV6) -> Option<FlowKey> {
    let server = socket::local(inbound).ok()?;
    Some(FlowKey::new(client, server))
}

/// `saved_syn` capture: what the accepted socket's SYN says.
fn itinerary(inbound: &OwnedFd, runtime: &Runtime) -> Result<Itinerary, Refusal> {
    let mut buffer = [0; SAVED_SYN];
    let length = option::saved_syn(inbound, &mut buffer).unwrap_or(0);
    if length == 0 {
        return Err(Refusal::NoSrh);
    }
    let syn = Syn::parse(&buffer[..length]).map_err(Refusal::Malformed)?;
    if syn.srh.is_some() {
        return Itinerary::of_segments(&syn, Seen::Consumed, &runtime.map);
    }
    let mark = socket::mark(inbound).unwrap_or(0);
    let path = runtime.mark.path_of(mark).ok_or(Refusal::NoSrh)?;
    Itinerary::of_policy(&syn, path, &runtime.map)
}
