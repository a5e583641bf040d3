//! Counters: written by workers without locks, read as plain snapshots.
//!
//! Every name ends in its unit; `status --json` prints them as they are called here, so they are
//! an interface: add, don't rename.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only its own methods touch; relaxed, since no counter orders another.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Counts one; whether it is the first.
    pub fn first(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Counts `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts so many bytes.
    pub fn bytes(&self, n: usize) {
        self.add(u64::try_from(n).unwrap_or(u64::MAX));
    }

    /// Takes one back: for counters of what is there now.
    pub fn gone(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $name:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $type {
            $($(#[$doc])* pub $name: Counter,)+
        }

        impl $type {
            /// All numbers with their names, in the order of their declaration.
            pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.value()),)+]
            }
        }
    };
}

counters! {
    /// What all workers together have seen since `run` began.
    Counters {
        /// Flows there are now.
        live_flows,
        /// Connections accepted from clients, refused ones included.
        accepted_flows,
        /// Of them, those whose SYN the kernel had answered with a cookie (`saved_syn` only).
        cookie_flows,
        /// Flows whose next segment answered.
        piped_flows,
        /// Flows that ended in order, both directions.
        finished_flows,
        /// Flows a client reset.
        reset_by_client_flows,
        /// Flows a server (or the next proxy) reset.
        reset_by_server_flows,
        /// Flows reset for having been idle for `idle_timeout`.
        idle_timeout_flows,
        /// Flows a function closed or reset on purpose.
        ended_by_function_flows,
        /// Flows reset because their function broke its promise.
        broken_function_flows,
        /// Flows reset because a reload removed their locator.
        locator_gone_flows,
        /// Flows reset because srv6pipes stopped.
        stopped_flows,
        /// Refused: no SRH and no policy.
        no_srh_flows,
        /// Refused: the SRH is malformed.
        malformed_srh_flows,
        /// Refused: a SID names a function that is not configured.
        unknown_function_flows,
        /// Refused: our place in the segment list is ambiguous (`saved_syn` only).
        ambiguous_position_flows,
        /// Refused: the final destination is a SID or an address of ours, or no host's address.
        bad_destination_flows,
        /// Refused: the function would not take the flow.
        spawn_refused_flows,
        /// Refused: a function had nowhere to send the flow.
        route_refused_flows,
        /// Refused: a function sent the flow to an address of ours, or to what is no host.
        bad_route_flows,
        /// Refused: `max_flows` reached.
        max_flows_refused_flows,
        /// Refused: out of descriptors or memory.
        no_resources_flows,
        /// The next segment refused (reset).
        next_refused_flows,
        /// The next segment cannot be reached.
        next_unreachable_flows,
        /// The next segment did not answer within `connect_timeout`.
        next_timeout_flows,
        /// Flows that a function gave another way when what it had chosen did not answer.
        rerouted_flows,
        /// Flows that went on from another port of the client's address, its own being in use.
        other_port_flows,
        /// SYNs held for their next segment's answer (`nfqueue` only).
        held_syn_packets,
        /// SYNs seen again while held (`nfqueue` only).
        repeated_syn_packets,
        /// SYNs that could not be held: the table of flows is full (`nfqueue` only).
        unheld_syn_packets,
        /// Answered flows whose client never went on (`nfqueue` only).
        abandoned_flows,
        /// Read from clients.
        upstream_in_bytes,
        /// Written towards servers.
        upstream_out_bytes,
        /// Read from servers.
        downstream_in_bytes,
        /// Written towards clients.
        downstream_out_bytes,
        /// Of all bytes written, those that the kernel moved by splice.
        spliced_bytes,
    }
}

counters! {
    /// What one configured function has seen.
    FunctionCounters {
        /// Flows it was spawned for.
        flows,
        /// Flows in which it broke its promise.
        broken_flows,
        /// Bytes it consumed, both directions.
        in_bytes,
        /// Bytes it produced, both directions.
        out_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_their_unit_and_stand_once() {
        let mut names: Vec<_> = Counters::default()
            .snapshot()
            .iter()
            .map(|(n, _)| *n)
            .collect();
        for name in &names {
            let unit = name.rsplit('_').next().unwrap();
            assert!(["flows", "bytes", "packets"].contains(&unit), "{name}");
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn numbers_add_up() {
        let counters = Counters::default();
        counters.live_flows.one();
        counters.live_flows.one();
        counters.live_flows.gone();
        counters.upstream_in_bytes.bytes(7);
        let snapshot = counters.snapshot();
        assert!(snapshot.contains(&("live_flows", 1)));
        assert!(snapshot.contains(&("upstream_in_bytes", 7)));
    }
}
