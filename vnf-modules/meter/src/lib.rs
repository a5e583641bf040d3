//! The stock function `meter`: bytes, flows, handshake and first-byte times per client and per
//! server, as counters of the function in `srv6pipes status`.
//!
//! It looks at no byte: both directions pass before the first one, and the kernel moves them. What
//! they were, the host reports. The README beside this says what each counter means.
#![deny(unsafe_code)]

mod ledger;
#[cfg(test)]
mod tests;

use std::ffi::CStr;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use srv6pipes_vnf::{
    Direction, Flow, FlowInfo, Function, Progress, Reason, Report, Setup, Verdict,
};

use crate::ledger::{Entry, Ledger, Moved};

/// Clients, and servers, that have counters of their own, if the operator does not say.
const DEFAULT_PARTIES: u64 = 128;
/// Of both together: ten counters each, and the host has 4096 for a function.
const MAX_PARTIES: u64 = 400;

/// The function.
#[derive(Debug)]
pub struct Meter {
    /// Bits of an address that tell clients apart.
    prefix: u32,
    books: Arc<Books>,
}

#[derive(Debug)]
struct Books {
    clients: Mutex<Ledger<Ipv6Addr>>,
    servers: Mutex<Ledger<SocketAddrV6>>,
}

/// One flow.
#[derive(Debug)]
pub struct MeterFlow {
    books: Arc<Books>,
    client: Entry<Ipv6Addr>,
    server: Entry<SocketAddrV6>,
}

impl Function for Meter {
    const NAME: &CStr = c"meter";
    const SUMMARY: &CStr = c"counts bytes, flows and times per client and per server";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    /// To pass before the first byte.
    const SPEAKS_FIRST: bool = true;
    type Flow = MeterFlow;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        let prefix = setup.number("prefix", 1..=128);
        let prefix = prefix.and_then(|bits| u32::try_from(bits).ok());
        let prefix = prefix.unwrap_or(128);
        let parties = |key| {
            let number = setup.number(key, 0..=MAX_PARTIES);
            number.unwrap_or(DEFAULT_PARTIES)
        };
        let (clients, servers) = (parties("max_clients"), parties("max_servers"));
        let most = setup.given("max_servers").or(setup.given("max_clients"));
        if let Some(given) = most
            && clients + servers > MAX_PARTIES
        {
            setup.complain(
                &given,
                format!("{clients} clients and {servers} servers are more than {MAX_PARTIES}"),
            );
        }
        let counters = setup.counters();
        let name = move |client: &Ipv6Addr| match prefix {
            128 => client.to_string(),
            _ => format!("{client}/{prefix}"),
        };
        Ok(Self {
            prefix,
            books: Arc::new(Books {
                clients: Mutex::new(Ledger::new("client", clients, name, counters)),
                servers: Mutex::new(Ledger::new(
                    "server",
                    servers,
                    SocketAddrV6::to_string,
                    counters,
                )),
            }),
        })
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<MeterFlow, Reason> {
        if flow.argument != 0 {
            return Err(format!("argument {}: there is only 0", flow.argument).into());
        }
        let client = network(*flow.client.ip(), self.prefix);
        // What else a socket address has is no part of a name.
        let server = SocketAddrV6::new(*flow.server.ip(), flow.server.port(), 0, 0);
        let client = self.books.clients().begin(client);
        let server = self.books.servers().begin(server);
        Ok(MeterFlow {
            books: Arc::clone(&self.books),
            client,
            server,
        })
    }
}

impl Books {
    fn clients(&self) -> MutexGuard<'_, Ledger<Ipv6Addr>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn servers(&self) -> MutexGuard<'_, Ledger<SocketAddrV6>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow for MeterFlow {
    const REPORTS: bool = true;

    fn process(
        &mut self,
        _direction: Direction,
        _input: &[u8],
        _output: &mut [u8],
        _end: bool,
    ) -> Result<Progress, Reason> {
        Ok(Progress {
            consumed: 0,
            produced: 0,
            verdict: Verdict::Pass,
        })
    }

    fn report(&mut self, report: &Report) {
        // Each party as its own side of us saw it: functions of the same proxy may lie between.
        let client = Moved {
            upstream: report.upstream_in,
            downstream: report.downstream_out,
            handshake: report.client_rtt,
            first_byte: report.first_byte,
        };
        let server = Moved {
            upstream: report.upstream_out,
            downstream: report.downstream_in,
            handshake: report.connect,
            first_byte: report.first_byte,
        };
        self.books.clients().note(&mut self.client, client);
        self.books.servers().note(&mut self.server, server);
    }
}

impl Drop for MeterFlow {
    fn drop(&mut self) {
        self.books.clients().end(&self.client);
        self.books.servers().end(&self.server);
    }
}

/// The first `bits` bits of an address.
fn network(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

srv6pipes_vnf::export_functions!(Meter);
