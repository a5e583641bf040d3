//! One flow: each direction through a child of its own, both pipes as far as they go in every call.

use std::io::{self, ErrorKind, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::time::{Duration, Instant};

use srv6pipes_vnf::{Direction, Flow, Progress, Reason};

use crate::children::{Child, Permit, Starter};
use crate::program::Program;

/// How long a child may live on after it has closed its stdout: it has nothing more to say, but
/// whether all went well only its exit tells.
const FAREWELL: Duration = Duration::from_secs(2);

/// One flow.
#[derive(Debug)]
pub struct ExecFlow {
    pub starter: Starter,
    /// For the waker.
    pub id: u64,
    /// The SID's.
    pub argument: u32,
    /// Upstream and downstream.
    pub lanes: [Lane; 2],
}

/// One direction.
#[derive(Debug)]
pub enum Lane {
    /// Without a program.
    Passes,
    /// Before its first byte.
    Ready(Arc<Program>, Option<Permit>),
    /// Its child lives, or has lived.
    Runs(Box<Run>),
}

/// A direction's child.
#[derive(Debug)]
pub struct Run {
    program: Arc<Program>,
    child: Child,
    /// `None` before it has started, and after all input or when it reads no more.
    stdin: Option<ChildStdin>,
    /// `None` before it has started, and after its end.
    stdout: Option<ChildStdout>,
    started: bool,
    /// When its stdout ended.
    silent: Option<Instant>,
}

impl Flow for ExecFlow {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        let lane = &mut self.lanes[direction as usize];
        match lane {
            Lane::Passes => Ok(Progress::pass(0, 0)),
            Lane::Ready(..) if input.is_empty() && !end => Ok(Progress::more(0, 0)),
            Lane::Ready(program, permit) => {
                let permit = permit.take().ok_or("started twice")?;
                let child = self.starter.start(program, permit, self.id, self.argument);
                *lane = Lane::Runs(Box::new(Run::new(Arc::clone(program), child)));
                Ok(Progress::wait(0, 0, 0))
            }
            Lane::Runs(run) => run.step(input, output, end),
        }
    }
}

impl Run {
    const fn new(program: Arc<Program>, child: Child) -> Self {
        Self {
            program,
            child,
            stdin: None,
            stdout: None,
            started: false,
            silent: None,
        }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8], end: bool) -> Result<Progress, Reason> {
        // Asked before the pipes are read: what it wrote before it ended is in them.
        let (pipes, ended) = self.child.look();
        if let Some(pipes) = pipes {
            self.stdin = Some(pipes.stdin);
            self.stdout = Some(pipes.stdout);
            self.started = true;
        }
        if let Some(Err(reason)) = ended {
            return Err(reason.into());
        }
        if !self.started {
            return Ok(Progress::wait(0, 0, 0));
        }
        let consumed = self.feed(input, end)?;
        let produced = self.fetch(output)?;
        let Some(silent) = self.silent else {
            return Ok(Progress::wait(consumed, produced, 0));
        };
        if ended.is_some() {
            return Ok(Progress::finished(consumed, produced));
        }
        let left = FAREWELL.saturating_sub(silent.elapsed());
        if left.is_zero() {
            let seconds = FAREWELL.as_secs();
            let program = &self.program;
            return Err(
                format!("{program} closed its output {seconds} s ago, and lives on").into(),
            );
        }
        let left = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        Ok(Progress::wait(consumed, produced, left.max(1)))
    }

    /// Gives the child of the input what it takes; how much that was.
    fn feed(&mut self, input: &[u8], end: bool) -> io::Result<usize> {
        let mut fed = 0;
        while fed < input.len() {
            let Some(stdin) = &mut self.stdin else {
                // It wants no more: nobody else does.
                return Ok(input.len());
            };
            match stdin.write(&input[fed..]) {
                Ok(n) => fed += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(fed),
                // As all programs in Rust, the host ignores SIGPIPE.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.stdin = None,
                Err(error) => return Err(error),
            }
        }
        if end {
            self.stdin = None;
        }
        Ok(fed)
    }

    /// Takes from the child what there is and what there is room for; how much that was.
    fn fetch(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let mut fetched = 0;
        while fetched < output.len() {
            let Some(stdout) = &mut self.stdout else {
                break;
            };
            match stdout.read(&mut output[fetched..]) {
                Ok(0) => {
                    self.stdout = None;
                    self.silent = Some(Instant::now());
                }
                Ok(n) => fetched += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(fetched)
    }
}
