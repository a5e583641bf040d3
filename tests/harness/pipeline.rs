//! A laboratory with a daemon in every proxy, in one line of a test.

use std::net::Ipv6Addr;

use srv6pipes::demo::lab::{Lab, sid};

use super::proxy::{Proxy, function_config};
use super::{lab, wait_for};

/// The two ways to learn the SRH of a SYN, as `option capture` calls them.
pub const CAPTURES: [&str; 2] = ["saved_syn", "nfqueue"];

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
        let status = self.proxies[i - 1].json("status");
        let value = status["counters"][name].as_u64();
        value.unwrap_or_else(|| panic!("no counter {name}"))
    }

    /// Waits until a counter of proxy `i` reaches `value`; it must not go beyond.
    pub fn wait_counter(&self, i: usize, name: &str, value: u64) {
        let found = wait_for(&format!("{name} of proxy {i} to reach {value}"), || {
            let found = self.counter(i, name);
            (found >= value).then_some(found)
        });
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

    /// A counter of one function of proxy `i`.
    pub fn function_counter(&self, i: usize, function: u16, name: &str) -> u64 {
        let status = self.proxies[i - 1].json("status");
        let functions = status["functions"].as_array().unwrap();
        let id = format!("{function:#06x}");
        let entry = functions.iter().find(|entry| entry["id"] == id);
        entry.unwrap()[name].as_u64().unwrap()
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
