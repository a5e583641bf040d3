//! Who stands at M1: each contender with a laboratory, a server and a client of its own.

use std::fs;

use srv6pipes::demo::lab::{Lab, Options, sid};

use crate::harness::pipeline::{COPY, PASSES, XOR};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::{PREFIX, chain};
use crate::load::{Load, Served};
use crate::peers::{self, Peer};
use crate::server::Server;

/// Clock ticks of a second (`sysconf(_SC_CLK_TCK)` is 100 on every Linux there is).
pub const TICKS: f64 = 100.0;

/// What carries the flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The kernel's plain forwarding, no SRH.
    Router,
    /// The kernel's forwarding with an SRH whose segment is an End of the router's (RFC 8986, 4.1).
    End,
    /// srv6pipes.
    Pipes(Pipes),
    /// haproxy with `splice-request` and `splice-response`.
    HaproxySplice,
    /// haproxy without splice.
    Haproxy,
    /// nginx's stream module.
    Nginx,
    /// A relay on the library realm_io, which splices.
    Realm,
}

/// How srv6pipes runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pipes {
    /// `option capture`.
    pub capture: &'static str,
    /// The function's number, as the harness has them.
    pub function: u16,
    /// Its argument.
    pub argument: u32,
    /// `option threads`; 0 is one per core.
    pub threads: u16,
    /// `option tuning`.
    pub tuning: bool,
}

impl Pipes {
    /// Bytes untouched, as in most of the thesis's figures.
    pub const COPY: Self = Self {
        capture: "saved_syn",
        function: COPY,
        argument: 0,
        threads: 0,
        tuning: false,
    };
    /// The SYN is held until the server has answered.
    pub const NFQUEUE: Self = Self {
        capture: "nfqueue",
        ..Self::COPY
    };
    /// Every byte changed: for two in a row, of which the second changes it back.
    pub const XOR: Self = Self {
        function: XOR,
        argument: 0x2a,
        ..Self::COPY
    };

    /// Bytes read and written 2 × `pairs` times.
    pub const fn passes(pairs: u32) -> Self {
        Self {
            function: PASSES,
            argument: pairs,
            ..Self::COPY
        }
    }
}

/// One contender, ready. Dropped in this order: first what runs, at last where it runs.
#[derive(Debug)]
pub struct Contender {
    /// For figures.
    pub name: String,
    proxies: Vec<Proxy>,
    peer: Option<Peer>,
    _server: Server,
    /// Its laboratory.
    pub lab: Lab,
}

impl Contender {
    /// Sets it up between a client and a server; with as many routers or proxies in a row as
    /// `options` say.
    pub fn start(name: &str, kind: Kind, options: &Options) -> Self {
        Self::start_with(name, kind, options, |_| ()).0
    }

    /// As [`start`](Self::start), with what is to be done to the laboratory before the rest.
    pub fn start_with<T>(
        name: &str,
        kind: Kind,
        options: &Options,
        prepare: impl FnOnce(&Lab) -> T,
    ) -> (Self, T) {
        let lab = Lab::new(PREFIX, options).unwrap_or_else(|error| panic!("{}", chain(&error)));
        let prepared = prepare(&lab);
        let middle = || lab.proxy(1);
        let mut proxies = Vec::new();
        let mut peer = None;
        match kind {
            Kind::Router => {}
            Kind::End => {
                let to_client = lab.device_to_client(1);
                for which in ["all", &to_client] {
                    let key = format!("net/ipv6/conf/{which}/seg6_enabled");
                    middle().set_sysctl(&key, "1").unwrap();
                }
                let end = format!(
                    "route add {}/128 encap seg6local action End dev {}\n",
                    sid(1, 1, 0),
                    lab.device_to_server(1)
                );
                middle().ip(&end).unwrap();
                lab.steer(&[sid(1, 1, 0)]).unwrap();
            }
            Kind::Pipes(pipes) => {
                let functions = function_config(XOR, "xor", "")
                    + &function_config(COPY, "copy", "")
                    + &function_config(PASSES, "passes", "");
                let main = format!(
                    "option capture '{}'\noption threads '{}'\noption max_flows '65535'\n\
                     option tuning '{}'",
                    pipes.capture,
                    pipes.threads,
                    u8::from(pipes.tuning)
                );
                let path: Vec<_> = (1..=lab.proxies())
                    .map(|i| sid(i, pipes.function, pipes.argument))
                    .collect();
                proxies = (1..=lab.proxies())
                    .map(|i| Proxy::start_with(&lab, i, &main, &functions))
                    .collect();
                lab.steer(&path).unwrap();
            }
            Kind::HaproxySplice => peer = Some(peers::haproxy(&lab, true)),
            Kind::Haproxy => peer = Some(peers::haproxy(&lab, false)),
            Kind::Nginx => peer = Some(peers::nginx(&lab)),
            Kind::Realm => peer = Some(peers::realm(&lab)),
        }
        let server = Server::start(&lab);
        let contender = Self {
            name: name.to_owned(),
            proxies,
            peer,
            _server: server,
            lab,
        };
        // One answer through it, before anybody measures.
        let once = Load {
            size: 1000,
            keep_alive: false,
            connections: 1,
            seconds: 1,
        };
        let served = contender.serve(&once);
        assert!(
            served.requests_per_second > 0.0 && served.errors == 0,
            "{name} does not carry flows: {served:?}"
        );
        (contender, prepared)
    }

    /// Carries a load.
    pub fn serve(&self, load: &Load) -> Served {
        load.run(self.lab.client())
    }

    /// The processes at M1.
    pub fn pids(&self) -> Vec<u32> {
        let proxies = self.proxies.iter().map(Proxy::pid);
        let peer = self.peer.iter().flat_map(Peer::pids);
        proxies.chain(peer).collect()
    }

    /// CPU seconds that the processes at M1 have used, in user space and for them in the kernel.
    pub fn cpu_seconds(&self) -> f64 {
        let of = |pid: u32| -> Option<f64> {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in parentheses may hold anything (proc_pid_stat(5)): fields 14 and 15.
            let (_, fields) = stat.rsplit_once(") ")?;
            let mut fields = fields.split(' ').skip(11);
            let user: f64 = fields.next()?.parse().ok()?;
            let system: f64 = fields.next()?.parse().ok()?;
            Some((user + system) / TICKS)
        };
        self.pids().into_iter().filter_map(of).sum()
    }

    /// MiB of memory in user space that the processes at M1 hold; pages that they share count for
    /// each.
    pub fn resident(&self) -> f64 {
        let of = |pid: u32| -> Option<f64> {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        self.pids().into_iter().filter_map(of).sum::<f64>() / 1024.0
    }
}
