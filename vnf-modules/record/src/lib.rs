//! The stock function `record`: passes all bytes on and writes what it saw into pcapng files.
//!
//! For debugging and for teaching; README.md says how, and what else it means to record people's
//! traffic. A worker only copies bytes into a queue; a thread of the function's own turns them into
//! segments of TCP and writes those.
//!
//! | file | is |
//! |---|---|
//! | `flow` | one flow: bytes → events |
//! | `queue` | workers → writer |
//! | `writer` | events → blocks → files, by `segment`, `pcapng` and `folder` |
//! | `options` | the UCI section |
#![deny(unsafe_code)]

mod flow;
mod folder;
mod options;
mod pcapng;
mod queue;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::ffi::CStr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use srv6pipes_vnf::{Counter, FlowInfo, Function, Reason, Setup};

use crate::flow::RecordFlow;
use crate::options::Options;
use crate::queue::Queue;
use crate::writer::{Counts, Writer};

/// The function.
#[derive(Debug)]
pub struct Record {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What flows need of it.
#[derive(Debug)]
pub(crate) struct Shared {
    queue: Queue,
    /// So much of each direction of a flow is recorded, bytes; `None`: all.
    snap_bytes: Option<u64>,
    flows: Counter,
    dropped: Counter,
}

impl Function for Record {
    const NAME: &CStr = c"record";
    const SUMMARY: &CStr = c"writes what flows carry into pcapng files, for Wireshark";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    type Flow = RecordFlow;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        let options = Options::read(setup)?;
        let counters = setup.counters();
        let (queue, batch) = Queue::new(options.queue_bytes);
        let shared = Arc::new(Shared {
            queue,
            snap_bytes: options.snap_bytes,
            flows: counters.open("recorded_flows", ""),
            dropped: counters.open("dropped_bytes", ""),
        });
        let mut writer = Writer::new(
            options.folder,
            (options.file_bytes, options.files),
            setup.function_id(),
            Counts::open(counters),
            setup.log(),
        );
        let of_writer = Arc::clone(&shared);
        let thread = thread::Builder::new().name("record".to_owned());
        let thread = thread.spawn(move || writer.run(&of_writer.queue, batch));
        let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self {
            shared,
            writer: Some(thread),
        })
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<RecordFlow, Reason> {
        let flow = RecordFlow::begin(Arc::clone(&self.shared), flow)?;
        self.shared.flows.one();
        Ok(flow)
    }
}

impl Drop for Record {
    /// Waits for the last bytes to be written: whoever ends the daemon, or the last flow of an
    /// old configuration, wants them.
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.take() {
            // It has said so itself if it panicked.
            let _panicked = writer.join();
        }
    }
}

srv6pipes_vnf::export_functions!(Record);
