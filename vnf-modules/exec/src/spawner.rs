//! The thread that starts children: fork and exec take milliseconds, which no worker has. What a
//! thread passes on to its children by inheritance (niceness, no_new_privs, no ambient
//! capabilities) this one has for them.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use rustix::event::epoll::{self, EventFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open, setpriority_process};
use rustix::thread::{clear_ambient_capability_set, set_no_new_privs};

use crate::children::{Permit, Pipes, Seat, Shared, kill, lock};
use crate::program::{PATH, Program};
use crate::user::User;
use crate::watcher::{EXIT, PIPE, STDERR, Watched, token};

/// What is the same for all children.
#[derive(Debug)]
pub struct Terms {
    /// `None`: they stay who we are.
    pub user: Option<User>,
    /// 0 to 19.
    pub nice: i32,
    /// Address space of a child's process, MiB.
    pub memory: Option<u64>,
    /// Processor time of a child's process, seconds.
    pub cpu: Option<u64>,
}

/// A flow's wish for a child.
#[derive(Debug)]
pub struct Request {
    pub seat: Arc<Seat>,
    pub program: Arc<Program>,
    pub permit: Permit,
    /// The SID's.
    pub argument: u32,
}

/// Starts what is asked for, until nobody can ask any more.
pub fn serve(shared: &Shared, terms: &Terms, requests: &Receiver<Request>) {
    if let Err(error) = prepare(terms) {
        shared.log.error(format!(
            "cannot take away the rights of children, so none is started: {error}"
        ));
        for request in requests {
            fail(
                shared,
                &request.seat,
                "it would have more rights than it should".to_owned(),
            );
        }
        return;
    }
    for request in requests {
        if lock(&request.seat.state).left {
            continue;
        }
        let (seat, program) = (Arc::clone(&request.seat), Arc::clone(&request.program));
        if let Err(error) = start(shared, terms, request) {
            let user = terms.user.as_ref();
            let user = user.map_or_else(String::new, |user| format!(" as {}", user.name));
            fail(
                shared,
                &seat,
                format!("cannot start {program}{user}: {error}"),
            );
        }
    }
}

/// In Linux all three are properties of the thread, and of what it forks.
fn prepare(terms: &Terms) -> io::Result<()> {
    // A program with the set-user-ID bit gains nothing by it.
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    if terms.nice > 0 {
        setpriority_process(None, terms.nice)?;
    }
    Ok(())
}

fn start(shared: &Shared, terms: &Terms, request: Request) -> io::Result<()> {
    let mut child = command(terms, &request).spawn()?;
    let pid = Pid::from_child(&child);
    let started = watch(shared, &mut child, pid, request);
    if started.is_err() {
        kill(pid);
        // It is killed: this takes no time.
        let _reaped = child.wait();
    }
    started
}

fn command(terms: &Terms, request: &Request) -> Command {
    let program = &request.program;
    let mut command = match limits(terms) {
        None => {
            let mut command = Command::new(&program.file);
            // Some programs are several, and look at the name they are called by.
            if let Some(name) = program.words.first() {
                command.arg0(name);
            }
            command
        }
        Some(limits) => {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(limits).arg(&program.file);
            command
        }
    };
    command
        .args(program.words.iter().skip(1))
        .current_dir("/")
        .env_clear()
        .env("PATH", PATH)
        // Bytes are bytes.
        .env("LANG", "C")
        .env("SRV6PIPES_ARGUMENT", request.argument.to_string())
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(user) = &terms.user {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

/// What the shell does first, where there are limits. It sees the program and its arguments as they
/// are. No other way without `unsafe` sets them before the program runs, and for another user.
fn limits(terms: &Terms) -> Option<String> {
    let memory = terms
        .memory
        .map(|mebibytes| format!("ulimit -v {}", mebibytes << 10));
    let cpu = terms.cpu.map(|seconds| format!("ulimit -t {seconds}"));
    let mut steps: Vec<String> = [memory, cpu].into_iter().flatten().collect();
    if steps.is_empty() {
        return None;
    }
    steps.push(r#"exec "$0" "$@""#.to_owned());
    Some(steps.join(" && "))
}

/// Has a child watched, and hands its pipes to its flow.
fn watch(
    shared: &Shared,
    child: &mut process::Child,
    pid: Pid,
    request: Request,
) -> io::Result<()> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let Some(((stdin, stdout), stderr)) = pipes.zip(child.stderr.take()) else {
        return Err(io::Error::other("it has no pipes"));
    };
    for pipe in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    // The watcher, which looks up whom an event concerns, waits until all is in its place. The
    // first event, room in stdin, comes at once and wakes the flow.
    let mut table = lock(&shared.table);
    let id = request.seat.id;
    let add = |fd, what, flags| epoll::add(&shared.epoll, fd, token(id, what), flags);
    // Edges: the flow writes and reads until it would block, and is woken when that is over.
    add(stdin.as_fd(), PIPE, EventFlags::OUT | EventFlags::ET)?;
    add(stdout.as_fd(), PIPE, EventFlags::IN | EventFlags::ET)?;
    add(stderr.as_fd(), STDERR, EventFlags::IN)?;
    add(pidfd.as_fd(), EXIT, EventFlags::IN)?;
    let mut state = lock(&request.seat.state);
    state.pid = Some(pid);
    if state.left {
        kill(pid);
    } else {
        state.pipes = Some(Pipes { stdin, stdout });
    }
    drop(state);
    table
        .children
        .insert(id, Watched::new(request, pidfd, stderr));
    table.live += 1;
    shared.counted.started_children.one();
    Ok(())
}

fn fail(shared: &Shared, seat: &Seat, reason: String) {
    shared.counted.failed_children.one();
    lock(&seat.state).end = Some(Err(reason));
    shared.waker.wake(seat.flow);
}
