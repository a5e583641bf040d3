//! The safe face of the ABI: what an author of a module implements and uses.
//!
//! [`Function`] is `func_init`, `func_spawn` and `func_deinit` (its `Drop`); [`Flow`] is
//! `func_process` and `func_despawn` (its `Drop`). [`crate::shim`] carries the calls across.

use std::error::Error;
use std::ffi::CStr;
use std::net::SocketAddrV6;

use crate::shim::Log;

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
}

/// What a function keeps for one flow, both directions. Dropping it is `func_despawn`.
pub trait Flow: Send + 'static {
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
}

/// What the operator configured for a function, during [`Function::init`].
#[derive(Debug)]
pub struct Setup<'a> {
    pub(crate) options: Vec<(&'a str, &'a str)>,
    pub(crate) log: Log,
}

impl<'a> Setup<'a> {
    /// A configuration without a host, whose log goes nowhere: for the unit tests of a module.
    #[must_use]
    pub fn detached(options: &[(&'a str, &'a str)]) -> Self {
        Self {
            options: options.to_vec(),
            log: Log::nowhere(),
        }
    }

    /// The options of the UCI section that are not the host's own, in the order of the file; a
    /// list is several of one key.
    #[must_use]
    pub fn options(&self) -> &[(&'a str, &'a str)] {
        &self.options
    }

    /// The value of an option; of the last one, if there are several, as UCI has it.
    #[must_use]
    pub fn option(&self, key: &str) -> Option<&'a str> {
        self.options
            .iter()
            .rev()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    /// A way to the host's log that may be kept.
    #[must_use]
    pub const fn log(&self) -> Log {
        self.log
    }
}
