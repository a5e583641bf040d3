//! What the operator wants, typed: UCI text in, [`Config`] out, every mistake at once.
//!
//! ```text
//! bytes ──uci──▶ sections ──read (against schema)──▶ Config
//!          └──────────────┴──▶ problems, each with its line
//! ```
//!
//! Read first: the file `/etc/config/srv6pipes` that we ship, then [`model`].

mod choice;
mod fields;
pub mod mark;
pub mod model;
mod nearest;
pub mod numbers;
mod print;
pub mod problem;
mod read;
pub mod schema;
pub mod uci;
pub mod value;
mod words;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use schema::{Absent, CONTROL_SOCKET, SectionKind};

pub use model::Config;
pub use print::Quoted;
pub use problem::{Problem, ProblemKind, Problems};

/// How large a file may be. Ours has 4 KiB; what is larger is a mistaken path.
pub const MAX_BYTES: usize = 1 << 20;

/// Reads a configuration file.
///
/// # Errors
/// The file can't be read, or it says something that we can't do.
pub fn load(path: &Path) -> Result<Config, Problems> {
    let text = bytes(path).map_err(|error| Problems::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    parse(&text).map_err(|problems| Problems::Mistakes {
        path: path.to_owned(),
        problems,
    })
}

/// Where the daemon of a configuration file listens to its operator, whatever else is wrong with
/// the file: whoever has broken it wants to know how the daemon is.
///
/// # Errors
/// The file can't be read, or of all things this option is wrong.
pub fn control_socket(path: &Path) -> Result<PathBuf, Problems> {
    let problems = match load(path) {
        Ok(config) => return Ok(config.main.control_socket),
        Err(problems @ Problems::Unreadable { .. }) => return Err(problems),
        Err(problems) => problems,
    };
    let text = bytes(path).unwrap_or_default();
    let text = uci::parse(&String::from_utf8_lossy(&text));
    let mut written = text
        .sections
        .iter()
        .filter(|section| section.kind == SectionKind::Main.word())
        .flat_map(|section| &section.entries)
        .filter(|entry| entry.name == CONTROL_SOCKET.name && !entry.value.is_empty());
    let socket = match (written.next(), CONTROL_SOCKET.absent) {
        (Some(entry), _) => CONTROL_SOCKET.allowed.path(&entry.value),
        (None, Absent::Default(text)) => CONTROL_SOCKET.allowed.path(text),
        (None, _) => return Err(problems),
    };
    match (socket, written.next()) {
        (Ok(socket), None) => Ok(socket),
        _ => Err(problems),
    }
}

/// Stops one byte behind the limit: `/dev/zero` has no end.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_BYTES + 1).unwrap_or(u64::MAX);
    let mut text = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut text)?;
    Ok(text)
}

/// Reads the text of a configuration.
///
/// # Errors
/// All mistakes, sorted by line.
pub fn parse(text: &[u8]) -> Result<Config, Vec<Problem>> {
    if text.len() > MAX_BYTES {
        return Err(vec![Problem {
            line: 0,
            kind: ProblemKind::TooLarge,
        }]);
    }
    // Bad bytes never hide a newline, so the lines of what is left are right.
    let result = read::config(&uci::parse(&String::from_utf8_lossy(text)));
    let mut bad = Vec::new();
    for (line, bytes) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        if str::from_utf8(bytes).is_err() {
            bad.push(Problem {
                line,
                kind: ProblemKind::NotUtf8,
            });
        }
    }
    if bad.is_empty() {
        return result;
    }
    // What else is wrong with such a line follows from its bytes.
    let others = result.err().unwrap_or_default();
    let lines: Vec<u32> = bad.iter().map(|problem| problem.line).collect();
    bad.extend(
        others
            .into_iter()
            .filter(|other| lines.binary_search(&other.line).is_err()),
    );
    bad.sort_by_key(|problem| problem.line);
    Err(bad)
}
