//! Why a module cannot be had, for both kinds of build: with files (`loader`) and without (`builtin`).

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::vnf::table::TableError;
use crate::vnf::trust::TrustError;

/// The largest file taken for a module, bytes.
pub(super) const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// Why a module is not loaded.
#[derive(Debug)]
pub enum OpenError {
    /// The file is missing, or others could have written it.
    Trust(TrustError),
    /// Reading or copying it failed.
    Copy(PathBuf, io::Error),
    /// It was written while it was read.
    Changed(PathBuf),
    /// It is larger than a module can be; bytes.
    TooLarge(PathBuf, u64),
    /// It is no shared object for this machine.
    NotForUs(PathBuf),
    /// Its end is missing.
    Torn(PathBuf),
    /// `dlopen` refused it.
    Dlopen(PathBuf, String),
    /// It does not export `all_funcs`.
    NoSymbol(PathBuf),
    /// Its `all_funcs` is wrong.
    Table(PathBuf, TableError),
    /// This build loads no files, and has only modules of these file names inside.
    NotBuiltIn(PathBuf, Vec<&'static str>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trust(error) => error.fmt(f),
            Self::Copy(path, error) => write!(f, "read {}: {error}", path.display()),
            Self::Changed(path) => {
                write!(f, "{} changed while it was read: try again", path.display())
            }
            Self::TooLarge(path, size) => {
                write!(
                    f,
                    "{} has {size} bytes, a module at most {MAX_SIZE}",
                    path.display()
                )
            }
            Self::NotForUs(path) => {
                write!(
                    f,
                    "{} is not a shared object for this machine",
                    path.display()
                )
            }
            Self::Torn(path) => write!(f, "{} is cut short: install it anew", path.display()),
            Self::Dlopen(path, reason) => write!(f, "dlopen {}: {reason}", path.display()),
            Self::NoSymbol(path) => {
                write!(
                    f,
                    "{} is no module: it does not export all_funcs",
                    path.display()
                )
            }
            Self::Table(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotBuiltIn(path, names) => write!(
                f,
                "{} is not in this build of srv6pipes, which loads no files and has only: {}",
                path.display(),
                names.join(", ")
            ),
        }
    }
}

// No source(): Display says it all, and a chain would print it twice.
impl Error for OpenError {}
