//! A program and its arguments: looked up when it is configured, no shell in between.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs are looked up, and what they find as `PATH` themselves.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a direction runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The file.
    pub file: PathBuf,
    /// The name it is called by, as the operator wrote it, and its arguments.
    pub words: Vec<String>,
}

impl Program {
    /// The program that the first of `words` names.
    ///
    /// # Errors
    /// Why there is none, in words for the operator.
    pub fn find(words: Vec<String>) -> Result<Self, String> {
        let name = words.first().map_or("", String::as_str);
        let file = find(name, PATH)?;
        Ok(Self { file, words })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.words.join(" "))
    }
}

fn find(name: &str, path: &str) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("must begin with the name of a program".to_owned());
    }
    let places: Vec<PathBuf> = if name.starts_with('/') {
        vec![name.into()]
    } else if name.contains('/') {
        return Err(format!(
            "must begin with an absolute path, or a name without a slash, not {name}"
        ));
    } else {
        path.split(':')
            .map(|dir| Path::new(dir).join(name))
            .collect()
    };
    if let Some(file) = places.iter().find(|file| is_executable(file)) {
        return Ok(file.clone());
    }
    if let Some(file) = places.iter().find(|file| file.exists()) {
        return Err(format!("{} is not an executable file", file.display()));
    }
    Err(match name.starts_with('/') {
        true => format!("there is no {name}"),
        false => format!("there is no program {name} in {path}"),
    })
}

fn is_executable(file: &Path) -> bool {
    let meta = file.metadata();
    meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_it_is() {
        assert_eq!(find("sh", "/nowhere:/bin:/usr/bin"), Ok("/bin/sh".into()));
        assert_eq!(find("/bin/sh", ""), Ok("/bin/sh".into()));
        let program = Program::find(vec!["sh".into(), "-c".into(), "exit".into()]).unwrap();
        assert_eq!(program.to_string(), "`sh -c exit`");
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        for (name, text) in [
            ("", "must begin with the name of a program"),
            ("no-such", "there is no program no-such in /usr:/etc"),
            ("/no/such", "there is no /no/such"),
            ("passwd", "/etc/passwd is not an executable file"),
            ("/bin", "/bin is not an executable file"),
        ] {
            assert_eq!(find(name, "/usr:/etc").unwrap_err(), text);
        }
        let relative = find("bin/sh", "/bin").unwrap_err();
        assert!(relative.ends_with("not bin/sh"), "{relative}");
    }
}
