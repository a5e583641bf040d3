//! One flow: headers first, then records, in both directions.
//!
//! ```text
//!            Greeting ──both headers──▶ Talking
//!  sealing   header, then WAIT          input → records, the last one at the end
//!  opening   their header               records → output
//! ```
//! No byte of the flow is sealed before the other end's header is here, for its randomness is in
//! the keys. The sealing direction waits for it; the opening one, to which it comes, wakes it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use srv6pipes_vnf::{Counter, Direction, Flow, FlowInfo, Log, Progress, Reason, Verdict, Waker};

use crate::hello::{self, HELLO, Hello, Role};
use crate::record::{Done, Opener, Sealer};
use crate::refusal::Refusal;
use crate::schedule::{self, MasterKey, Schedule};

/// What the flows of one function share.
#[derive(Debug)]
pub struct Terms {
    /// How long the other end's header may take.
    pub patience: Duration,
    /// For the reason of an end.
    pub log: Log,
    /// For the direction that waits.
    pub waker: Waker,
    /// Flows ended because what came was not the other end's.
    pub unauthentic: Counter,
    /// Flows ended because no header came.
    pub unanswered: Counter,
}

/// One flow.
pub struct Tunnel {
    terms: Arc<Terms>,
    flow: FlowInfo,
    hello: Hello,
    /// Bytes of our header that are out.
    said: usize,
    state: State,
}

enum State {
    Greeting(Greeting),
    Talking { sealer: Sealer, opener: Opener },
}

/// Before the other end's header is here.
struct Greeting {
    master: Arc<MasterKey>,
    theirs: [u8; HELLO],
    /// Bytes of it that are here.
    heard: usize,
    /// When it is too late for it; from the first call on, when both ends are connected.
    deadline: Option<Instant>,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("flow", &self.flow)
            .field("hello", &self.hello)
            .finish_non_exhaustive()
    }
}

impl Tunnel {
    /// A flow that begins. `hello` is what we say.
    pub fn new(terms: Arc<Terms>, flow: FlowInfo, hello: Hello, master: Arc<MasterKey>) -> Self {
        Self {
            terms,
            flow,
            hello,
            said: 0,
            state: State::Greeting(Greeting {
                master,
                theirs: [0; HELLO],
                heard: 0,
                deadline: None,
            }),
        }
    }

    fn sealing(&self) -> Direction {
        match self.hello.role {
            Role::Seal => Direction::Upstream,
            Role::Open => Direction::Downstream,
        }
    }

    fn seal(&mut self, input: &[u8], output: &mut [u8], end: bool) -> Result<Progress, Refusal> {
        let ours = self.hello.bytes();
        let n = output.len().min(HELLO - self.said);
        output[..n].copy_from_slice(&ours[self.said..self.said + n]);
        self.said += n;
        match &mut self.state {
            State::Greeting(greeting) => {
                let left = greeting.left(self.terms.patience).ok_or(Refusal::Silent)?;
                Ok(Progress::wait(0, n, left))
            }
            State::Talking { sealer, .. } => {
                let mut done = sealer.seal(input, &mut output[n..], end)?;
                done.produced += n;
                Ok(progress(done))
            }
        }
    }

    fn open(&mut self, input: &[u8], output: &mut [u8], end: bool) -> Result<Progress, Refusal> {
        let mut taken = 0;
        if let State::Greeting(greeting) = &mut self.state {
            taken = greeting.hear(input)?;
            if greeting.heard == HELLO {
                self.state = greeting.over(&self.hello, &self.flow)?;
                self.terms.waker.wake(self.flow.id);
            }
        }
        match &mut self.state {
            State::Greeting(_) if end => Err(Refusal::CutOff),
            State::Greeting(_) => Ok(Progress::more(taken, 0)),
            State::Talking { opener, .. } => {
                let mut done = opener.open(&input[taken..], output, end)?;
                done.consumed += taken;
                Ok(progress(done))
            }
        }
    }

    /// Ends the flow. Not by an error: that would count as our mistake, and it is a stranger's.
    fn refuse(&self, refusal: Refusal) -> Progress {
        let Terms {
            log,
            unauthentic,
            unanswered,
            ..
        } = &*self.terms;
        if refusal == Refusal::Silent {
            unanswered.one();
        } else {
            unauthentic.one();
        }
        let FlowInfo { client, server, .. } = self.flow;
        let key_id = self.hello.key_id;
        log.debug(format_args!(
            "reset the flow {client} → {server} of key {key_id}: {refusal}"
        ));
        Progress {
            consumed: 0,
            produced: 0,
            verdict: Verdict::Reset,
        }
    }
}

impl Greeting {
    /// Takes what belongs to the header; how much that was.
    fn hear(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let n = input.len().min(HELLO - self.heard);
        self.theirs[self.heard..self.heard + n].copy_from_slice(&input[..n]);
        self.heard += n;
        if !hello::may_be(&self.theirs[..self.heard]) {
            return Err(Refusal::NoHello);
        }
        Ok(n)
    }

    /// The header is here in whole.
    fn over(&self, ours: &Hello, flow: &FlowInfo) -> Result<State, Refusal> {
        let cipher = ours.meet(&self.theirs)?;
        let mine = ours.bytes();
        let (seal, open, out, back) = match ours.role {
            Role::Seal => (
                &mine,
                &self.theirs,
                Direction::Upstream,
                Direction::Downstream,
            ),
            Role::Open => (
                &self.theirs,
                &mine,
                Direction::Downstream,
                Direction::Upstream,
            ),
        };
        let schedule = Schedule::new(&self.master, seal, open);
        let addresses = schedule::addresses(flow);
        let addresses = if ours.addresses { &addresses[..] } else { &[] };
        Ok(State::Talking {
            sealer: Sealer::new(schedule.key(cipher, out, addresses)),
            opener: Opener::new(schedule.key(cipher, back, addresses)),
        })
    }

    /// Milliseconds that the header may still take; none if it is too late.
    fn left(&mut self, patience: Duration) -> Option<u32> {
        let now = Instant::now();
        let deadline = *self.deadline.get_or_insert(now + patience);
        let left = deadline.checked_duration_since(now)?.as_millis();
        // A wait of 0 would be one without limit.
        (left > 0).then(|| u32::try_from(left).unwrap_or(u32::MAX))
    }
}

fn progress(done: Done) -> Progress {
    let Done {
        consumed,
        produced,
        finished,
    } = done;
    if finished {
        Progress::finished(consumed, produced)
    } else {
        Progress::more(consumed, produced)
    }
}

impl Flow for Tunnel {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        let done = if direction == self.sealing() {
            self.seal(input, output, end)
        } else {
            self.open(input, output, end)
        };
        Ok(done.unwrap_or_else(|refusal| self.refuse(refusal)))
    }
}
