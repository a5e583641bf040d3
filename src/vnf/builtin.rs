//! The stock modules, inside the binary: what stands for `loader` with the feature
//! `builtin-modules`. A fully static binary of musl's has no `dlopen`.
//!
//! A module is known by the name of the file that it would be; the folder does not matter, so that
//! one configuration serves both builds.

use std::path::{Path, PathBuf};

use srv6pipes_vnf::abi;

use crate::vnf::open_error::OpenError;
use crate::vnf::table::{self, Description};

/// File name and functions of each module, by name.
static MODULES: [Found; 12] = [
    Found("libbalance.so", &balance::all_funcs),
    Found("libcompress.so", &compress::all_funcs),
    Found("libcopy.so", &copy::all_funcs),
    Found("libexec.so", &exec::all_funcs),
    Found("libfirewall.so", &firewall::all_funcs),
    Found("libmeter.so", &meter::all_funcs),
    Found("libpasses.so", &passes::all_funcs),
    Found("librecord.so", &record::all_funcs),
    Found("librewrite.so", &rewrite::all_funcs),
    Found("libseal.so", &seal::all_funcs),
    Found("libthrottle.so", &throttle::all_funcs),
    Found("libxor.so", &xor::all_funcs),
];

/// A module that may be used.
#[derive(Debug, Clone, Copy)]
pub struct Found(&'static str, &'static [abi::Func]);

/// A module in use, and what it offers.
#[derive(Debug)]
pub struct Library {
    /// The file name.
    path: PathBuf,
    functions: Vec<Description>,
}

/// Looks for a module.
///
/// # Errors
/// When there is none of this file name.
pub fn find(path: &Path) -> Result<Found, OpenError> {
    let named = |module: &&Found| path.file_name().is_some_and(|name| name == module.0);
    MODULES.iter().find(named).copied().ok_or_else(|| {
        let names = MODULES.iter().map(|module| module.0);
        OpenError::NotBuiltIn(path.to_owned(), names.collect())
    })
}

impl Library {
    /// Takes a module into use; runs none of its functions.
    ///
    /// # Errors
    /// When there is none of this file name.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::load(find(path)?)
    }

    /// Takes what was found into use.
    ///
    /// # Errors
    /// If the module's table is wrong, as a file's can be.
    pub fn load(found: Found) -> Result<Self, OpenError> {
        let path = PathBuf::from(found.0);
        match table::read(found.1.as_ptr()) {
            Ok(functions) => Ok(Self { path, functions }),
            Err(error) => Err(OpenError::Table(path, error)),
        }
    }

    /// The file name it goes by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is this module.
    pub fn is(&self, found: &Found) -> bool {
        self.path == Path::new(found.0)
    }

    /// What the module offers, in its own order; at least one.
    pub fn functions(&self) -> &[Description] {
        &self.functions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_is_found_by_its_name_in_any_folder() {
        for module in &MODULES {
            let path = Path::new("/nowhere").join(module.0);
            let library = Library::open(&path).unwrap();
            assert!(library.is(module) && !library.functions().is_empty());
        }
        let listed = include_str!("../../tests/stock-functions.list").lines();
        let mut listed: Vec<String> = listed
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("lib{}.so", line.split_whitespace().next().unwrap()))
            .collect();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed, MODULES.map(|module| module.0));
    }

    #[test]
    fn another_one_is_told_what_there_is() {
        for path in ["/usr/lib/srv6pipes/libmine.so", "libxor.s", "/", ".."] {
            let error = find(Path::new(path)).unwrap_err().to_string();
            let expected = format!(
                "{path} is not in this build of srv6pipes, which loads no files and has only: libbalance.so, "
            );
            assert!(
                error.starts_with(&expected) && error.ends_with(", libxor.so"),
                "{error}"
            );
        }
    }
}
