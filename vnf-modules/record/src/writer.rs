//! The thread that turns events into files: rotation, and what happens when a disk is full.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use srv6pipes_vnf::{Counter, Counters, Log};

use crate::folder::Folder;
use crate::pcapng;
use crate::queue::{Batch, Comment, Event, Queue};
use crate::segment::{self, Header, MAX_PAYLOAD};

/// After a failure nothing is tried for so long.
pub const PAUSE: Duration = Duration::from_secs(1);
/// Blocks are written when there are so many bytes of them, and at the end of a batch.
const PIECE: usize = 256 << 10;
/// In every file, for whoever opens it.
const ABOUT: &str = "Addresses, ports, times and bytes are those of the flows; all else in the \
                     headers of IPv6 and TCP is made up.";

/// What it counts.
#[derive(Debug)]
pub struct Counts {
    /// Bytes of payload in files.
    pub recorded: Counter,
    /// Bytes of payload that are in none, for want of room in the queue or on the disk.
    pub dropped: Counter,
    /// Writes that failed.
    pub failed: Counter,
}

impl Counts {
    /// The function's.
    pub fn open(counters: Counters) -> Self {
        Self {
            recorded: counters.open("recorded_bytes", ""),
            dropped: counters.open("dropped_bytes", ""),
            failed: counters.open("failed_writes", ""),
        }
    }
}

/// The writer.
#[derive(Debug)]
pub struct Writer {
    folder: Folder,
    /// No file gets longer, bytes.
    file_bytes: usize,
    /// How many files are kept.
    files: usize,
    /// What every file begins with.
    preamble: Vec<u8>,
    /// The file that is being written; none before the first block, and between two files.
    file: Option<Open>,
    /// Whole blocks that are not written yet; without a file they begin with the preamble.
    blocks: Vec<u8>,
    /// Bytes of payload in them.
    payload: usize,
    /// The last try failed: nothing is tried until then.
    paused: Option<Instant>,
    /// When the present batch was taken.
    now: Instant,
    /// Whether the operator knows that old files cannot be removed.
    stuck: bool,
    function_id: u16,
    counts: Counts,
    log: Log,
}

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    /// Whole blocks in it, bytes.
    length: usize,
}

/// What could not be done, in the words of an operator, and why.
struct Failure(&'static str, PathBuf, io::Error);

impl Writer {
    /// Makes no file yet: the first event does.
    pub fn new(
        folder: Folder,
        limits: (usize, usize),
        function_id: u16,
        counts: Counts,
        log: Log,
    ) -> Self {
        let mut preamble = Vec::new();
        let application = concat!("srv6pipes record ", env!("CARGO_PKG_VERSION"));
        let name = format!("function {function_id:#06x}");
        pcapng::begin(&mut preamble, application, &name, ABOUT);
        Self {
            folder,
            file_bytes: limits.0,
            files: limits.1,
            preamble,
            file: None,
            blocks: Vec::with_capacity(PIECE + 2 * MAX_PAYLOAD),
            payload: 0,
            paused: None,
            now: Instant::now(),
            stuck: false,
            function_id,
            counts,
            log,
        }
    }

    /// Writes what comes out of `queue`, until it is closed and empty.
    pub fn run(&mut self, queue: &Queue, mut batch: Batch) {
        while queue.take(&mut batch) {
            self.write(&batch, Instant::now());
        }
    }

    /// Writes all of `batch`, which is taken `now`, as far as the disk takes it.
    pub fn write(&mut self, batch: &Batch, now: Instant) {
        self.now = now;
        let mut bytes = &batch.bytes[..];
        for event in &batch.events {
            let (payload, rest) = bytes.split_at(event.payload.min(bytes.len()));
            bytes = rest;
            self.segments(event, payload);
        }
        self.flush();
    }

    /// Turns an event into segments.
    fn segments(&mut self, event: &Event, payload: &[u8]) {
        let mut header = event.header;
        let mut comment = self.text_of(event.comment);
        let bare = payload.is_empty().then_some(payload);
        for piece in payload.chunks(MAX_PAYLOAD).chain(bare) {
            self.block(event.time_us, &comment, &header, piece);
            comment.clear();
            let length = u32::try_from(piece.len()).unwrap_or_default();
            header.sequence = header.sequence.wrapping_add(length);
        }
    }

    fn text_of(&self, comment: Comment) -> String {
        match comment {
            Comment::None => String::new(),
            Comment::Begins { flow, argument } => {
                let id = self.function_id;
                format!("function {id:#06x}, argument {argument:#x}, flow {flow}")
            }
            Comment::NotRecorded => "what followed was not recorded".to_owned(),
            Comment::Ended => "the flow ended otherwise than in order".to_owned(),
        }
    }

    fn block(&mut self, time_us: u64, comment: &str, header: &Header, payload: &[u8]) {
        if self.paused.is_some_and(|until| self.now < until) {
            return self.counts.dropped.add(payload.len() as u64);
        }
        let before = self.blocks.len();
        if before == 0 && self.file.is_none() {
            self.blocks.extend_from_slice(&self.preamble);
        }
        pcapng::packet(&mut self.blocks, time_us, comment, |packet| {
            segment::append(packet, header, payload);
        });
        let written = self.file.as_ref().map_or(0, |open| open.length);
        if written + self.blocks.len() > self.file_bytes {
            self.blocks.truncate(before);
            self.flush();
            self.file = None;
            // Once: a block and the preamble are shorter than the shortest file.
            return self.block(time_us, comment, header, payload);
        }
        self.payload += payload.len();
        if self.blocks.len() >= PIECE {
            self.flush();
        }
    }

    /// Writes all blocks, or gives them up and pauses.
    fn flush(&mut self) {
        if self.blocks.is_empty() {
            return;
        }
        let payload = self.payload as u64;
        match self.write_blocks() {
            Ok(()) => {
                self.counts.recorded.add(payload);
                if self.paused.take().is_some() {
                    self.log.info("recording goes on");
                }
            }
            Err(Failure(what, path, error)) => {
                self.counts.failed.one();
                self.counts.dropped.add(payload);
                if self.paused.replace(self.now + PAUSE).is_none() {
                    let path = path.display();
                    self.log.warn(format_args!(
                        "cannot {what} {path}: {error}; nothing is recorded until that works, \
                         and flows go on"
                    ));
                }
            }
        }
        self.blocks.clear();
        self.payload = 0;
    }

    fn write_blocks(&mut self) -> Result<(), Failure> {
        let mut open = match self.file.take() {
            Some(open) => open,
            None => self.next_file()?,
        };
        match open.file.write_all_at(&self.blocks, open.length as u64) {
            Ok(()) => {
                open.length += self.blocks.len();
                self.file = Some(open);
                Ok(())
            }
            Err(error) => {
                let path = open.path.clone();
                self.give_back(open);
                Err(Failure("write", path, error))
            }
        }
    }

    /// A write failed: what it has written of its blocks goes, so that the file ends with a whole
    /// one.
    fn give_back(&mut self, open: Open) {
        if open.length == 0 {
            // Not even the preamble is in it.
            let _gone = std::fs::remove_file(&open.path);
        } else if open.file.set_len(open.length as u64).is_ok() {
            self.file = Some(open);
        }
    }

    fn next_file(&mut self) -> Result<Open, Failure> {
        let created = self.folder.create();
        let (file, path) =
            created.map_err(|error| Failure("make a file in", self.folder.path().into(), error))?;
        if let Err(error) = self.folder.prune(self.files) {
            let folder = self.folder.path().display();
            if !std::mem::replace(&mut self.stuck, true) {
                self.log.warn(format_args!(
                    "cannot remove old recordings in {folder}: {error}"
                ));
            }
        }
        let length = 0;
        Ok(Open { file, path, length })
    }
}
