//! From the workers to the writer: bounded, and made before the first flow.
//!
//! Two batches: the workers append to one while the writer works on the other, and now and then
//! they are swapped. A worker holds the lock as long as copying its bytes takes, the writer as long
//! as swapping two pointers takes, and neither waits for a disk.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::segment::Header;

/// Room for so many bytes of payload there is room for one more segment.
const BYTES_PER_EVENT: usize = 256;
/// The writer lets bytes gather for so long, unless there are many: flash likes few, large writes.
const GATHER: Duration = Duration::from_millis(250);

/// What a flow did: a segment, or several if the payload is longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Microseconds since 1970.
    pub time_us: u64,
    /// Of the first segment.
    pub header: Header,
    /// Bytes.
    pub payload: usize,
    /// For the first segment.
    pub comment: Comment,
}

/// What is to be said about a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comment {
    /// Nothing.
    None,
    /// The flow of this number begins, with this argument.
    Begins {
        /// The host's number of it.
        flow: u64,
        /// The low 32 bits of the SID.
        argument: u32,
    },
    /// What follows in this direction was not recorded.
    NotRecorded,
    /// The flow ended otherwise than in order.
    Ended,
}

/// Events, and the payloads of all of them.
#[derive(Debug)]
pub struct Batch {
    /// In the order of their coming.
    pub events: Vec<Event>,
    /// One behind the other.
    pub bytes: Vec<u8>,
}

impl Batch {
    fn new(capacity: usize) -> Self {
        Self {
            events: Vec::with_capacity(capacity / BYTES_PER_EVENT),
            bytes: Vec::with_capacity(capacity),
        }
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// So much that the writer should begin.
    fn is_half_full(&self) -> bool {
        let full = |length: usize, capacity: usize| length >= capacity / 2;
        full(self.events.len(), self.events.capacity())
            || full(self.bytes.len(), self.bytes.capacity())
    }

    fn clear(&mut self) {
        self.events.clear();
        self.bytes.clear();
    }
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    /// Something has come, much has come, or it is closed.
    news: Condvar,
}

#[derive(Debug)]
struct State {
    batch: Batch,
    closed: bool,
}

impl Queue {
    /// Two batches of `capacity` bytes: one here, and one for [`Self::take`] to swap in.
    pub fn new(capacity: usize) -> (Self, Batch) {
        let state = State {
            batch: Batch::new(capacity),
            closed: false,
        };
        let queue = Self {
            state: Mutex::new(state),
            news: Condvar::new(),
        };
        (queue, Batch::new(capacity))
    }

    /// Appends an event and its payload; whether there was room.
    pub fn push(&self, event: Event, payload: &[u8]) -> bool {
        let mut state = self.lock();
        let Batch { events, bytes } = &mut state.batch;
        let room = bytes.capacity() - bytes.len();
        if payload.len() > room || events.len() == events.capacity() {
            return false;
        }
        let before = (state.batch.is_empty(), state.batch.is_half_full());
        state.batch.bytes.extend_from_slice(payload);
        state.batch.events.push(event);
        let wanted = before.0 || (!before.1 && state.batch.is_half_full());
        drop(state);
        if wanted {
            self.news.notify_one();
        }
        true
    }

    /// Waits for events and swaps them for `batch`, which is cleared; `false` once the queue is
    /// closed and empty.
    pub fn take(&self, batch: &mut Batch) -> bool {
        batch.clear();
        let idle = |state: &mut State| !state.closed && state.batch.is_empty();
        let state = self.news.wait_while(self.lock(), idle);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let gathers = |state: &mut State| !state.closed && !state.batch.is_half_full();
        let waited = self.news.wait_timeout_while(state, GATHER, gathers);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.batch, batch);
        !batch.is_empty()
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
