//! `module run`: standard input through a function to standard output; or, as a pair, through a
//! function and what undoes it, both directions, and compared.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::module::alarm::Alarm;
use crate::module::broke::What;
use crate::module::desk::{Desk, ROOM};
use crate::module::feed::{BOTH, Fault, Feed, Over, index, word};
use crate::module::open::{self, Choice, Named};
use crate::module::watched::{self, spawn};
use crate::vnf::{Direction, FlowInfo};

/// How often a terminal hears of the progress.
const NEWS: Duration = Duration::from_millis(500);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The module's file.
    pub file: PathBuf,
    /// The function.
    pub function: Choice,
    /// The direction that standard input is.
    pub direction: Direction,
    /// The function at the other proxy, farther from the client: compare instead of print.
    pub pair: Option<Named>,
    /// How many bytes arrive at once.
    pub chunk: usize,
}

/// Why it did not come to its end.
#[derive(Debug)]
pub enum Error {
    /// The function cannot be made ready.
    Open(open::Error),
    /// It did not take the flow, or broke a promise.
    Broke(String, What),
    /// It ended the flow.
    Over(String, Over),
    /// Standard input could not be read.
    Read(io::Error),
    /// Standard output could not be written.
    Write(io::Error),
    /// We could not do our part.
    Ours(io::Error),
    /// What came back is not what went in.
    Different,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            // These name it themselves.
            Self::Broke(_, what @ (What::Spawn(_) | What::Route(_))) => what.fmt(f),
            Self::Broke(name, what) => write!(f, "function '{name}': {what}"),
            Self::Over(name, over) => write!(f, "function '{name}' ended the flow: {over}"),
            Self::Read(error) => write!(f, "read standard input: {error}"),
            Self::Write(error) => write!(f, "write standard output: {error}"),
            Self::Ours(error) => write!(f, "run the function: {error}"),
            Self::Different => f.write_str("what came back is not what went in"),
        }
    }
}

// No source(): Display says it all, and a chain would print it twice.
impl std::error::Error for Error {}

/// Runs until standard input ends, or the flow does.
///
/// # Errors
/// When it does not come to an end in order, or the two differ.
pub fn run(options: &Options) -> Result<(), Error> {
    let function = open::named(&options.file, &options.function).map_err(Error::Open)?;
    let mut named = vec![&function];
    named.extend(&options.pair);
    let alarm = Alarm::new().map_err(Error::Ours)?;
    let mut seats = Vec::new();
    // One flow, whichever function of it.
    let flow = watched::flow(function.argument);
    let ready = open::ready(&options.file, &named).map_err(Error::Open)?;
    for (ready, named) in ready.iter().zip(&named) {
        let argument = named.argument;
        let spawned = spawn(ready, FlowInfo { argument, ..flow }, &alarm);
        let spawned = spawned.map_err(|what| Error::Broke(named.name.clone(), what))?;
        seats.push((spawned, ROOM));
    }
    let names: Vec<String> = named.iter().map(|named| named.name.clone()).collect();
    let mut line = Line {
        feed: Feed::new(seats),
        names: &names,
        directions: match options.pair {
            Some(_) => &BOTH,
            None => std::slice::from_ref(&options.direction),
        },
        news: io::stderr().is_terminal().then(Instant::now),
    };
    let input = Input::new(options.chunk).map_err(Error::Read)?;
    let output = || io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let mut output = output().map_err(Error::Write)?;
    if options.pair.is_none() {
        let done = line.carry(&alarm, input, |act, bytes| match act {
            Act::In(_) => Ok(()),
            Act::Out(_) => output.write_all(bytes).map_err(Error::Write),
        });
        return match done {
            // Whoever reads has seen enough, as `head` does.
            Err(Error::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Ok(()) => line.orderly(),
            done => done,
        };
    }
    let mut pair = Pair::default();
    line.carry(&alarm, input, |act, bytes| {
        pair.hear(act, bytes);
        Ok(())
    })?;
    line.orderly()?;
    let text = pair.text(&line);
    output.write_all(text.as_bytes()).map_err(Error::Write)?;
    if pair.different() {
        return Err(Error::Different);
    }
    Ok(())
}

/// Bytes that went in or came out of a direction.
enum Act {
    In(Direction),
    Out(Direction),
}

/// The flow, and what is fed to it.
struct Line<'a> {
    feed: Feed,
    /// Of its functions, from the client.
    names: &'a [String],
    /// Those that standard input is.
    directions: &'a [Direction],
    /// When the terminal was told last, if there is one.
    news: Option<Instant>,
}

impl Line<'_> {
    /// Carries everything there is; `each` hears of all bytes.
    fn carry(
        &mut self,
        alarm: &Alarm,
        mut input: Input,
        mut each: impl FnMut(Act, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut desk = Desk::plain();
        loop {
            let moved = match self.feed.step(&mut desk) {
                Ok(moved) => moved,
                Err(Fault::Memory(error)) => return Err(Error::Ours(error)),
                Err(Fault::Broken(place, broken)) => {
                    return Err(Error::Broke(
                        self.names[place].clone(),
                        What::Answer(broken),
                    ));
                }
            };
            for direction in BOTH {
                let bytes = self.feed.take(direction);
                if !bytes.is_empty() {
                    each(Act::Out(direction), &bytes)?;
                }
            }
            self.tell(&input);
            let finished = |direction: &Direction| self.feed.finished(*direction);
            if self.directions.iter().all(finished) {
                return Ok(());
            }
            if moved {
                continue;
            }
            let wants = |direction: &Direction| {
                self.feed.wants(*direction) || self.feed.finished(*direction)
            };
            let wants = !input.ended && self.directions.iter().all(wants);
            if wants && input.waiting() {
                let bytes = input.chunk();
                for &direction in self.directions {
                    each(Act::In(direction), bytes)?;
                    self.feed.arrive(direction, bytes);
                }
                continue;
            }
            let from = wants.then(|| input.file.as_fd());
            let until = self.feed.due().flatten();
            if alarm.wait(until, from).map_err(Error::Ours)? && !input.fill()? {
                for &direction in self.directions {
                    self.feed.end(direction);
                }
            }
            self.feed.wake(|id| alarm.rang(id));
            self.feed.tick(Instant::now());
        }
    }

    /// Whether the functions let the flow come to its end.
    fn orderly(&self) -> Result<(), Error> {
        match self.feed.over() {
            None | Some((_, Over::Closed)) => Ok(()),
            Some((place, over)) => Err(Error::Over(self.names[place].clone(), over)),
        }
    }

    /// Tells a terminal how far it is.
    fn tell(&mut self, input: &Input) {
        if let Some(last) = &mut self.news
            && last.elapsed() > NEWS
        {
            *last = Instant::now();
            let (read, given) = (input.read >> 10, self.feed.given() >> 10);
            eprint!("\r{read} KiB in, {given} KiB out ");
        }
    }
}

/// Standard input.
struct Input {
    file: File,
    chunk: usize,
    buffer: Vec<u8>,
    /// What of the buffer has not gone on yet.
    rest: std::ops::Range<usize>,
    ended: bool,
    /// Bytes so far.
    read: u64,
}

impl Input {
    fn new(chunk: usize) -> io::Result<Self> {
        Ok(Self {
            file: io::stdin().as_fd().try_clone_to_owned()?.into(),
            chunk: chunk.clamp(1, ROOM),
            buffer: vec![0; ROOM],
            rest: 0..0,
            ended: false,
            read: 0,
        })
    }

    fn waiting(&self) -> bool {
        !self.rest.is_empty()
    }

    /// The next bytes.
    fn chunk(&mut self) -> &[u8] {
        let start = self.rest.start;
        self.rest.start = self.rest.end.min(start + self.chunk);
        &self.buffer[start..self.rest.start]
    }

    /// Reads what is there; whether it was anything but the end.
    fn fill(&mut self) -> Result<bool, Error> {
        match self.file.read(&mut self.buffer) {
            Ok(0) => {
                self.ended = true;
                Ok(false)
            }
            Ok(n) => {
                self.rest = 0..n;
                self.read += n as u64;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(Error::Read(error)),
        }
    }
}

/// What went in and has not come back yet.
#[derive(Debug, Default)]
struct Pair {
    sent: [Sent; 2],
}

#[derive(Debug, Default)]
struct Sent {
    ahead: VecDeque<u8>,
    sent: u64,
    came: u64,
    /// The first byte that came back as another, or came back though none was sent.
    wrong: Option<u64>,
}

impl Pair {
    fn hear(&mut self, act: Act, bytes: &[u8]) {
        match act {
            Act::In(direction) => {
                let sent = &mut self.sent[index(direction)];
                sent.ahead.extend(bytes);
                sent.sent += bytes.len() as u64;
            }
            Act::Out(direction) => self.sent[index(direction)].compare(bytes),
        }
    }

    fn different(&self) -> bool {
        self.sent
            .iter()
            .any(|sent| sent.wrong.is_some() || sent.came != sent.sent)
    }

    /// A line for each direction.
    fn text(&self, line: &Line<'_>) -> String {
        let lines = BOTH.map(|direction| {
            let sent = &self.sent[index(direction)];
            let between = line.feed.between(direction);
            let ratio = match sent.sent {
                0 => String::new(),
                sent => format!(" ({:.3})", between as f64 / sent as f64),
            };
            let verdict = match sent.wrong {
                Some(at) => format!("came back different at byte {at}"),
                None if sent.came < sent.sent => format!("only {} came back", sent.came),
                None => "came back identical".to_owned(),
            };
            let (word, names) = (word(direction), line.names.join(" and "));
            format!(
                "{word:<10}  {} bytes, {between} between {names}{ratio}, {verdict}\n",
                sent.sent
            )
        });
        lines.concat()
    }
}

impl Sent {
    fn compare(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.ahead.pop_front() != Some(*byte) {
                self.wrong.get_or_insert(self.came);
            }
            self.came += 1;
        }
    }
}
