//! What the client hears of a SYN that was held: nothing, an ICMPv6 error, a reset, or the kernel.

use std::io;

use nfq::{Message, Verdict};

use super::{Capture, Held};
use crate::flow::FlowKey;
use crate::proxy::connect::{Cause, Dead};
use crate::proxy::itinerary::Refusal;
use crate::wire::icmpv6::{Unreachable, destination_unreachable};

/// ICMPv6 errors per [`SWEEP`](super::SWEEP), so that forged SYNs cannot have us flood whom they
/// name (RFC 4443 section 2.4 f). Whoever gets none sees silence.
const ERRORS: u32 = 100;

impl Capture {
    /// The flow cannot be: the client hears why, in the way it would have heard without us.
    pub(super) fn give_up(&mut self, held: Held, dead: &Dead) {
        let Held { key, isn, message } = held;
        self.table.forget(key, isn);
        let error = match dead {
            Dead::NotConnected(error) => error,
            Dead::Refused(refusal) => return self.refuse(message, refusal),
        };
        let cause = Cause::of(error);
        cause.count(&self.shared.counters);
        log::debug!(
            "flow {} → {}: no next segment: {error}",
            key.client,
            key.server
        );
        match cause {
            Cause::Refused | Cause::NoResources => self.answer_by_reset(message),
            Cause::Timeout => self.judge(message, Verdict::Drop),
            Cause::Unreachable if self.errors >= ERRORS => self.judge(message, Verdict::Drop),
            Cause::Unreachable => {
                self.errors += 1;
                self.explain(&message, key, error);
                self.judge(message, Verdict::Drop);
            }
        }
    }

    /// Says what a router would say that cannot pass the SYN on.
    fn explain(&self, message: &Message, key: FlowKey, error: &io::Error) {
        let reason = match error.raw_os_error() {
            Some(libc::ENETUNREACH) => Unreachable::NoRoute,
            Some(libc::EACCES | libc::EPERM) => Unreachable::Prohibited,
            // A route of type `blackhole` (`ip6_rt_type_to_error`, net/ipv6/route.c): silence.
            Some(libc::EINVAL) => return,
            _ => Unreachable::Address,
        };
        let told = match destination_unreachable(reason, message.get_payload()) {
            Ok(icmp) => self.icmp.send(*key.client.ip(), &icmp),
            Err(error) => return log::debug!("quote a SYN: {error}"),
        };
        if let Err(error) = told {
            log::debug!("tell {} that it is unreachable: {error}", key.client);
        }
    }

    pub(super) fn refuse(&mut self, message: Message, refusal: &Refusal) {
        refusal.count(&self.shared.counters);
        log::debug!("refuse a flow: {refusal}");
        match refusal {
            // Whoever writes such headers will not read an answer to them.
            Refusal::Malformed(_) | Refusal::NotOurs(_) => self.judge(message, Verdict::Drop),
            _ => self.answer_by_reset(message),
        }
    }

    pub(super) fn answer_by_reset(&mut self, mut message: Message) {
        let mark = self.runtime.mark;
        message.set_nfmark((message.get_nfmark() & !mark.mask()) | mark.refused());
        self.judge(message, Verdict::Accept);
    }

    pub(super) fn judge(&mut self, mut message: Message, verdict: Verdict) {
        message.set_verdict(verdict);
        if let Err(error) = self.queue.queue.verdict(message) {
            log::warn!("give a verdict on a SYN: {error}");
        }
    }
}
