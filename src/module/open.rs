//! A module's file named on the command line → functions that are ready, under the daemon's rules:
//! nobody but root and whoever runs this may be able to change it.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;

use crate::config::model::{self, FunctionFailure, FunctionOption};
use crate::vnf::loader;
use crate::vnf::open_error::OpenError;
use crate::vnf::trust::TrustError;
use crate::vnf::{Function, Library, LoadError, Registry};

/// A function as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name in the module.
    pub name: String,
    /// The low 32 bits of the SID of its flows.
    pub argument: u32,
    /// What a `config function` section would say to it.
    pub options: Vec<(String, String)>,
}

/// The same, with the name left open if there is only one to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name in the module, if it was said.
    pub name: Option<String>,
    /// As of [`Named`].
    pub argument: u32,
    /// As of [`Named`].
    pub options: Vec<(String, String)>,
}

/// Why a function cannot be had.
#[derive(Debug)]
pub enum Error {
    /// The file is not loaded.
    Open(OpenError),
    /// The module offers several, these, and none was named.
    Choose(PathBuf, Vec<String>),
    /// The module has none of that name, but these.
    NoFunction(PathBuf, String, Vec<String>),
    /// Functions cannot be made ready; everything that is wrong.
    Ready(Vec<LoadError>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(OpenError::Trust(TrustError::Writable { path, owner, mode })) => {
                untrusted(f, path, *owner, *mode)
            }
            Self::Open(error) => error.fmt(f),
            Self::Choose(path, offered) => write!(
                f,
                "{} offers several functions: choose one by --function: {}",
                path.display(),
                offered.join(", ")
            ),
            Self::NoFunction(path, name, offered) => write!(
                f,
                "{} has no function '{name}', but {}",
                path.display(),
                offered.join(", ")
            ),
            Self::Ready(errors) => {
                let error =
                    |error: &LoadError| format!("function '{}': {}", error.name, error.reason);
                let errors: Vec<String> = errors.iter().map(error).collect();
                f.write_str(&errors.join("\n"))
            }
        }
    }
}

// No source(): Display says it all, and a chain would print it twice.
impl StdError for Error {}

/// What the daemon would say is for root; here it is for whoever wrote the module.
fn untrusted(f: &mut fmt::Formatter<'_>, path: &Path, owner: u32, mode: u32) -> fmt::Result {
    let us = geteuid().as_raw();
    let shown = path.display();
    if us == 0 && owner != 0 {
        write!(
            f,
            "{shown} belongs to user {owner}, whose code would run with root's rights: run this as that user"
        )
    } else if owner != 0 && owner != us {
        write!(
            f,
            "{shown} belongs to user {owner}, who could change what you run: copy the module to a folder of your own"
        )
    } else {
        write!(
            f,
            "{shown} can be written by others than its owner (mode {mode:04o}), who could change what you run: chmod go-w {shown}"
        )
    }
}

/// Loads the module, which runs its constructors, if it has any, and nothing else.
///
/// # Errors
/// When the file is none that the daemon would load.
pub fn library(file: &Path) -> Result<Library, Error> {
    Library::open(file).map_err(Error::Open)
}

/// Looks at the file without running anything of it.
///
/// # Errors
/// When it is none that may be loaded.
pub fn trusted(file: &Path) -> Result<(), Error> {
    loader::find(file).map(drop).map_err(Error::Open)
}

/// The name of the function that is meant: the only one, unless one is named.
///
/// # Errors
/// When there is none of that name, or several and none is named.
pub fn choose(library: &Library, named: Option<&str>) -> Result<String, Error> {
    let offered: Vec<String> = library.functions().iter().map(|f| f.name.clone()).collect();
    let path = library.path().to_owned();
    match (named, offered.as_slice()) {
        (Some(name), _) if offered.iter().any(|offered| offered == name) => Ok(name.to_owned()),
        (Some(name), _) => Err(Error::NoFunction(path, name.to_owned(), offered)),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Error::Choose(path, offered)),
    }
}

/// Which function is meant; loads the module to see what it offers.
///
/// # Errors
/// When the module cannot be loaded, or it is not clear which.
pub fn named(file: &Path, choice: &Choice) -> Result<Named, Error> {
    let name = choose(&library(file)?, choice.name.as_deref())?;
    Ok(Named {
        name,
        argument: choice.argument,
        options: choice.options.clone(),
    })
}

/// `func_init` for each of them, as for sections of one configuration.
///
/// # Errors
/// Everything that is wrong with them.
pub fn ready(file: &Path, functions: &[&Named]) -> Result<Vec<Arc<Function>>, Error> {
    // The registry would say the same, but in words for the operator of a router.
    trusted(file)?;
    let sections: Vec<model::Function> = (1..)
        .zip(functions)
        .map(|(id, function)| model::Function {
            id,
            module: file.to_owned(),
            name: function.name.clone(),
            on_failure: FunctionFailure::Reset,
            options: options(function),
            line: u32::from(id),
        })
        .collect();
    let registry = Registry::load(&sections, Path::new("."), None).map_err(Error::Ready)?;
    let ready = sections.iter().filter_map(|f| registry.function(f.id));
    Ok(ready.collect())
}

fn options(function: &Named) -> Vec<FunctionOption> {
    let options = (1..).zip(&function.options);
    let options = options.map(|(line, (key, value))| FunctionOption {
        key: key.clone(),
        value: value.clone(),
        line,
    });
    options.collect()
}
