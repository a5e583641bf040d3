//! A folder that only root can enter, for configurations, logs and copies of modules; gone when
//! dropped.
//!
//! Modules are copied because a build's folder usually belongs to whoever built it, and the
//! daemon rightly refuses to load code that others than root can write.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use std::fmt;

/// Where it stands: on every system root's, and emptied at boot.
const PARENT: &str = "/run";

/// The folder.
#[derive(Debug)]
pub struct Workdir {
    path: PathBuf,
}

/// A file or folder that could not be made.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read or write {}", self.path.display())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// An [`Error`] about `path`.
fn about(path: &Path) -> impl FnOnce(io::Error) -> Error {
    |source| Error {
        path: path.to_owned(),
        source,
    }
}

impl Workdir {
    /// Makes `/run/PREFIX-PID-N`, and removes those of processes that no longer live.
    ///
    /// # Errors
    /// When `/run` cannot be written.
    pub fn new(prefix: &str) -> Result<Self, Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let pid = std::process::id();
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            if number == 0 {
                remove_stale(prefix);
            }
            let path = Path::new(PARENT).join(format!("{prefix}-{pid}-{number}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                // Left by an earlier process of the same number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(Error { path, source }),
            }
        }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it, and returns its path.
    ///
    /// # Errors
    /// When the folder's file system is full, for one.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        fs::write(&path, content).map_err(about(&path))?;
        Ok(path)
    }

    /// Copies every `lib*.so` of `folder` whose name is `wanted` into the folder `modules`, and
    /// returns that one's path.
    ///
    /// # Errors
    /// When `folder` cannot be read.
    pub fn copy_modules(
        &self,
        folder: &Path,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<PathBuf, Error> {
        let modules = self.path.join("modules");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&modules)
            .map_err(about(&modules))?;
        for entry in fs::read_dir(folder).map_err(about(folder))? {
            let path = entry.map_err(about(folder))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if name.starts_with("lib") && name.ends_with(".so") && wanted(name) {
                let copy = modules.join(name);
                fs::copy(&path, &copy)
                    .and_then(|_| fs::set_permissions(&copy, Permissions::from_mode(0o600)))
                    .map_err(about(&path))?;
            }
        }
        Ok(modules)
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.path); // what stays goes at the next start, or at boot
    }
}

fn remove_stale(prefix: &str) {
    let Ok(entries) = fs::read_dir(PARENT) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix)?.strip_prefix('-'))
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(pid, _)| pid.parse::<u32>().ok());
        if let Some(pid) = pid
            && !Path::new("/proc").join(pid.to_string()).exists()
        {
            let _gone = fs::remove_dir_all(entry.path());
        }
    }
}
