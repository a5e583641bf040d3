//! `module bench`: what a function's calls cost on one core, beside memcpy and beside a function
//! that only copies.

mod round;
mod table;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use crate::module::bench::round::{Bench, Round, memcpy};
use crate::module::bench::table::{Row, Spread, Table};
use crate::module::broke::What;
use crate::module::feed::{BOTH, Over, word};
use crate::module::open::{self, Choice, Named};
use crate::module::samples;

/// Bytes of a stream before it begins again: more than compressors look back.
const STREAM: usize = 8 << 20;
/// What a round is to take at least, longer than a process runs before another has its turn; and
/// what it may take of a function that waits.
const ROUND: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(250);

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// The module's file.
    pub file: PathBuf,
    /// The function.
    pub function: Choice,
    /// What undoes it, so that it gets what it understands.
    pub inverse: Option<Named>,
    /// Bytes to feed instead of our own.
    pub sample: Option<Vec<u8>>,
    /// Rounds that count, after those that find out how long one is to be.
    pub rounds: u32,
    /// One JSON document instead of text.
    pub json: bool,
}

/// Why nothing could be measured.
#[derive(Debug)]
pub enum Error {
    /// The function cannot be made ready.
    Open(open::Error),
    /// It, or its inverse, does not take the flow, or broke a promise.
    Broke(What),
    /// It ended the flow.
    Over(Over),
    /// Neither order of the two gives back what went in.
    NoInverse(String),
    /// We could not do our part.
    Ours(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Broke(what) => what.fmt(f),
            Self::Over(over) => write!(f, "ended the flow: {over}"),
            Self::NoInverse(name) => write!(
                f,
                "'{name}' does not undo the function, on neither side of it: `module run --pair` shows what comes back"
            ),
            Self::Ours(error) => write!(f, "measure the function: {error}"),
        }
    }
}

// No source(): Display says it all, and a chain would print it twice.
impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Ours(error)
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
enum Trial {
    /// The function.
    Function,
    /// A function that copies.
    Copy,
    /// No function.
    Memcpy,
}

/// Measures, and says what.
///
/// # Errors
/// When there is nothing to measure.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), Error> {
    stay_here();
    let function = open::named(&options.file, &options.function).map_err(Error::Open)?;
    let mut named = vec![&function];
    named.extend(&options.inverse);
    let mut ready = open::ready(&options.file, &named)
        .map_err(Error::Open)?
        .into_iter();
    let Some(ours) = ready.next() else {
        unreachable!("as many functions as were named");
    };
    let version = ours.version().to_owned();
    let inverse = ready.next().zip(options.inverse.as_ref());
    let inverse = inverse.map(|(ready, named)| (ready, named.argument));
    let mut bench = Bench::new((ours, function.argument), inverse)?;
    if !bench.arrange()? {
        let name = options.inverse.as_ref().map(|inverse| inverse.name.clone());
        return Err(Error::NoInverse(name.unwrap_or_default()));
    }
    let mut table = Table {
        file: options.file.clone(),
        function,
        version,
        rounds: options.rounds.max(1),
        rows: Vec::new(),
    };
    for (data, stream) in streams(options) {
        for direction in BOTH {
            let row = measure(table.rounds, |trial, length| match trial {
                Trial::Function => bench.round(direction, &stream, length),
                Trial::Copy => bench.copy(direction, &stream, length),
                Trial::Memcpy => Ok(memcpy(&stream, length)),
            })?;
            table.rows.push(Row {
                data,
                direction: word(direction),
                ..row
            });
        }
    }
    let text = if options.json {
        format!("{}\n", table.to_json())
    } else {
        table.to_string()
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// The core we are on is the one that is measured: going from one to another costs time.
fn stay_here() {
    let mut here = CpuSet::new();
    // Where it is not allowed, the numbers are less steady.
    let _ = sched_getcpu()
        .and_then(|cpu| here.set(cpu))
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &here));
}

fn streams(options: &Options) -> Vec<(&'static str, Vec<u8>)> {
    match &options.sample {
        Some(sample) => vec![("sample", samples::long(Some(sample), BOTH[0], STREAM))],
        None => vec![
            ("text", samples::text(STREAM, 1)),
            ("random", samples::noise(STREAM, 1)),
        ],
    }
}

/// Rounds of all three in turns, so that what disturbs one disturbs the others.
fn measure(
    rounds: u32,
    mut round: impl FnMut(Trial, usize) -> Result<Round, Error>,
) -> Result<Row, Error> {
    let trials = [Trial::Function, Trial::Copy, Trial::Memcpy];
    let mut lengths = [1 << 20; 3];
    for (trial, length) in trials.into_iter().zip(&mut lengths) {
        loop {
            let tried = round(trial, *length)?;
            if tried.note.is_some() {
                return Ok(Row {
                    note: tried.note,
                    ..Row::default()
                });
            }
            if tried.spent >= ROUND || tried.clock >= LONGEST || *length >= 1 << 30 {
                break;
            }
            *length *= 2;
        }
    }
    let mut speeds: [Vec<f64>; 3] = Default::default();
    let mut clock = Vec::new();
    for _ in 0..rounds {
        for ((trial, length), speeds) in trials.into_iter().zip(lengths).zip(&mut speeds) {
            let round = round(trial, length)?;
            speeds.push(round.speed());
            if matches!(trial, Trial::Function) {
                clock.push(round.by_clock());
            }
        }
    }
    let [function, copy, memcpy] = speeds.map(Spread::of);
    Ok(Row {
        function,
        copy,
        memcpy,
        clock: Spread::of(clock),
        ..Row::default()
    })
}
