//! What the tests of pipe and session stand on: functions made of closures, and socket pairs
//! whose buffers are small.

use std::fmt;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};

use crate::config::model::FunctionFailure;
use crate::proxy::stage::{Chain, Stage};
use crate::sys::end::End;
use crate::vnf::{Broken, Direction, Progress, Transform, Verdict};

/// A function: direction, input, output, end.
pub type Body =
    Box<dyn FnMut(Direction, &[u8], &mut [u8], bool) -> Result<Progress, Broken> + Send>;

struct Closure {
    body: Body,
    speaks_first: bool,
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closure")
    }
}

impl Transform for Closure {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Broken> {
        assert!(
            input.len() <= 65536 && !output.is_empty(),
            "the host's promise"
        );
        (self.body)(direction, input, output, end)
    }

    fn speaks_first(&self) -> bool {
        self.speaks_first
    }
}

/// A chain of such functions, numbered from 1, whose failures let flows pass.
pub fn chain(bodies: impl IntoIterator<Item = Body>) -> Chain {
    chain_of(bodies.into_iter().map(|body| (body, false)))
}

/// As [`chain`]; each with whether it speaks first.
pub fn chain_of(bodies: impl IntoIterator<Item = (Body, bool)>) -> Chain {
    let closure = |(body, speaks_first)| Closure { body, speaks_first };
    let stages = (1..).zip(bodies.into_iter().map(closure));
    Chain::new(
        stages
            .map(|(id, closure)| stage(id, Box::new(closure)))
            .collect(),
    )
}

/// A function with a number, whose failures let flows pass.
pub fn stage(id: u16, transform: Box<dyn Transform>) -> Stage {
    Stage::new(id, transform, FunctionFailure::Pass, Arc::default())
}

/// An answer.
pub fn say(consumed: usize, produced: usize, verdict: Verdict) -> Result<Progress, Broken> {
    Ok(Progress {
        consumed,
        produced,
        verdict,
    })
}

/// Copies what fits; at the end it is finished.
pub fn copy(input: &[u8], output: &mut [u8], end: bool) -> Result<Progress, Broken> {
    let n = input.len().min(output.len());
    output[..n].copy_from_slice(&input[..n]);
    let all = end && n == input.len();
    say(
        n,
        n,
        if all {
            Verdict::Finished
        } else {
            Verdict::More
        },
    )
}

/// [`copy`] as a function.
pub fn copies() -> Body {
    Box::new(|_, input, output, end| copy(input, output, end))
}

/// Takes nothing before `length` bytes are there, then copies just these; the rest at the end.
pub fn records(length: usize) -> Body {
    Box::new(move |_, input, output, end| match input.len() {
        n if n >= length => copy(&input[..length], output, false),
        _ if end => copy(input, output, true),
        _ => say(0, 0, Verdict::More),
    })
}

/// An end and its peer; neither ever blocks, and the kernel holds little between them.
pub fn pair() -> (UnixStream, End) {
    let (peer, end) = UnixStream::pair().unwrap();
    for socket in [&peer, &end] {
        socket.set_nonblocking(true).unwrap();
        setsockopt(socket, sockopt::SndBuf, &4096).unwrap();
    }
    (peer, End::new(OwnedFd::from(end)))
}

/// Writes what the kernel takes of `bytes`; how many that were.
pub fn offer(mut peer: &UnixStream, bytes: &[u8]) -> usize {
    let mut n = 0;
    while n < bytes.len() {
        match peer.write(&bytes[n..]) {
            Ok(written) => n += written,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    n
}

/// Reads at most `limit` bytes of what is there; whether the end came.
pub fn take(peer: &UnixStream, limit: usize, into: &mut Vec<u8>) -> bool {
    let mut limited = peer.take(limit as u64);
    match limited.read_to_end(into) {
        Ok(_) => limited.limit() > 0,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

/// Bytes that differ from their neighbours near and far.
pub fn noise(length: usize) -> Vec<u8> {
    let word = |i: u32| i.wrapping_mul(0x9e37_79b9).to_be_bytes()[0];
    (0..u32::try_from(length).unwrap()).map(word).collect()
}
