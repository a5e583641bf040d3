//! A direction whose bytes no function wants: the kernel moves them.

use crate::proxy::chunk::Slot;
use crate::proxy::pipe::{Failure, Pipe, Pools, Pumped};
use crate::sys::end::{End, Moved};

/// Bytes of a direction that are copied first, though no function wants them: below that the
/// calls that splice takes cost more than the copying (docs/performance.md).
pub(super) const COPIED: u64 = 65_536;

impl Pipe {
    /// Whether the kernel moves the bytes, or still has some that it began to move.
    pub(super) fn splices(&self) -> bool {
        self.kernel.is_some()
            || (self.read >= COPIED && self.can_splice && !self.discarding && self.untouched())
    }

    /// No function wants the bytes, and none of them waits here.
    fn untouched(&self) -> bool {
        self.places.iter().all(|p| p.passes) && self.slots.iter().all(Slot::is_empty)
    }

    /// `None`: what is left has to be copied.
    pub(super) fn splice(
        &mut self,
        source: &mut End,
        sink: &mut End,
        pools: &mut Pools,
    ) -> Result<Option<Pumped>, Failure> {
        let mut kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None if self.ended[0] => return self.finish(source, sink).map(Some),
            None if !source.readable() => return Ok(Some(Pumped::Waiting)),
            None => match pools.pipes.take() {
                Ok(kernel) => kernel,
                // Out of descriptors: copying needs none.
                Err(_) => {
                    self.can_splice = false;
                    return Ok(None);
                }
            },
        };
        loop {
            while kernel.held() > 0 {
                if !sink.writable() {
                    self.kernel = Some(kernel);
                    return Ok(Some(Pumped::Waiting));
                }
                match kernel.drain(sink).map_err(Failure::Sink)? {
                    Moved::Bytes(n) => {
                        self.written += n as u64;
                        self.spliced += n as u64;
                    }
                    Moved::Blocked | Moved::End => {}
                }
            }
            if self.ended[0] || !source.readable() || self.turn == 0 {
                pools.pipes.give(kernel);
                return match (self.ended[0], self.turn) {
                    (true, _) => self.finish(source, sink).map(Some),
                    (false, 0) => Ok(Some(Pumped::TurnOver)),
                    (false, _) => Ok(Some(Pumped::Waiting)),
                };
            }
            if source.urgent() {
                self.can_splice = false;
                pools.pipes.give(kernel);
                return Ok(None);
            }
            match kernel.fill(source) {
                Ok(Moved::Bytes(n)) => {
                    self.read += n as u64;
                    self.turn = self.turn.saturating_sub(n);
                }
                // A read will tell whether it is the end, or only an urgent mark.
                Ok(Moved::End) => {
                    self.can_splice = false;
                    pools.pipes.give(kernel);
                    return Ok(None);
                }
                Ok(Moved::Blocked) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.can_splice = false;
                    pools.pipes.give(kernel);
                    return Ok(None);
                }
                Err(error) => return Err(Failure::Source(error)),
            }
        }
    }
}
