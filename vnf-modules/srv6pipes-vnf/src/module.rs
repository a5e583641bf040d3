//! The safe face of the ABI: what an author of a module implements and uses.
//!
//! [`Function`] is `func_init`, `func_spawn` and `func_deinit` (its `Drop`); [`Flow`] is
//! `func_process` and `func_despawn` (its `Drop`). [`crate::shim`] carries the calls across.

use std::error::Error;
use std::ffi::CStr;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use crate::setup::Setup;

/// Why a function refuses a configuration or a flow, or gives one up: any error, also a text
/// (`"no key".into()`). The host logs it.
pub type Reason = Box<dyn Error + Send + Sync>;

/// One function of a module, as one `config function` section sets it up. Dropping it is
/// `func_deinit`.
pub trait Function: Send + Sync + Sized + 'static {
    /// What `option name` says: 1 to 63 bytes.
    const NAME: &CStr;
    /// One line for people, at most 255 bytes.
    const SUMMARY: &CStr;
    /// The function's version; [`package_version!`](crate::package_version) is the usual one.
    const VERSION: &CStr;
    /// Whether the function looks at no byte and no flow, so that the kernel may move them all.
    const PASS_AT_ONCE: bool = false;
    /// Whether [`Self::init`] reads files: a reload then makes the function anew for new flows,
    /// though its section did not change.
    const READS_FILES: bool = false;
    /// Whether [`Flow::process`] is to be called in each direction as soon as both ends of a flow
    /// are connected, with no input where nothing has arrived yet.
    const SPEAKS_FIRST: bool = false;
    /// Whether no flow may go on without the function, not even when it fails: the section may
    /// not say `on_failure 'pass'`.
    const FAILS_CLOSED: bool = false;
    /// Whether [`Self::route`] is to be asked.
    const ROUTES: bool = false;

    /// The state of one flow.
    type Flow: Flow;

    /// Makes the function ready. Runs on the control thread.
    ///
    /// # Errors
    /// To refuse the configuration; the operator reads why.
    fn init(setup: &Setup) -> Result<Self, Reason>;

    /// A flow begins. Runs on a worker thread, for several flows at once.
    ///
    /// # Errors
    /// To refuse the flow, which then ends by the operator's `on_failure`.
    fn spawn(&self, flow: &FlowInfo) -> Result<Self::Flow, Reason>;

    /// Says where a flow goes, before it is spawned and its next segment connected: may change the
    /// route's server and next segment, and may remember its choice there. Asked only with
    /// [`Self::ROUTES`]; again, with one `attempt` more, when what it chose did not answer in
    /// [`ROUTE_PATIENCE_MS`](crate::abi::ROUTE_PATIENCE_MS), up to
    /// [`ROUTE_ATTEMPTS`](crate::abi::ROUTE_ATTEMPTS) times in all. Runs on a worker thread, for
    /// several flows at once.
    ///
    /// # Errors
    /// When there is nowhere to go (any more): the flow is refused.
    fn route(&self, flow: &FlowInfo, route: &mut Route) -> Result<(), Reason> {
        let _ = (flow, route);
        Ok(())
    }

    /// What became of a choice that [`Self::route`] made: exactly one of `Connected`, `Failed` and
    /// `Dropped`, and after `Connected` one `Ended`.
    fn routed(&self, choice: u64, event: Routed) {
        let _ = (choice, event);
    }
}

/// What a function keeps for one flow, both directions. Dropping it is `func_despawn`.
pub trait Flow: Send + 'static {
    /// Whether [`Self::report`] is to be called.
    const REPORTS: bool = false;

    /// Takes bytes of one direction from `input` and gives bytes to `output`, as many as it likes
    /// of each. Runs on a worker thread, never twice at once for one flow, and must not block.
    ///
    /// `end` says that nothing follows `input`. The call is then repeated, with what was not
    /// consumed, until the answer is [`Verdict::Finished`]. The header says the rest, at
    /// `func_process`.
    ///
    /// # Errors
    /// When the function cannot go on; the flow ends by the operator's `on_failure`.
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason>;

    /// The flow's numbers, whenever the operator asks for the status and once at the end; also
    /// after the function has said that it passes. Called only with [`Self::REPORTS`].
    fn report(&mut self, report: &Report) {
        let _ = report;
    }
}

/// Which way bytes go: upstream is client to server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Client to server.
    Upstream,
    /// Server to client.
    Downstream,
}

/// What a function is told of the flow it is spawned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowInfo {
    /// The low 32 bits of the SID.
    pub argument: u32,
    /// The client's address and port.
    pub client: SocketAddrV6,
    /// The final destination.
    pub server: SocketAddrV6,
    /// For [`Waker::wake`](crate::Waker::wake): no other flow of this process has it. 0 in
    /// [`Function::route`].
    pub id: u64,
    /// In [`Function::spawn`], what [`Function::route`] chose for this flow ([`Route::choice`]);
    /// 0 if it was not asked.
    pub choice: u64,
}

impl FlowInfo {
    /// A flow between two ports of ::1, for the unit tests of a module.
    #[must_use]
    pub const fn detached(argument: u32) -> Self {
        Self {
            argument,
            client: SocketAddrV6::new(Ipv6Addr::LOCALHOST, 50_000, 0, 0),
            server: SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 0, 0),
            id: 1,
            choice: 0,
        }
    }
}

/// Where a flow goes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// 0; then 1, 2, … each time what was chosen did not answer.
    pub attempt: u32,
    /// The final destination; may be changed.
    pub server: SocketAddrV6,
    /// The next segment; may be changed for another, but neither added nor taken away.
    pub next_segment: Option<Ipv6Addr>,
    /// The function's own: comes back in [`Function::routed`].
    pub choice: u64,
}

/// What became of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routed {
    /// It has answered.
    Connected,
    /// It has refused, cannot be reached, or gave no answer in time.
    Failed,
    /// The flow ended for another reason before that was known.
    Dropped,
    /// After `Connected`: the flow is over.
    Ended,
}

/// What a flow has moved so far, splice included; by default, that of one that has just begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// The flow is over; its `Drop` follows.
    pub last: bool,
    /// Bytes read from the client.
    pub upstream_in: u64,
    /// Bytes written towards the server.
    pub upstream_out: u64,
    /// Bytes read from the server's side.
    pub downstream_in: u64,
    /// Bytes written to the client.
    pub downstream_out: u64,
    /// Since the client's connection was accepted.
    pub age: Duration,
    /// Round trip of the client's handshake, if known.
    pub client_rtt: Option<Duration>,
    /// How long the next segment took to answer, if it has.
    pub connect: Option<Duration>,
    /// From accept to the first byte from the server, if one came.
    pub first_byte: Option<Duration>,
}

/// What one call of a function did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken from the front of the input.
    pub consumed: usize,
    /// Bytes written to the front of the output.
    pub produced: usize,
    /// What next.
    pub verdict: Verdict,
}

impl Progress {
    /// So much was done; call again when there is more input or more room.
    #[must_use]
    pub const fn more(consumed: usize, produced: usize) -> Self {
        Self {
            consumed,
            produced,
            verdict: Verdict::More,
        }
    }

    /// The direction ends after what was produced.
    #[must_use]
    pub const fn finished(consumed: usize, produced: usize) -> Self {
        Self {
            consumed,
            produced,
            verdict: Verdict::Finished,
        }
    }

    /// What comes after `consumed` goes on untouched.
    #[must_use]
    pub const fn pass(consumed: usize, produced: usize) -> Self {
        Self {
            consumed,
            produced,
            verdict: Verdict::Pass,
        }
    }

    /// So much was done; call again when woken, after `ms` milliseconds if that is not 0, or when
    /// there is more input or more room.
    #[must_use]
    pub const fn wait(consumed: usize, produced: usize, ms: u32) -> Self {
        Self {
            consumed,
            produced,
            verdict: Verdict::Wait(ms),
        }
    }
}

/// What a function wants next, for one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Call again when there is more input or more room.
    More,
    /// This direction ends here: nothing more will be produced; later input is dropped.
    Finished,
    /// Seen enough: all bytes after `consumed` go on untouched, without the function.
    Pass,
    /// Deliver what was produced, then end the flow in order, both directions.
    Close,
    /// Reset the flow now.
    Reset,
    /// As `More`, but call again, too, when the flow is woken ([`Waker`](crate::Waker)), or after
    /// so many milliseconds; 0 is no limit.
    Wait(u32),
}
