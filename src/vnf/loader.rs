//! From a module's file to checked descriptions of its functions.
//!
//! What is loaded is a sealed copy in memory (memfd_create(2)) of the file that was checked, for
//! two reasons. Between a check by path and `dlopen` by path the file could change; and `dlopen`
//! takes a path or inode it has seen for the library it has, so that a module written over in
//! place would never be loaded anew.
//!
//! Nothing is ever `dlclose`d. A thread-local with a destructor in a Rust module makes that
//! unsound, musl ignores it anyway, and flows of an older version may still run: a replaced
//! module costs its memory and a descriptor until the process ends.
#![allow(unsafe_code, reason = "dlopen runs code, dlsym has no types")]

use std::error::Error;
use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use srv6pipes_vnf::abi;

use crate::vnf::elf::{self, Kind};
use crate::vnf::table::{self, Description, TableError};
use crate::vnf::trust::{self, Identity, TrustError, TrustedFile};

/// The largest file taken for a module, bytes.
const MAX_SIZE: u64 = 64 * 1024 * 1024;
/// `MFD_NOEXEC_SEAL` of linux/memfd.h, since Linux 6.3: the file itself cannot be executed, which
/// `vm.memfd_noexec=2` insists on. Mapping it as code is not affected.
const MFD_NOEXEC_SEAL: libc::c_uint = 8;

/// A module in memory, and what it offers.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    identity: Identity,
    functions: Vec<Description>,
}

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
    Dlopen(PathBuf, libloading::Error),
    /// It does not export `all_funcs`.
    NoSymbol(PathBuf),
    /// Its `all_funcs` is wrong.
    Table(PathBuf, TableError),
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
            Self::Dlopen(path, error) => {
                write!(f, "dlopen {}: ", path.display())?;
                match error.source() {
                    Some(reason) => write!(f, "{reason}"),
                    None => write!(f, "{error}"),
                }
            }
            Self::NoSymbol(path) => {
                write!(
                    f,
                    "{} is no module: it does not export all_funcs",
                    path.display()
                )
            }
            Self::Table(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Trust(error) => Some(error),
            Self::Copy(_, error) => Some(error),
            Self::Dlopen(_, error) => Some(error),
            Self::Table(_, error) => Some(error),
            _ => None,
        }
    }
}

impl Library {
    /// Loads a module. Runs its constructors, if it has any, and none of its functions.
    ///
    /// # Errors
    /// The first thing that is wrong with the file, the shared object or its table.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::load(trust::open(path).map_err(OpenError::Trust)?)
    }

    /// Loads a module from a file that is known to be trustworthy.
    ///
    /// # Errors
    /// As [`Library::open`].
    pub fn load(trusted: TrustedFile) -> Result<Self, OpenError> {
        let TrustedFile {
            mut file,
            path,
            identity,
        } = trusted;
        if identity.size > MAX_SIZE {
            return Err(OpenError::TooLarge(path, identity.size));
        }
        let copy = match sealed_copy(&mut file, &path, identity) {
            Ok(Some(copy)) => copy,
            Ok(None) => return Err(OpenError::Changed(path)),
            Err(error) => return Err(OpenError::Copy(path, error)),
        };
        match elf::kind(&copy) {
            Ok(Kind::Module) => {}
            Ok(Kind::Foreign) => return Err(OpenError::NotForUs(path)),
            Ok(Kind::Torn) => return Err(OpenError::Torn(path)),
            Err(error) => return Err(OpenError::Copy(path, error)),
        }
        let symbol = match dlopen(copy) {
            Ok(symbol) => symbol,
            Err(error) => return Err(OpenError::Dlopen(path, error)),
        };
        let Some(start) = symbol else {
            return Err(OpenError::NoSymbol(path));
        };
        match table::read(start) {
            Ok(functions) => Ok(Self {
                path,
                identity,
                functions,
            }),
            Err(error) => Err(OpenError::Table(path, error)),
        }
    }

    /// Where the file really is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file as it was when it was loaded.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// What the module offers, in its own order; at least one.
    pub fn functions(&self) -> &[Description] {
        &self.functions
    }
}

/// A copy of the file that nobody can change any more; `None` if it changed while being copied.
fn sealed_copy(file: &mut File, path: &Path, was: Identity) -> io::Result<Option<File>> {
    // The name shows in /proc/PID/maps, so that a backtrace tells the module.
    let name = path.file_name().unwrap_or_default().as_bytes();
    let name = CString::new(name.get(..200).unwrap_or(name))?;
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let copy = match memfd_create(&*name, flags | MFdFlags::from_bits_retain(MFD_NOEXEC_SEAL)) {
        Err(Errno::EINVAL) => memfd_create(&*name, flags)?,
        made => made?,
    };
    let mut copy = File::from(copy);
    let bytes = io::copy(&mut file.take(MAX_SIZE), &mut copy)?;
    if bytes != was.size || Identity::from(&file.metadata()?) != was {
        return Ok(None);
    }
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals | SealFlag::F_SEAL_SEAL))?;
    Ok(Some(copy))
}

/// Loads the copy for good; the address of its `all_funcs`, if it has one.
fn dlopen(copy: File) -> Result<Option<*const abi::Func>, libloading::Error> {
    let fd = OwnedFd::from(copy);
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    // SAFETY: this runs the module's constructors, code that is trusted as ourselves: only root
    // can have written it (module `trust`).
    let handle = unsafe { Handle::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }?;
    // Never dlclosed; see the top of the file.
    let handle = ManuallyDrop::new(handle);
    // Left open on purpose: `dlopen` would take the next module for this one if it came under the
    // same number, and a debugger reads the symbols here.
    let _ = fd.into_raw_fd();
    // SAFETY: dlsym only looks the name up; the type asked for is the address, as dlsym returns
    // it, and what lies there is for `table` to judge.
    let symbol = unsafe { handle.get::<*const abi::Func>(c"all_funcs") };
    Ok(symbol
        .ok()
        .map(|address| *address)
        .filter(|address| !address.is_null()))
}
