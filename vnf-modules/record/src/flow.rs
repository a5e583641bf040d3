//! One flow: its bytes go on untouched, and what they were becomes events.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Progress, Reason};

use crate::Shared;
use crate::queue::{Comment, Event};
use crate::segment::{ACK, FIN, Header, PSH, RST, SYN};

/// Argument bit: what the client sends is recorded.
const UPSTREAM: u32 = 1;
/// Argument bit: what the server sends is recorded.
const DOWNSTREAM: u32 = 2;
/// What the argument 0 means.
const BOTH: u32 = UPSTREAM | DOWNSTREAM;

/// One flow.
#[derive(Debug)]
pub struct RecordFlow {
    shared: Arc<Shared>,
    info: FlowInfo,
    upstream: Side,
    downstream: Side,
}

/// One direction of it.
#[derive(Debug, Clone, Copy)]
struct Side {
    /// Sequence number of the next byte.
    sequence: u32,
    /// So many bytes more are recorded; `None`: all.
    left: Option<u64>,
    /// The stream has ended in order.
    ended: bool,
}

impl Side {
    /// Nothing of it will be recorded any more.
    fn is_done(&self) -> bool {
        self.left == Some(0)
    }
}

impl RecordFlow {
    /// The flow's handshake is recorded, too.
    pub(crate) fn begin(shared: Arc<Shared>, info: &FlowInfo) -> Result<Self, Reason> {
        let bits = match info.argument {
            0 => BOTH,
            1..=BOTH => info.argument,
            more => return Err(format!("argument {more:#x}: only the bits of {BOTH:#x}").into()),
        };
        let side = |bit: u32| Side {
            sequence: initial_sequence(info.id, bit),
            left: if bits & bit == 0 {
                Some(0)
            } else {
                shared.snap_bytes
            },
            ended: false,
        };
        let mut flow = Self {
            upstream: side(UPSTREAM),
            downstream: side(DOWNSTREAM),
            info: *info,
            shared,
        };
        let begins = Comment::Begins {
            flow: info.id,
            argument: info.argument,
        };
        flow.segment(Direction::Upstream, SYN, begins);
        flow.segment(Direction::Downstream, SYN | ACK, Comment::None);
        flow.segment(Direction::Upstream, ACK, Comment::None);
        Ok(flow)
    }

    fn sides(&mut self, direction: Direction) -> (&mut Side, &Side) {
        match direction {
            Direction::Upstream => (&mut self.upstream, &self.downstream),
            Direction::Downstream => (&mut self.downstream, &self.upstream),
        }
    }

    fn header(&mut self, direction: Direction, flags: u8) -> Header {
        let (client, server) = (self.info.client, self.info.server);
        let (source, destination) = match direction {
            Direction::Upstream => (client, server),
            Direction::Downstream => (server, client),
        };
        let (of, against) = self.sides(direction);
        Header {
            source,
            destination,
            sequence: of.sequence,
            acknowledgment: if flags & ACK == 0 {
                0
            } else {
                against.sequence
            },
            flags,
        }
    }

    /// A segment without payload. SYN and FIN count as a byte.
    fn segment(&mut self, direction: Direction, flags: u8, comment: Comment) {
        let header = self.header(direction, flags);
        self.push(header, &[], comment);
        if flags & (SYN | FIN) != 0 {
            let (side, _) = self.sides(direction);
            side.sequence = side.sequence.wrapping_add(1);
        }
    }

    fn push(&self, header: Header, payload: &[u8], comment: Comment) {
        let event = Event {
            time_us: now_us(),
            header,
            payload: payload.len(),
            comment,
        };
        if !self.shared.queue.push(event, payload) {
            self.shared.dropped.add(payload.len() as u64);
        }
    }

    /// How much of `input` is passed on by this call, and remembered.
    fn record(&mut self, direction: Direction, input: &[u8], room: usize) -> usize {
        let (side, _) = self.sides(direction);
        let left = side.left.unwrap_or(u64::MAX);
        let length = input.len().min(room);
        let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
        if length == 0 {
            return 0;
        }
        let header = self.header(direction, PSH | ACK);
        self.push(header, &input[..length], Comment::None);
        let (side, _) = self.sides(direction);
        side.left = side.left.map(|left| left - length as u64);
        // Less than a window, also where the queue had no room: the gap in the numbers shows it.
        let length_u32 = u32::try_from(length).unwrap_or_default();
        side.sequence = side.sequence.wrapping_add(length_u32);
        length
    }
}

impl Flow for RecordFlow {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        let n = self.record(direction, input, output.len());
        output[..n].copy_from_slice(&input[..n]);
        if end && n == input.len() {
            self.segment(direction, FIN | ACK, Comment::None);
            let (side, other) = self.sides(direction);
            side.ended = true;
            if other.ended {
                // The one that ended first acknowledges the end of the other.
                self.segment(against(direction), ACK, Comment::None);
            }
            return Ok(Progress::finished(n, n));
        }
        let (side, _) = self.sides(direction);
        Ok(if side.is_done() {
            Progress::pass(n, n)
        } else {
            Progress::more(n, n)
        })
    }
}

impl Drop for RecordFlow {
    /// What is not recorded to its end ends here, so that readers do not wait for more of it.
    fn drop(&mut self) {
        for direction in [Direction::Upstream, Direction::Downstream] {
            let (side, _) = self.sides(direction);
            match (side.ended, side.is_done()) {
                (true, _) => {}
                (false, true) => self.segment(direction, FIN | ACK, Comment::NotRecorded),
                (false, false) => {
                    return self.segment(direction, RST | ACK, Comment::Ended);
                }
            }
        }
    }
}

fn against(direction: Direction) -> Direction {
    match direction {
        Direction::Upstream => Direction::Downstream,
        Direction::Downstream => Direction::Upstream,
    }
}

/// Another one for each flow: readers tell two flows of the same ports apart by it.
fn initial_sequence(flow: u64, bit: u32) -> u32 {
    // Knuth's multiplicative hash: neighbours are far apart.
    let [a, b, c, d, ..] = flow.to_le_bytes();
    let flow = u32::from_le_bytes([a, b, c, d]);
    (flow << 2 | bit).wrapping_mul(0x9e37_79b1)
}

/// Microseconds since 1970; 0 where the clock stands before that.
fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}
