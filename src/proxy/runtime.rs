//! What a configuration means to the data path; swapped whole on reload.
//!
//! A flow takes from it what it needs when it begins, and keeps that: functions by `Arc`,
//! timeouts by value.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::mark::{MarkMask, PathNumber};
use crate::config::model::{Config, FunctionFailure, PathKind};
use crate::proxy::itinerary::{Itinerary, Refusal};
use crate::stats::FunctionCounters;
use crate::sys::own_address::OwnAddress;
use crate::vnf::registry::{Function, Registry};
use crate::wire::sid::Locator;

/// A function that flows may name.
#[derive(Debug, Clone)]
pub struct Served {
    /// The module's function.
    pub function: Arc<Function>,
    /// What becomes of a flow in which it breaks its promise.
    pub on_failure: FunctionFailure,
    /// What it has seen; the same after a reload.
    pub counters: Arc<FunctionCounters>,
}

/// Which SIDs are ours, and where policies lead.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// Our prefixes.
    pub locators: Vec<Locator>,
    /// Segments of each policy in the order of travel.
    pub policies: HashMap<PathNumber, Vec<Ipv6Addr>>,
}

impl Map {
    /// What `config` says.
    pub fn new(config: &Config) -> Self {
        let policies = config.paths().filter_map(|(number, kind)| match kind {
            PathKind::Policy(policy) => Some((number, policy.segments.clone())),
            PathKind::Return(_) => None,
        });
        Self {
            locators: config.locators.iter().map(|l| l.prefix).collect(),
            policies: policies.collect(),
        }
    }

    /// Also where the policies of `other` lead that have numbers of their own: SYNs that were
    /// marked by it are still to come.
    pub fn with_policies_of(mut self, other: &Self) -> Self {
        for (number, segments) in &other.policies {
            let segments = || segments.clone();
            self.policies.entry(*number).or_insert_with(segments);
        }
        self
    }

    /// Whether a SID is one of ours.
    pub fn owns(&self, address: Ipv6Addr) -> bool {
        self.locators
            .iter()
            .any(|locator| locator.contains(address))
    }
}

/// The data path's view of one configuration.
#[derive(Debug)]
pub struct Runtime {
    /// Which SIDs are ours, and where policies lead.
    pub map: Map,
    /// By the function bits of the SID.
    pub functions: HashMap<u16, Served>,
    /// Our bits of the packet mark.
    pub mark: MarkMask,
    /// Flows at once.
    pub max_flows: u32,
    /// How long nothing may move.
    pub idle_timeout: Duration,
    /// How long the next segment may take to answer.
    pub connect_timeout: Duration,
}

impl Runtime {
    /// Puts configuration and loaded modules together; counters of `previous` go on.
    pub fn new(config: &Config, registry: &Registry, previous: Option<&Self>) -> Self {
        let functions = config.functions.iter().filter_map(|configured| {
            let function = registry.function(configured.id)?;
            let counters = previous
                .and_then(|p| p.functions.get(&configured.id))
                .filter(|old| old.function.is_same_as(&function))
                .map_or_else(Arc::default, |served| Arc::clone(&served.counters));
            let on_failure = configured.on_failure;
            Some((
                configured.id,
                Served {
                    function,
                    on_failure,
                    counters,
                },
            ))
        });
        Self {
            map: Map::new(config),
            functions: functions.collect(),
            mark: config.main.mark,
            max_flows: config.main.max_flows,
            idle_timeout: config.main.idle_timeout,
            connect_timeout: config.main.connect_timeout,
        }
    }

    /// This one, while the kernel goes over to `next`: it also understands what the kernel may
    /// say already.
    pub fn on_the_way_to(&self, next: &Self) -> Self {
        let mut map = self.map.clone().with_policies_of(&next.map);
        map.locators.extend(&next.map.locators);
        let mut functions = next.functions.clone();
        functions.extend(
            self.functions
                .iter()
                .map(|(id, served)| (*id, served.clone())),
        );
        Self {
            map,
            functions,
            ..*self
        }
    }

    /// Lets a flow in whose functions are all configured and whose server is not this machine.
    pub fn admit(&self, itinerary: Itinerary, own: &OwnAddress) -> Result<Itinerary, Refusal> {
        let mut steps = itinerary.steps.iter();
        if let Some(step) = steps.find(|step| !self.functions.contains_key(&step.function)) {
            return Err(Refusal::UnknownFunction(step.function));
        }
        let server = *itinerary.server.ip();
        if own.is(server) {
            return Err(Refusal::OwnDestination(server));
        }
        Ok(itinerary)
    }
}
