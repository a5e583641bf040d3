//! A direction whose bytes no function wants: the kernel moves them.

use crate::proxy::chunk::Slot;
use crate::proxy::pipe::{Failure, Pipe, Pools, Pumped};
use crate::sys::end::{End, Moved};

impl Pipe {
    /// Whether the kernel moves the bytes, or still has some that it began to move.
    pub(super) fn splices(&self, source: &End) -> bool {
        let may = self.can_splice && !self.discarding && !source.urgent();
        self.kernel.is_some() || (may && self.untouched())
    }

    /// No function wants the bytes, and none of them waits here.
    fn untouched(&self) -> bool {
        self.places.iter().all(|p| p.passes) && self.slots.iter().all(Slot::is_empty)
    }

    pub(super) fn splice(
        &mut self,
        source: &mut End,
        sink: &mut End,
        pools: &mut Pools,
    ) -> Result<Pumped, Failure> {
        let mut kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None if self.ended[0] => return self.finish(sink),
            None if !source.readable() => return Ok(Pumped::Waiting),
            None => match pools.pipes.take() {
                Ok(kernel) => kernel,
                // Out of descriptors: copying needs none.
                Err(_) => {
                    self.can_splice = false;
                    return Ok(Pumped::TurnOver);
                }
            },
        };
        loop {
            while kernel.held() > 0 {
                if !sink.writable() {
                    self.kernel = Some(kernel);
                    return Ok(Pumped::Waiting);
                }
                match kernel.drain(sink).map_err(Failure::Sink)? {
                    Moved::Bytes(n) => {
                        self.written += n as u64;
                        self.spliced += n as u64;
                    }
                    Moved::Blocked | Moved::End => {}
                }
            }
            let yields = self.turn == 0 || source.urgent();
            if self.ended[0] || !source.readable() || yields {
                pools.pipes.give(kernel);
                return match self.ended[0] {
                    true => self.finish(sink),
                    false if yields => Ok(Pumped::TurnOver),
                    false => Ok(Pumped::Waiting),
                };
            }
            match kernel.fill(source) {
                Ok(Moved::Bytes(n)) => {
                    self.read += n as u64;
                    self.turn = self.turn.saturating_sub(n);
                }
                Ok(Moved::End) => match self.fill(source, pools) {
                    Ok(Moved::End) => self.ended[0] = true,
                    Ok(Moved::Blocked) => {}
                    Ok(Moved::Bytes(_)) => {
                        self.can_splice = false;
                        pools.pipes.give(kernel);
                        return Ok(Pumped::TurnOver);
                    }
                    Err(failure) => return Err(failure),
                },
                Ok(Moved::Blocked) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.can_splice = false;
                    pools.pipes.give(kernel);
                    return Ok(Pumped::TurnOver);
                }
                Err(error) => return Err(Failure::Source(error)),
            }
        }
    }
}
