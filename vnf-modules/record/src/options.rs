//! The options of a `config function` section.

use std::path::Path;

use srv6pipes_vnf::{Reason, Setup};

use crate::folder::Folder;

/// What they come to.
#[derive(Debug)]
pub struct Options {
    /// Where the files go.
    pub folder: Folder,
    /// The longest file, bytes.
    pub file_bytes: usize,
    /// How many files are kept.
    pub files: usize,
    /// So much of each direction of a flow is recorded, bytes; `None`: all.
    pub snap_bytes: Option<u64>,
    /// What may wait for the disk, bytes.
    pub queue_bytes: usize,
}

impl Options {
    /// Reads them all.
    pub fn read(setup: &Setup) -> Result<Self, Reason> {
        let number = |key, range, default| {
            let number = setup.number(key, range);
            number
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(default)
        };
        let file_bytes = number("file_bytes", 65_536..=1 << 30, 10 << 20);
        let files = number("files", 1..=10_000, 10);
        let queue_bytes = number("queue_bytes", 131_072..=64 << 20, 1 << 20);
        let snap_bytes = setup.number("snap_bytes", 0..=1 << 40);
        let Some(given) = setup.given("folder") else {
            return Err("option 'folder' is missing: where the files go".into());
        };
        match Folder::new(Path::new(given.value), setup.function_id()) {
            Ok(folder) => Ok(Self {
                folder,
                file_bytes,
                files,
                snap_bytes: snap_bytes.filter(|bytes| *bytes != 0),
                queue_bytes,
            }),
            Err(mistake) => {
                setup.complain(&given, mistake);
                Err("there is no folder to record into".into())
            }
        }
    }
}
