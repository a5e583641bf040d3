//! What has been done to the kernel, on disk before it is done.
//!
//! A text file, one undo per line, each on stable storage before its step is taken, and a lock
//! beside it that tells a killed run from a running one:
//!
//! ```text
//! # what srv6pipes has changed, undone from the end
//! sysctl net/ipv6/conf/eth0.2/seg6_enabled was 0 set 1
//! link nfv0
//! route local fd00:99::/80 dev nfv0 table 255 proto 43
//! rule pref 1001 fwmark 0x100/0x100 lookup 500 protocol 43
//! table srv6pipes
//! ```

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::config::model::Device;
use crate::netlink::route::Route;
use crate::netlink::rule::Rule;
use crate::setup::error::Error;
use crate::setup::ruleset::TABLE;

/// One thing done, with what its undoing needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A sysctl was set.
    Sysctl {
        /// Below `/proc/sys`.
        key: String,
        /// What to put back.
        was: String,
        /// What it was set to: put back only if it still is.
        set: String,
    },
    /// A device was made.
    Link(Device),
    /// A route was added.
    Route(Route),
    /// A rule was added.
    Rule(Rule),
    /// Our nft table was loaded.
    Table,
}

/// The journal of one instance, locked for as long as this lives.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
    lock: Lock,
}

impl Journal {
    /// Locks and opens the journal, creating it if need be, with what a killed run has left in it.
    ///
    /// # Errors
    /// Another instance runs, the file cannot be written, or has lines that are not ours.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let lock = Lock::take(path)?;
        match Self::read(path) {
            Ok((file, entries)) => {
                let mut journal = Self {
                    path: path.to_owned(),
                    file,
                    entries,
                    lock,
                };
                // Drops the half line of a run that was killed while it wrote, and shows that the
                // disk has room before anything is touched.
                match journal.rewrite() {
                    Ok(()) => Ok(journal),
                    Err(error) => Err(journal.lock.let_go(error)),
                }
            }
            Err(error) => Err(lock.let_go(error)),
        }
    }

    fn read(path: &Path) -> Result<(File, Vec<Entry>), Error> {
        let mut file = private(
            OpenOptions::new().read(true).append(true).create(true),
            path,
        )
        .map_err(|source| failed("open journal", path, source))?;
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|source| failed("read journal", path, source))?;
        Ok((file, parse(path, &text)?))
    }

    /// Writes `entry` down; returns when it is on stable storage.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn push(&mut self, entry: Entry) -> Result<(), Error> {
        let whole = self.file.metadata().map(|meta| meta.len());
        let written = whole.and_then(|length| {
            let line = format!("{entry}\n");
            let written = self.file.write_all(line.as_bytes());
            written
                .and_then(|()| self.file.sync_data())
                .inspect_err(|_| {
                    // Half a line would spoil the next one.
                    let _ = self.file.set_len(length);
                })
        });
        written.map_err(|source| failed("write journal", &self.path, source))?;
        self.entries.push(entry);
        Ok(())
    }

    /// Forgets an entry that is undone.
    ///
    /// # Errors
    /// The file could not be written; then it still has the entry, whose second undoing will find
    /// nothing to do.
    pub fn remove(&mut self, entry: &Entry) -> Result<(), Error> {
        self.entries.retain(|e| e != entry);
        self.rewrite()
    }

    /// Removes journal and lock once everything is undone but `left`; what is left stays in the
    /// journal for `clean` to try again.
    ///
    /// # Errors
    /// A file could not be written or removed.
    pub fn close(mut self, left: Vec<Entry>) -> Result<(), Error> {
        let is_empty = left.is_empty();
        self.entries = left;
        if is_empty {
            fs::remove_file(&self.path)
                .map_err(|source| failed("remove journal", &self.path, source))?;
        } else {
            self.rewrite()?;
        }
        self.lock.release()
    }

    /// What has been done, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn rewrite(&mut self) -> Result<(), Error> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let entries: String = self.entries.iter().map(|e| format!("{e}\n")).collect();
        let text = format!("{HEADING}\n{entries}");
        // What a run that was killed here has left, or somebody has put here.
        let _ = fs::remove_file(&new);
        let result =
            private(OpenOptions::new().write(true).create_new(true), &new).and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_data()?;
                fs::rename(&new, &self.path)?;
                Ok(file)
            });
        match result {
            Ok(file) => {
                self.file = file;
                Ok(())
            }
            Err(source) => {
                // Best effort: the old journal is still whole.
                let _ = fs::remove_file(&new);
                Err(failed("write journal", &self.path, source))
            }
        }
    }
}

const HEADING: &str = "# what srv6pipes has changed, undone from the end";

/// `flock(2)` on a file beside the journal, with the holder's pid in it.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    fn take(journal: &Path) -> Result<Self, Error> {
        let mut name = journal.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        // Again when a holder has removed the file between our opening it and locking it.
        loop {
            let mut file = private(
                OpenOptions::new().read(true).write(true).create(true),
                &path,
            )
            .map_err(|source| failed("open lock", &path, source))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    // Without the number the message is still true.
                    let _ = file.read_to_string(&mut text);
                    let pid = text.trim().parse().ok();
                    return Err(Error::Running { path, pid });
                }
                Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
            }
            if is_at(&file, &path) {
                // The number is for the message of the next one who tries; the lock holds without.
                let _ = file.set_len(0);
                let _ = writeln!(file, "{}", std::process::id());
                return Ok(Self { path, file });
            }
        }
    }

    /// Releases it because of `error`, which matters more than that a lock nobody holds stays.
    fn let_go(self, error: Error) -> Error {
        let _ = self.release();
        error
    }

    fn release(self) -> Result<(), Error> {
        let removed = fs::remove_file(&self.path);
        drop(self.file);
        removed.map_err(|source| failed("remove lock", &self.path, source))
    }
}

/// Opens a file that is nobody's but ours: what stands in it is done as root, and in a folder that
/// others write to it could be theirs, or lead to one that is precious.
fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.uid() != geteuid().as_raw() || meta.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "it belongs to somebody else, or somebody else may write it; remove it, and choose an \
             option control_socket in a folder of root's",
        ));
    }
    Ok(file)
}

/// Whether `path` still leads to `file`.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |m: fs::Metadata| (m.dev(), m.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => id(ours) == id(there),
        _ => false,
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Journal {
        action,
        path: path.to_owned(),
        source,
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, Error> {
    // A line without its end was being written when the run was killed: its step was not taken.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#'))
        .map(|(index, line)| {
            entry(line).ok_or_else(|| Error::BadJournal {
                path: path.to_owned(),
                line: index + 1,
            })
        })
        .collect()
}

fn entry(line: &str) -> Option<Entry> {
    let (kind, rest) = line.split_once(' ')?;
    match kind {
        "sysctl" => {
            let (key, rest) = rest.split_once(" was ")?;
            let (was, set) = rest.split_once(" set ")?;
            // Never write outside of what we set, whatever the file says.
            key.starts_with("net/").then_some(())?;
            (!key.contains("..")).then_some(())?;
            Some(Entry::Sysctl {
                key: key.to_owned(),
                was: was.to_owned(),
                set: set.to_owned(),
            })
        }
        "link" => Device::new(rest).map(Entry::Link),
        "route" => rest.parse().ok().map(Entry::Route),
        "rule" => rest.parse().ok().map(Entry::Rule),
        "table" => (rest == TABLE).then_some(Entry::Table),
        _ => None,
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysctl { key, was, set } => write!(f, "sysctl {key} was {was} set {set}"),
            Self::Link(device) => write!(f, "link {device}"),
            Self::Route(route) => write!(f, "route {route}"),
            Self::Rule(rule) => write!(f, "rule {rule}"),
            Self::Table => write!(f, "table {TABLE}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "sysctl net/ipv6/conf/eth0.2/seg6_enabled was 0 set 1\n\
        link nfv0\n\
        route local fd00:99::/80 dev nfv0 table 255 proto 43\n\
        rule pref 1001 fwmark 0x100/0x100 lookup 500 protocol 43\n\
        table srv6pipes\n";

    #[test]
    fn lines_read_back_as_they_were_written() {
        let entries = parse(Path::new("j"), LINES).unwrap();
        let text: String = entries.iter().map(|e| format!("{e}\n")).collect();
        assert_eq!(text, LINES);
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_a_strange_one_named() {
        let torn = LINES.strip_suffix("s\n").unwrap();
        assert_eq!(parse(Path::new("j"), torn).unwrap().len(), 4);
        let error = parse(Path::new("j"), "link nfv0\nlink a/b\n").unwrap_err();
        assert!(error.to_string().starts_with("j:2:"), "{error}");
        for line in [
            "sysctl kernel/core_pattern was a set b",
            "sysctl net/../x was a set b",
        ] {
            assert_eq!(entry(line), None, "{line}");
        }
    }
}
