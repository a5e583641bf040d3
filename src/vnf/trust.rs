//! Opens a module's file if nobody but us could have written it.
//!
//! A module runs with all our rights, so whoever can change the file, put another in its place or
//! rename a folder on its way is as mighty as we are. See path_resolution(7) and, for the sticky
//! bit, unlink(2).

use std::error::Error;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Group and others may write.
const WRITABLE: u32 = 0o022;
/// Only an entry's owner may remove or rename it.
const STICKY: u32 = 0o1000;

/// A file that passed.
#[derive(Debug)]
pub struct TrustedFile {
    /// Open for reading, at its start.
    pub file: File,
    /// Where it really is: no symbolic link is left.
    pub path: PathBuf,
    /// To know it again.
    pub identity: Identity,
}

/// What changes when a file is replaced or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Bytes.
    pub size: u64,
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.len(),
        }
    }
}

/// Why a file is not read.
#[derive(Debug)]
pub enum TrustError {
    /// The kernel said no.
    Io {
        /// What was tried: `open`, `stat`.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// A folder, a device, a pipe.
    NotAFile(PathBuf),
    /// Others than root can change it.
    Writable {
        /// The file, or a folder on the way to it.
        path: PathBuf,
        /// User id.
        owner: u32,
        /// Permission bits, with the sticky one.
        mode: u32,
    },
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { op, path, source } => write!(f, "{op} {}: {source}", path.display()),
            Self::NotAFile(path) => write!(f, "{} is not a regular file", path.display()),
            Self::Writable { path, owner, mode } => {
                let path = path.display();
                write!(
                    f,
                    "{path} can be changed by others than root (owner {owner}, mode {mode:04o}); "
                )?;
                write!(f, "to trust it: chown root {path}; chmod go-w {path}")
            }
        }
    }
}

// No source(): Display says it all, and a chain would print it twice.
impl Error for TrustError {}

/// Opens a regular file that, like all folders on the way to it, belongs to root (or to the user
/// we run as, who can change us anyway) and that nobody else may write.
///
/// # Errors
/// The first thing that is wrong, from the root of the file system downwards.
pub fn open(path: &Path) -> Result<TrustedFile, TrustError> {
    let io = |op, path: &Path| {
        let path = path.to_owned();
        move |source| TrustError::Io { op, path, source }
    };
    let path = fs::canonicalize(path).map_err(io("open", path))?;
    let us = nix::unistd::geteuid().as_raw();
    // Downwards, so that a folder is looked at only when nobody can put another in its place.
    let folders: Vec<&Path> = path.ancestors().skip(1).collect();
    for (depth, folder) in folders.iter().enumerate().rev() {
        let metadata = fs::symlink_metadata(folder).map_err(io("stat", folder))?;
        judge(folder, &metadata, us, depth > 0)?;
    }
    let file = OpenOptions::new()
        .read(true)
        // A pipe must not make us wait, nor a link put there since lead us away.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(&path)
        .map_err(io("open", &path))?;
    let metadata = file.metadata().map_err(io("stat", &path))?;
    if !metadata.is_file() {
        return Err(TrustError::NotAFile(path));
    }
    judge(&path, &metadata, us, false)?;
    Ok(TrustedFile {
        file,
        path,
        identity: Identity::from(&metadata),
    })
}

/// `sticky_suffices`: a folder like /tmp is fine on the way, since what lies in it can be removed
/// only by its owner, who is judged next; but anyone may put a module right into it.
fn judge(
    path: &Path,
    metadata: &Metadata,
    us: u32,
    sticky_suffices: bool,
) -> Result<(), TrustError> {
    let (owner, mode) = (metadata.uid(), metadata.mode());
    let ours = owner == 0 || owner == us;
    let closed = mode & WRITABLE == 0 || (sticky_suffices && mode & STICKY != 0);
    if ours && closed {
        return Ok(());
    }
    Err(TrustError::Writable {
        path: path.to_owned(),
        owner,
        mode: mode & 0o7777,
    })
}
