//! The host's side of the module ABI: what the pipe sees of a function.

use std::net::SocketAddrV6;

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

/// What one call of a function did; already checked: `consumed` and `produced` are within the
/// buffers of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken from the front of the input.
    pub consumed: usize,
    /// Bytes written to the front of the output.
    pub produced: usize,
    /// What next.
    pub verdict: Verdict,
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

/// How a function broke its promise; ends the flow by the function's failure policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It said so itself, or panicked (the SDK turns a panic into this).
    Failed,
    /// `produced` is larger than the room it was given.
    Overproduced,
    /// `consumed` is larger than the input it was given.
    Overconsumed,
    /// A verdict this version does not know.
    UnknownVerdict,
}

/// One flow's function, as the pipe sees it. Dropping it is `func_despawn`.
pub trait Transform: Send + std::fmt::Debug {
    /// Runs the function over `input` into `output`; `end` says that `input` is the last there is.
    ///
    /// # Errors
    /// When the function broke its contract: the flow must not hand it anything more.
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Broken>;
}
