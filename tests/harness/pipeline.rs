//! A laboratory with a daemon in every proxy, in one line of a test.

use std::net::Ipv6Addr;

use srv6pipes::demo::lab::{CLIENT, Lab, sid};

use super::ends::{Ends, Host};
use super::proxy::{Proxy, function_config};
use super::{counters, lab, wait_for};

/// The two ways to learn the SRH of a SYN, as `option capture` calls them.
pub const CAPTURES: [&str; 2] = ["saved_syn", "nfqueue"];

/// Where the server listens in [`everywhere`].
pub const PORT: u16 = 5001;

/// The number of the stock function `xor` in [`Pipeline::start`].
pub const XOR: u16 = 1;
/// The number of the stock function `copy`.
pub const COPY: u16 = 2;
/// The number of the stock function `passes`.
pub const PASSES: u16 = 3;

/// Client, proxies with their daemons, server. Dropped in that order: daemons first.
#[derive(Debug)]
pub struct Pipeline {
    /// The daemons; proxy 1 is the first.
    pub proxies: Vec<Proxy>,
    /// Where they run.
    pub lab: Lab,
}

impl Pipeline {
    /// So many proxies with the stock functions, or `None` where the test has to be skipped.
    pub fn start(proxies: u8, capture: &str) -> Option<Self> {
        Some(Self::in_lab(lab(proxies)?, &capture_option(capture), ""))
    }

    /// The same in a laboratory made elsewhere, with `options` for the main section of each, and
    /// more `sections`.
    pub fn in_lab(lab: Lab, options: &str, sections: &str) -> Self {
        let sections = stock_functions() + sections;
        let proxies = (1..=lab.proxies())
            .map(|i| Proxy::start_with(&lab, i, options, &sections))
            .collect();
        Self { proxies, lab }
    }

    /// From now on flows meet `function` with `argument` in every proxy; the path.
    pub fn steer(&self, function: u16, argument: u32) -> Vec<Ipv6Addr> {
        let path: Vec<Ipv6Addr> = (1..=self.lab.proxies())
            .map(|i| sid(i, function, argument))
            .collect();
        self.lab.steer(&path).unwrap();
        path
    }

    /// A counter of proxy `i`, counted from 1.
    pub fn counter(&self, i: usize, name: &str) -> u64 {
        counters::counter(&self.proxies[i - 1], name)
    }

    /// Waits until a counter of proxy `i` reaches `value`; it must not go beyond.
    pub fn wait_counter(&self, i: usize, name: &str, value: u64) {
        let found = counters::wait_counter(&self.proxies[i - 1], name, value);
        assert_eq!(found, value, "{name} of proxy {i}");
    }

    /// Waits until no proxy has a flow any more: its counters are final then.
    pub fn wait_idle(&self) {
        for i in 1..=self.proxies.len() {
            wait_for(&format!("the last flow of proxy {i} to end"), || {
                (self.counter(i, "live_flows") == 0).then_some(())
            });
        }
    }

    /// Runs `act` with a new flow, and then how often `counter` of each proxy has gone up.
    pub fn counted(&self, host: &Host, counter: &str, act: impl FnOnce(Ends)) -> Vec<u64> {
        let read = || (1..=self.proxies.len()).map(|i| self.counter(i, counter));
        let before: Vec<u64> = read().collect();
        act(host.meet(self.lab.client()));
        self.wait_idle();
        read().zip(before).map(|(now, then)| now - then).collect()
    }

    /// Waits until every proxy's oldest flow has ended in one direction.
    pub fn wait_half_closed(&self) {
        for proxy in &self.proxies {
            wait_for("a flow half closed", || {
                let flows = proxy.json("flows");
                (flows["flows"][0]["state"] == "half-closed").then_some(())
            });
        }
    }

    /// From now on the server's kernel answers nothing to the client's address, nor to who speaks
    /// from it: their SYNs stay without answer.
    pub fn deafen_server(&self) {
        let route = format!("route add blackhole {CLIENT}/128\n");
        self.lab.server().ip(&route).unwrap();
    }

    /// Takes [`deafen_server`](Self::deafen_server) back.
    pub fn undeafen_server(&self) {
        let route = format!("route delete blackhole {CLIENT}/128\n");
        self.lab.server().ip(&route).unwrap();
    }

    /// A counter of one function of proxy `i`.
    pub fn function_counter(&self, i: usize, function: u16, name: &str) -> u64 {
        let status = counters::status(&self.proxies[i - 1]);
        let functions = status["functions"].as_array().unwrap();
        let id = format!("{function:#06x}");
        let entry = functions.iter().find(|entry| entry["id"] == id);
        entry.unwrap()[name].as_u64().unwrap()
    }
}

/// Runs `behaviour` through two proxies in each capture mode, with a function that works and with
/// one that leaves the bytes to splice; its last argument names them. Buffers are small: kilobytes
/// make a jam, and a large transfer is in the middle for long.
pub fn everywhere(behaviour: impl Fn(&Pipeline, &Host, &str)) {
    for capture in CAPTURES {
        let Some(lab) = lab(2) else { return };
        for node in [lab.client(), lab.proxy(1), lab.proxy(2), lab.server()] {
            for buffer in ["tcp_rmem", "tcp_wmem"] {
                let key = format!("net/ipv4/{buffer}");
                node.set_sysctl(&key, "4096 65536 65536").unwrap();
            }
        }
        let pipeline = Pipeline::in_lab(lab, &capture_option(capture), "");
        let host = Host::listen(pipeline.lab.server(), PORT);
        for (function, name) in [(XOR, "xor"), (COPY, "copy")] {
            pipeline.steer(function, 0x2a);
            behaviour(&pipeline, &host, &format!("{capture}, {name}"));
            pipeline.wait_idle();
        }
    }
}

/// The line of the main section.
pub fn capture_option(capture: &str) -> String {
    format!("option capture '{capture}'\n")
}

/// The sections of [`XOR`], [`COPY`] and [`PASSES`].
pub fn stock_functions() -> String {
    function_config(XOR, "xor", "")
        + &function_config(COPY, "copy", "")
        + &function_config(PASSES, "passes", "")
}
