//! The key file: who may have it, and what is in it.
//!
//! ```text
//! # id  key, 64 hexadecimal digits
//! 1     0f1e…
//! 0x2a  33c4…   # since Monday
//! ```

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use crate::cipher::KEY;
use crate::schedule::MasterKey;

/// Where it is, if the operator does not say.
pub const DEFAULT_PATH: &str = "/etc/srv6pipes/seal.keys";

/// Larger files are something else, bytes.
const MAX_FILE: usize = 64 * 1024;
/// Mistakes told of one file.
const MAX_MISTAKES: usize = 32;
/// Group and others: everything.
const OTHERS: u32 = 0o077;

/// The master keys by their ids.
pub type Keys = HashMap<u32, Arc<MasterKey>>;

/// What is wrong with the file, or with one of its lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1; `None`: the file as a whole.
    line: Option<usize>,
    text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// Reads a key file.
///
/// # Errors
/// All that is wrong with it.
pub fn load(path: &Path) -> Result<Keys, Vec<Mistake>> {
    let whole = |text| vec![Mistake { line: None, text }];
    if !path.is_absolute() {
        return Err(whole("must begin with /".to_owned()));
    }
    parse(&read(path).map_err(whole)?)
}

/// The bytes of a file that nobody else may read.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let name = path.display();
    // A pipe must not make us wait, and a link is as safe as the folder it lies in, not as what
    // it leads to.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let mut file = opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP) => {
            format!("{name} is a symbolic link; name the file that it leads to")
        }
        Some(Errno::ENOENT) => format!(
            "{name} does not exist; to make one: \
             (umask 077; echo \"1 $(head -c 64 /dev/urandom | sha256sum | cut -c 1-64)\" > {name})"
        ),
        _ => format!("open {name}: {error}"),
    })?;
    judge(&file, path)?;
    // As long as it may be: growing would leave copies of keys behind.
    let mut bytes = Zeroizing::new(vec![0; MAX_FILE + 1]);
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("read {name}: {error}")),
        }
    }
    if length > MAX_FILE {
        return Err(format!(
            "{name} is longer than {MAX_FILE} bytes: no key file"
        ));
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Whether only root, or the user we run as, can read and write it.
fn judge(file: &File, path: &Path) -> Result<(), String> {
    let name = path.display();
    let metadata = file
        .metadata()
        .map_err(|error| format!("stat {name}: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("{name} is not a regular file"));
    }
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let ours = owner == 0 || owner == nix::unistd::geteuid().as_raw();
    if ours && mode & OTHERS == 0 {
        return Ok(());
    }
    Err(format!(
        "{name} is not ours alone (owner {owner}, mode {mode:04o}): \
         others may know its keys; with new ones in it: chown root {name}; chmod 600 {name}"
    ))
}

/// The keys in a file's text.
fn parse(text: &[u8]) -> Result<Keys, Vec<Mistake>> {
    let mut keys = Keys::new();
    let mut lines = HashMap::new();
    let mut mistakes = Vec::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        match key(line) {
            Ok(None) => {}
            Ok(Some((id, key))) => match lines.insert(id, number) {
                None => {
                    keys.insert(id, key);
                }
                Some(first) => {
                    mistakes.push(mistake(number, format!("key {id} is on line {first}, too")))
                }
            },
            Err(text) => mistakes.push(mistake(number, text.to_owned())),
        }
    }
    if keys.is_empty() && mistakes.is_empty() {
        mistakes.push(Mistake {
            line: None,
            text: "there is no key in the file".to_owned(),
        });
    }
    if mistakes.is_empty() {
        return Ok(keys);
    }
    let others = mistakes.len().saturating_sub(MAX_MISTAKES);
    if others > 0 {
        mistakes.truncate(MAX_MISTAKES);
        mistakes.push(Mistake {
            line: None,
            text: format!("and {others} more lines are wrong"),
        });
    }
    Err(mistakes)
}

fn mistake(line: usize, text: String) -> Mistake {
    Mistake {
        line: Some(line),
        text,
    }
}

/// The key on a line, if there is one. What is wrong is said without a word of the line: it may
/// be a key.
fn key(line: &[u8]) -> Result<Option<(u32, Arc<MasterKey>)>, &'static str> {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let (id, digits, more) = (words.next(), words.next(), words.next());
    let Some(id) = id else {
        return Ok(None);
    };
    let id = std::str::from_utf8(id).ok().and_then(number);
    let id = id.ok_or("begins with no key id, a number from 0 to 4294967295")?;
    let (Some(digits), None) = (digits, more) else {
        return Err("must be an id and a key, and nothing else");
    };
    // Filled where it stays: moving it would leave a copy behind.
    let mut key = Arc::new(MasterKey::default());
    let filled = Arc::get_mut(&mut key).is_some_and(|key| unhex(digits, key.bytes_mut()));
    if !filled {
        return Err("the key must be 64 hexadecimal digits");
    }
    Ok(Some((id, key)))
}

fn number(word: &str) -> Option<u32> {
    // from_str_radix() would take a sign.
    let digits = |word: &str, radix| {
        let digits = word.chars().all(|digit| digit.is_digit(radix));
        digits.then(|| u32::from_str_radix(word, radix).ok())?
    };
    match word.strip_prefix("0x") {
        Some(word) => digits(word, 16),
        None => digits(word, 10),
    }
}

/// Whether `digits` are a key; it is in `key` then.
fn unhex(digits: &[u8], key: &mut [u8; KEY]) -> bool {
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|n| u8::try_from(n).ok())
    };
    digits.len() == 2 * KEY
        && key.iter_mut().zip(digits.chunks(2)).all(|(byte, pair)| {
            let (Some(high), Some(low)) = (value(pair[0]), value(pair[1])) else {
                return false;
            };
            *byte = high << 4 | low;
            true
        })
}

#[cfg(test)]
pub mod tests;
