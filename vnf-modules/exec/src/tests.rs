//! Unit tests with real programs, the flow's calls made as a host would: again and again, with what
//! was not consumed and more behind it.

mod clean;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, Setup, Verdict};

use super::*;
use crate::children::lock;

const UP: Direction = Direction::Upstream;
const DOWN: Direction = Direction::Downstream;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A function with these programs and options; children are nobody where we are root.
fn make(upstream: &[&str], downstream: &[&str], options: &[(&str, &str)]) -> Exec {
    let own = rustix::process::getuid();
    let user = own.as_raw().to_string();
    let user = if own.is_root() { "nobody" } else { &user };
    let mut all = vec![("user", user)];
    all.extend(upstream.iter().map(|word| ("upstream", *word)));
    all.extend(downstream.iter().map(|word| ("downstream", *word)));
    all.extend(options);
    Setup::detached(&all).make().unwrap()
}

/// A function whose upstream is a line of shell.
fn shell(line: &str) -> Exec {
    make(&["sh", "-c", line], &[], &[])
}

fn begin(exec: &Exec) -> ExecFlow {
    exec.spawn(&FlowInfo::detached(42)).unwrap()
}

/// A direction's stream as the host carries it.
struct Stream<'a> {
    direction: Direction,
    input: &'a [u8],
    /// How much of the input has arrived.
    arrived: usize,
    /// What arrives at once.
    piece: usize,
    room: Vec<u8>,
    output: Vec<u8>,
    finished: bool,
}

impl<'a> Stream<'a> {
    fn new(direction: Direction, input: &'a [u8], piece: usize, room: usize) -> Self {
        Self {
            direction,
            input,
            arrived: 0,
            piece,
            room: vec![0; room],
            output: Vec::new(),
            finished: false,
        }
    }

    fn step(&mut self, flow: &mut ExecFlow) -> Result<Progress, Reason> {
        self.arrived = self.input.len().min(self.arrived + self.piece);
        self.piece_step(flow, self.arrived == self.input.len())
    }

    fn piece_step(&mut self, flow: &mut ExecFlow, end: bool) -> Result<Progress, Reason> {
        let offered = self.arrived.min(65536);
        let end = end && offered == self.arrived;
        let input = &self.input[..offered];
        let done = flow.process(self.direction, input, &mut self.room, end)?;
        self.output.extend_from_slice(&self.room[..done.produced]);
        self.input = &self.input[done.consumed..];
        self.arrived -= done.consumed;
        self.finished = done.verdict == Verdict::Finished;
        Ok(done)
    }
}

/// Carries the streams to their ends.
fn carry(flow: &mut ExecFlow, streams: &mut [&mut Stream]) -> Result<(), Reason> {
    let deadline = Instant::now() + PATIENCE;
    while streams.iter().any(|stream| !stream.finished) {
        let mut moved = false;
        for stream in streams.iter_mut().filter(|stream| !stream.finished) {
            let done = stream.step(flow)?;
            moved |= done.consumed + done.produced > 0;
        }
        assert!(Instant::now() < deadline, "no end");
        if !moved {
            sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// What upstream makes of `input`.
fn filter(exec: &Exec, input: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = Stream::new(UP, input, 65536, 65536);
    let carried = carry(&mut begin(exec), &mut [&mut stream]);
    carried.map_err(|reason| reason.to_string())?;
    Ok(stream.output)
}

#[track_caller]
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited for {what}");
        sleep(Duration::from_millis(2));
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn megabytes_both_ways_at_once_come_back_whole() {
    let exec = make(&["cat"], &["cat"], &[]);
    let (up, down) = (noise(3_000_000), noise(2_000_001));
    for (piece, room) in [(65536, 65536), (999, 4096), (65536, 1000)] {
        let mut flow = begin(&exec);
        let mut one = Stream::new(UP, &up, piece, room);
        let mut two = Stream::new(DOWN, &down, piece, room);
        carry(&mut flow, &mut [&mut one, &mut two]).unwrap();
        assert!(one.output == up && two.output == down);
    }
}

#[test]
fn every_split_and_one_byte_of_room() {
    let exec = make(&["tr", "a-z", "A-Z"], &[], &[]);
    for split in 0..=5 {
        let mut flow = begin(&exec);
        let mut stream = Stream::new(UP, b"hello", 0, 1);
        stream.arrived = split;
        stream.piece_step(&mut flow, false).unwrap();
        stream.piece = 5;
        carry(&mut flow, &mut [&mut stream]).unwrap();
        assert_eq!(stream.output, b"HELLO", "{split}");
    }
}

#[test]
fn a_filter_and_its_inverse() {
    let text = b"the same again. ".repeat(50_000);
    let small = filter(&make(&["gzip", "-c"], &[], &[]), &text).unwrap();
    assert!(small.len() < text.len() / 20, "{}", small.len());
    assert!(filter(&make(&["gzip", "-dc"], &[], &[]), &small).unwrap() == text);
}

#[test]
fn an_empty_stream_is_filtered_too_and_no_program_starts_without_need() {
    let exec = make(&["wc", "-c"], &["cat"], &[]);
    let mut flow = begin(&exec);
    let mut room = [0; 9];
    let idle = flow.process(UP, b"", &mut room, false).unwrap();
    assert_eq!(idle, Progress::more(0, 0));
    assert_eq!(lock(&exec.children.shared().table).children.len(), 0);
    let mut stream = Stream::new(UP, b"", 1, 9);
    carry(&mut flow, &mut [&mut stream]).unwrap();
    assert_eq!(stream.output.trim_ascii(), b"0");
    // Downstream has said nothing yet, and goes on.
    let mut other = Stream::new(DOWN, b"later", 9, 9);
    carry(&mut flow, &mut [&mut other]).unwrap();
    assert_eq!(other.output, b"later");
    let passes = begin(&make(&["cat"], &[], &[])).process(DOWN, b"x", &mut room, false);
    assert_eq!(passes.unwrap(), Progress::pass(0, 0));
}

#[test]
fn who_has_enough_ends_the_stream_and_the_rest_is_dropped() {
    let exec = make(&["head", "-c", "5"], &[], &[]);
    assert_eq!(filter(&exec, &noise(3_000_000)).unwrap(), noise(5));
    let deaf = shell("exec <&-; echo heard enough");
    assert_eq!(filter(&deaf, &noise(3_000_000)).unwrap(), b"heard enough\n");
}

#[test]
fn a_failure_names_program_status_and_last_words() {
    let failed = filter(&shell("echo one >&2; echo two >&2; exit 3"), b"x").unwrap_err();
    let words = "`sh -c echo one >&2; echo two >&2; exit 3` ended with exit status 3: two";
    assert_eq!(failed, words);
    let killed = filter(&shell("kill -9 $$"), b"x").unwrap_err();
    assert_eq!(killed, "`sh -c kill -9 $$` was ended by signal 9");
    // Also when all of the output was there before.
    let broken = make(&["gzip", "-dc"], &[], &[]);
    let failed = filter(&broken, b"this was never compressed").unwrap_err();
    assert!(failed.contains("not in gzip format"), "{failed}");
}

#[test]
fn a_program_that_cannot_start_fails_its_flow_alone() {
    let file = std::env::temp_dir().join(format!("srv6pipes-exec-{}", std::process::id()));
    fs::write(&file, "#!/no/such/shell\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let exec = make(&[file.to_str().unwrap()], &[], &[]);
    let failed = filter(&exec, b"x").unwrap_err();
    assert!(failed.starts_with("cannot start `"), "{failed}");
    assert!(failed.contains("No such file"), "{failed}");
    // It comes back as something that works.
    fs::write(&file, "#!/bin/sh\ncat\n").unwrap();
    assert_eq!(filter(&exec, b"x").unwrap(), b"x");
    fs::remove_file(&file).unwrap();
}

/// Starts upstream and waits for its first line.
fn first_line(exec: &Exec) -> (ExecFlow, String) {
    let mut flow = begin(exec);
    let mut stream = Stream::new(UP, b"go\n", 3, 4096);
    wait_for("a line", || {
        stream.arrived = stream.input.len();
        stream.piece_step(&mut flow, false).unwrap();
        stream.output.ends_with(b"\n")
    });
    (flow, String::from_utf8(stream.output).unwrap())
}

fn process(pid: &str) -> PathBuf {
    Path::new("/proc").join(pid)
}

#[test]
fn a_program_that_reads_nothing_stops_its_sender_and_goes_with_its_flow() {
    let exec = shell("sleep 1000 & echo $$ $!; sleep 1000; true");
    let (mut flow, line) = first_line(&exec);
    let bytes = noise(300_000);
    let mut stream = Stream::new(UP, &bytes, 300_000, 4096);
    for _ in 0..50 {
        let done = stream.step(&mut flow).unwrap();
        assert_eq!(done.verdict, Verdict::Wait(0));
    }
    // What the pipe holds, and no more (pipe(7)).
    assert!(stream.input.len() >= bytes.len() - 65536);
    let pids: Vec<&str> = line.split_whitespace().collect();
    assert!(pids.iter().all(|pid| process(pid).exists()), "{pids:?}");
    drop(flow);
    // Its group too; and it is reaped.
    for pid in pids {
        wait_for("it to be gone", || {
            let state = fs::read_to_string(process(pid).join("stat"));
            // The orphan is not ours to reap.
            state.map_or(true, |stat| {
                pid != line.split(' ').next().unwrap() && stat.contains(") Z")
            })
        });
    }
    wait_for("the permit", || exec.permits.load(Ordering::Relaxed) == 0);
    assert_eq!(lock(&exec.children.shared().table).children.len(), 0);
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    // The sleeper has its stdout, which would have no end for long.
    let leaves = shell("sleep 1000 & echo done");
    assert_eq!(filter(&leaves, b"x").unwrap(), b"done\n");
}

#[test]
fn who_closes_its_output_and_stays_has_failed() {
    let failed = filter(&shell("exec >&-; sleep 1000"), b"x").unwrap_err();
    assert!(
        failed.ends_with("closed its output 2 s ago, and lives on"),
        "{failed}"
    );
    // A moment is forgiven.
    let late = shell("echo done; exec >&-; cat; sleep 0.1");
    assert_eq!(filter(&late, b"x").unwrap(), b"done\n");
}

#[test]
fn a_child_that_has_ended_is_none_though_its_flow_goes_on() {
    let exec = make(&["head", "-c", "1"], &["cat"], &[("max_children", "2")]);
    let mut flow = begin(&exec);
    let mut stream = Stream::new(UP, b"xyz", 3, 9);
    carry(&mut flow, &mut [&mut stream]).unwrap();
    assert_eq!(exec.permits.load(Ordering::Relaxed), 1);
    assert_eq!(lock(&exec.children.shared().table).live, 0);
    let mut other = Stream::new(DOWN, b"and on", 9, 9);
    carry(&mut flow, &mut [&mut other]).unwrap();
    assert_eq!(other.output, b"and on");
}

#[test]
fn flows_beyond_max_children_are_refused_until_others_end() {
    let exec = make(&["cat"], &["cat"], &[("max_children", "5")]);
    let one = begin(&exec);
    let mut two = begin(&exec);
    let refused = exec.spawn(&FlowInfo::detached(0)).unwrap_err();
    assert_eq!(refused.to_string(), "2 more would be over max_children, 5");
    // Never started: free at once. Started: free when it is reaped.
    drop(one);
    let _three = begin(&exec);
    two.process(UP, b"x", &mut [0; 9], false).unwrap();
    wait_for("its start", || {
        lock(&exec.children.shared().table).live == 1
    });
    drop(two);
    wait_for("room", || exec.spawn(&FlowInfo::detached(0)).is_ok());
}

#[test]
fn every_option_out_of_range_is_named() {
    let complaints = |options: &[(&str, &str)]| {
        let complaints = Setup::detached(options).make::<Exec>().unwrap_err();
        let texts = complaints.into_iter().map(|complaint| complaint.text);
        texts.collect::<Vec<_>>()
    };
    let cat = ("upstream", "cat");
    for (key, value, text) in [
        ("max_children", "0", "must be a number from 1 to 1000"),
        ("nice", "-5", "must be a number from 0 to 19"),
        ("memory_limit", "0", "must be a number from 1 to 1048576"),
        ("cpu_limit", "x", "must be a number from 1 to 31536000"),
        ("user", "root", "must not be root (uid 0)"),
        ("user", "0:0", "must not be root (uid 0)"),
        (
            "downstream",
            "/etc/passwd",
            "/etc/passwd is not an executable file",
        ),
    ] {
        assert_eq!(complaints(&[cat, (key, value)]), [text], "{key} {value}");
    }
    let nothing = complaints(&[]);
    assert_eq!(
        nothing,
        ["needs a command: list upstream, list downstream, or both"]
    );
    assert_eq!(
        complaints(&[("upstream", "no-such-program"), ("nice", "20"), ("x", "y")]).len(),
        3
    );
}
