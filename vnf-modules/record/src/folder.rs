//! The folder that recordings are put into: who may write it, and which files of ours it holds.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Group and others may write.
const WRITABLE: u32 = 0o022;
/// Only an entry's owner may remove or rename it.
const STICKY: u32 = 0o1000;
/// They hold people's traffic.
const FILE_MODE: u32 = 0o600;

/// A folder that passed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// `record-0001-`: the recordings of one function.
    prefix: String,
}

/// Why a folder is not written to.
#[derive(Debug)]
pub enum Mistake {
    /// Not absolute.
    Relative,
    /// The kernel said no.
    Io(PathBuf, io::Error),
    /// Something else.
    NotAFolder(PathBuf),
    /// Others than root can put files there, or change where it is.
    Writable(PathBuf),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative => f.write_str("the path must begin with /"),
            Self::Io(path, error) => write!(f, "cannot look at {}: {error}", path.display()),
            Self::NotAFolder(path) => write!(f, "{} is no folder", path.display()),
            Self::Writable(path) => {
                let path = path.display();
                write!(f, "{path} can be changed by others than root; ")?;
                write!(f, "to use it: chown root {path}; chmod go-w {path}")
            }
        }
    }
}

impl Folder {
    /// The folder at `path`, for the recordings of the function of this id.
    ///
    /// # Errors
    /// Unless it, and every folder above it, belongs to root (or to us) and is closed to others.
    pub fn new(path: &Path, function_id: u16) -> Result<Self, Mistake> {
        if !path.is_absolute() {
            return Err(Mistake::Relative);
        }
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| Mistake::Io(path, error)
        };
        let path = fs::canonicalize(path).map_err(io(path))?;
        // The owner of a process's folder in /proc is who it runs as (proc(5)).
        let us = fs::metadata("/proc/self").map_or(0, |metadata| metadata.uid());
        let folders: Vec<&Path> = path.ancestors().collect();
        for (depth, folder) in folders.iter().enumerate().rev() {
            let metadata = fs::symlink_metadata(folder).map_err(io(folder))?;
            if !metadata.is_dir() {
                return Err(Mistake::NotAFolder(path));
            }
            // On the way a sticky folder will do: nobody can rename what root has in it.
            if !trusted(&metadata, us, depth > 0) {
                return Err(Mistake::Writable((*folder).to_owned()));
            }
        }
        let prefix = format!("record-{function_id:04x}-");
        Ok(Self { path, prefix })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new file, of a higher number than all others. Another function of this id, from before a
    /// reload, may be writing here, too.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> io::Result<(File, PathBuf)> {
        let last = self.numbers()?.into_iter().max();
        let mut number = last.map_or(1, |last| last + 1);
        loop {
            let path = self.path_of(number);
            let mut options = OpenOptions::new();
            // create_new: no link that somebody may have put there is followed.
            let file = options.write(true).create_new(true).mode(FILE_MODE);
            match file.open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                file => return file.map(|file| (file, path)),
            }
        }
    }

    /// Removes the oldest files but for `keep`.
    ///
    /// # Errors
    /// The first failure; what can be removed is.
    pub fn prune(&self, keep: usize) -> io::Result<()> {
        let mut numbers = self.numbers()?;
        numbers.sort_unstable();
        let surplus = numbers.len().saturating_sub(keep);
        let mut result = Ok(());
        for number in &numbers[..surplus] {
            let removed = fs::remove_file(self.path_of(*number));
            result = result.and(removed);
        }
        result
    }

    fn path_of(&self, number: u64) -> PathBuf {
        self.path.join(format!("{}{number:08}.pcapng", self.prefix))
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix(&self.prefix)?.strip_suffix(".pcapng"))
                .filter(|number| number.len() >= 8 && number.bytes().all(|c| c.is_ascii_digit()));
            // A number that is none of ours, being too large, is left alone.
            numbers.extend(
                number
                    .and_then(|number| number.parse::<u32>().ok())
                    .map(u64::from),
            );
        }
        Ok(numbers)
    }
}

fn trusted(metadata: &Metadata, us: u32, sticky_suffices: bool) -> bool {
    let (owner, mode) = (metadata.uid(), metadata.mode());
    let closed = mode & WRITABLE == 0 || (sticky_suffices && mode & STICKY != 0);
    (owner == 0 || owner == us) && closed
}
