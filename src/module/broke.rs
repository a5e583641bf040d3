//! Which promise a module broke, in words for its author.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::module::feed::{Over, word};
use crate::module::open;
use crate::vnf::{Broken, Direction, RouteError, RouteFault, SpawnError};

/// What went wrong, and with which input.
#[derive(Debug)]
pub struct Broke {
    /// What.
    pub what: What,
    /// With which input, if that is not clear from the case.
    pub when: Option<String>,
}

/// What went wrong.
#[derive(Debug)]
pub enum What {
    /// The function cannot be made ready.
    Open(open::Error),
    /// It does not take the flow.
    Spawn(SpawnError),
    /// It does not say where the flow goes, or says what cannot be.
    Route(RouteError),
    /// What the host checks in every answer.
    Answer(Broken),
    /// The same, of the function's inverse.
    Inverse(Broken),
    /// The flow does not end: so many bytes came out of so many.
    Endless(usize, usize),
    /// After the end it waits for so long for nothing.
    Waits(Duration),
    /// Other bytes came out of this direction than from the same stream in one piece: first at
    /// this byte, and so many of so many.
    Differs(Direction, usize, usize, usize),
    /// In one piece the stream went through; now the flow was ended so.
    Ends(Over),
    /// It, or its inverse, ended the flow so.
    ChainEnds(Over),
    /// What came out of the chain of it and its inverse is not what went in.
    NotUndone(Direction, usize, usize, usize),
    /// Memory grows: bytes per flow, over so many flows.
    Grows(usize, usize),
    /// There are more of these than before: kind, before, after.
    Left(&'static str, usize, usize),
    /// A call stood still for so long.
    Blocks(Duration),
    /// We could not do our part.
    Ours(io::Error),
}

impl What {
    /// Whether a flow was refused, as a function may.
    pub fn refuses(&self) -> bool {
        match self {
            Self::Spawn(_) => true,
            Self::Route(error) => matches!(error.fault, RouteFault::Refused(_)),
            _ => false,
        }
    }

    /// Without more words.
    pub fn plain(self) -> Broke {
        Broke {
            what: self,
            when: None,
        }
    }
}

impl Broke {
    /// With which input.
    pub fn when(mut self, when: impl FnOnce() -> String) -> Self {
        self.when.get_or_insert_with(when);
        self
    }
}

impl From<What> for Broke {
    fn from(what: What) -> Self {
        what.plain()
    }
}

impl From<io::Error> for Broke {
    fn from(error: io::Error) -> Self {
        What::Ours(error).plain()
    }
}

impl fmt::Display for Broke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(when) = &self.when {
            write!(f, "{when}: ")?;
        }
        self.what.fmt(f)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Spawn(error) => error.fmt(f),
            Self::Route(error) => error.fmt(f),
            Self::Answer(broken) => write!(f, "func_process {broken}"),
            Self::Inverse(broken) => write!(f, "func_process of the inverse {broken}"),
            Self::Endless(out, ended) => write!(
                f,
                "never says FINISHED: {out} bytes have come out of {ended}, and there is no end of it"
            ),
            Self::Waits(after) => write!(
                f,
                "never says FINISHED: {} s after END it still waits, and nothing wakes it",
                after.as_secs_f32()
            ),
            Self::Differs(direction, at, is, was) => {
                let word = word(*direction);
                write!(
                    f,
                    "other bytes come out {word} than of the same stream in one piece, "
                )?;
                differs(f, *at, *is, *was)
            }
            Self::Ends(over) => write!(
                f,
                "ends the flow ({over}), which it does not when the same stream comes in one piece"
            ),
            Self::ChainEnds(over) => {
                write!(f, "the chain with the inverse ends the flow ({over})")
            }
            Self::NotUndone(direction, at, is, was) => {
                let word = word(*direction);
                write!(
                    f,
                    "what went in {word} does not come out behind the inverse, "
                )?;
                differs(f, *at, *is, *was)
            }
            Self::Grows(bytes, flows) => write!(
                f,
                "memory grows with every flow, by {bytes} bytes each over {flows} of them: what func_spawn takes func_despawn must give back"
            ),
            Self::Left(what, before, after) => write!(
                f,
                "there were {before} {what} before func_init, and there are {after} after func_deinit"
            ),
            Self::Blocks(time) => write!(
                f,
                "a call of func_process stood still for {} ms: the thread carries other flows too",
                time.as_millis()
            ),
            Self::Ours(error) => write!(f, "could not be tried: {error}"),
        }
    }
}

fn differs(f: &mut fmt::Formatter<'_>, at: usize, is: usize, was: usize) -> fmt::Result {
    if is == was {
        write!(f, "the first at {at} of {is}")
    } else {
        write!(f, "{is} instead of {was}, the first at {at}")
    }
}
