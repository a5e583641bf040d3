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
use crate::vnf::open_error::{MAX_SIZE, OpenError};
use crate::vnf::table::{self, Description};
use crate::vnf::trust::{self, Identity, TrustedFile};

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

/// A module that may be loaded.
pub type Found = TrustedFile;

/// Looks for a module, and runs nothing of it.
///
/// # Errors
/// When the file is missing, or others could have written it.
pub fn find(path: &Path) -> Result<Found, OpenError> {
    trust::open(path).map_err(OpenError::Trust)
}

impl Library {
    /// Loads a module. Runs its constructors, if it has any, and none of its functions.
    ///
    /// # Errors
    /// The first thing that is wrong with the file, the shared object or its table.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::load(find(path)?)
    }

    /// Loads a module from what was found.
    ///
    /// # Errors
    /// As [`Library::open`].
    pub fn load(found: Found) -> Result<Self, OpenError> {
        let TrustedFile {
            mut file,
            path,
            identity,
        } = found;
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
            Err(error) => {
                let reason = error.source().map_or(error.to_string(), |e| e.to_string());
                return Err(OpenError::Dlopen(path, reason));
            }
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

    /// Whether it was loaded from this very file, and that did not change since.
    pub fn is(&self, found: &Found) -> bool {
        self.path == found.path && self.identity == found.identity
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
