//! What the proxies of the demo run: `xor` on both, or functions that the words name.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::config::value;
use crate::demo::error::Error;

/// A function of a module, and the argument of its SID: `FILE:NAME` or `FILE:NAME:ARGUMENT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The module: a file, or with no folder before it one of the stock modules.
    pub module: PathBuf,
    /// Which of its functions.
    pub name: String,
    /// The low 32 bits of the SID.
    pub argument: u32,
}

impl Function {
    /// A function of a stock module that is named after it.
    fn stock(name: &str, argument: u32) -> Self {
        Self {
            module: format!("lib{name}.so").into(),
            name: name.to_owned(),
            argument,
        }
    }

    /// The module's file; `folder` is where the stock modules are.
    ///
    /// # Errors
    /// When there is none.
    pub fn file(&self, folder: &Path) -> Result<PathBuf, Error> {
        let is_path = self.module.parent().is_some_and(|at| at != Path::new(""));
        let file = if is_path {
            self.module.clone()
        } else {
            folder.join(&self.module)
        };
        if file.is_file() {
            Ok(file)
        } else if is_path {
            Err(Error::NoFile(file))
        } else {
            Err(Error::NoModule(file))
        }
    }
}

impl FromStr for Function {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither FILE:NAME nor FILE:NAME:ARGUMENT");
        let (mut head, mut name) = text.rsplit_once(':').ok_or_else(wrong)?;
        let mut argument = 0;
        // A path may have colons, too: the last word is an argument only if it is a number.
        if let (Ok(number), Some((file, before))) = (value::number(name), head.rsplit_once(':')) {
            (head, name, argument) = (file, before, number);
        }
        if head.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            module: head.into(),
            name: value::text(name).map_err(|_| wrong())?,
            argument,
        })
    }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} with argument {:#x}", self.name, self.argument)
    }
}

/// Who runs what, P1 first. One function that was named runs on P1, and P2 hands on what comes.
///
/// # Errors
/// When there are more functions than proxies.
pub fn cast(named: &[Function]) -> Result<[Function; 2], Error> {
    match named {
        [] => Ok([Function::stock("xor", 0x2a), Function::stock("xor", 0x2a)]),
        [one] => Ok([one.clone(), Function::stock("copy", 0)]),
        [one, other] => Ok([one.clone(), other.clone()]),
        more => Err(Error::TooManyFunctions(more.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String, u32) {
        let function: Function = text.parse().unwrap();
        let module = function.module.display().to_string();
        (module, function.name, function.argument)
    }

    #[test]
    fn a_function_is_a_file_a_name_and_perhaps_an_argument() {
        let is = |text, (module, name, argument): (&str, &str, u32)| {
            assert_eq!(read(text), (module.into(), name.into(), argument), "{text}");
        };
        is("libxor.so:xor", ("libxor.so", "xor", 0));
        is("./a.so:f:0x2a", ("./a.so", "f", 42));
        is("./a.so:f:4294967295", ("./a.so", "f", u32::MAX));
        is("/a:b/c.so:f", ("/a:b/c.so", "f", 0));
        is("/a:b/c.so:f:7", ("/a:b/c.so", "f", 7));
        is("c.so:7", ("c.so", "7", 0));
        for wrong in ["", "c.so", ":f", "c.so:", "c.so:f:", "c.so:a\nb"] {
            assert!(wrong.parse::<Function>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn who_is_named_first_is_nearer_to_the_client() {
        let [a, b] = ["a.so:a:1", "b.so:b"].map(|text| text.parse::<Function>().unwrap());
        let names = |named: &[Function]| cast(named).unwrap().map(|function| function.name);
        assert_eq!(names(&[]), ["xor", "xor"]);
        assert_eq!(names(std::slice::from_ref(&a)), ["a", "copy"]);
        assert_eq!(names(&[a.clone(), b.clone()]), ["a", "b"]);
        assert!(matches!(
            cast(&[a.clone(), b, a]),
            Err(Error::TooManyFunctions(3))
        ));
    }

    #[test]
    fn a_file_without_a_folder_is_a_stock_module() {
        let missing = |text: &str| {
            let function: Function = text.parse().unwrap();
            function.file(Path::new("/nowhere")).unwrap_err()
        };
        assert!(
            matches!(missing("a.so:a"), Error::NoModule(path) if path == Path::new("/nowhere/a.so"))
        );
        assert!(matches!(missing("./a.so:a"), Error::NoFile(path) if path == Path::new("./a.so")));
    }
}
