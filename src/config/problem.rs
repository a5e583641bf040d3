//! What is wrong with a configuration: all of it at once, each with its line.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config::mark::PathNumber;
use crate::config::model::{Device, Policy};
use crate::config::nearest::DidYouMean;
use crate::config::schema::{Absent, SectionKind, Spec};
use crate::config::uci::Mistake;
use crate::config::value::Fault;
use crate::wire::sid::Locator as LocatorPrefix;

/// Why [`crate::config::load`] has no configuration.
#[derive(Debug)]
pub enum Problems {
    /// The file can't be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the kernel answered.
        error: io::Error,
    },
    /// The file says something that we can't do.
    Mistakes {
        /// Which file.
        path: PathBuf,
        /// At least one, sorted by line.
        problems: Vec<Problem>,
    },
}

/// One mistake. `Display` is `LINE: …`, or without the line if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; 0 if it is the file as a whole.
    pub line: u32,
    /// What is wrong there.
    pub kind: ProblemKind,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// The file has more bytes than [`crate::config::MAX_BYTES`].
    TooLarge,
    /// The line is not UTF-8.
    NotUtf8,
    /// The command is not UCI.
    Grammar(Mistake),
    /// `package` names another file.
    OtherPackage(String),
    /// There is no such section type; the one it looks like.
    UnknownSection(String, Option<&'static str>),
    /// The name belongs to an earlier section already; its line.
    SectionTwice(String, u32),
    /// There is no `config srv6pipes 'main'`.
    MainMissing,
    /// A `config srv6pipes` that is not named `main`.
    MainName,
    /// There is an earlier `config srv6pipes`; its line.
    MainTwice(u32),
    /// The section has no such option or list.
    UnknownOption {
        /// The section.
        section: SectionKind,
        /// The name as written.
        name: String,
        /// What it looks like.
        nearest: Option<&'static str>,
    },
    /// The option was given in this earlier line already.
    OptionTwice(String, u32),
    /// `option` where it is a list, or the other way round.
    WrittenAs(&'static Spec),
    /// The value is not what is allowed.
    Value {
        /// The option or list.
        spec: &'static Spec,
        /// The value as written.
        text: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The list has this value already, from this earlier line.
    ValueTwice(&'static Spec, String, u32),
    /// The section lacks it.
    Missing(&'static Spec),
    /// The locator of this earlier line has the prefix already.
    LocatorTwice(LocatorPrefix, u32),
    /// The function of this earlier line has the id already.
    FunctionTwice(u16, u32),
    /// The return of this earlier line has the device already.
    ReturnTwice(Device, u32),
    /// A policy with so many segments.
    TooManySegments(usize),
    /// So many policies and returns.
    TooManyPaths(usize),
    /// Enabled, with neither locator nor policy.
    NothingToDo,
}

impl Error for Problems {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::Mistakes { .. } => None,
        }
    }
}

/// One line each, `FILE:LINE: …`, without a newline behind the last.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(f, "read {}: {error}", path.display()),
            Self::Mistakes { path, problems } => {
                let path = path.display();
                for (index, problem) in problems.iter().enumerate() {
                    let end_of_previous = if index == 0 { "" } else { "\n" };
                    let colon = if problem.line == 0 { ": " } else { ":" };
                    write!(f, "{end_of_previous}{path}{colon}{problem}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line != 0 {
            write!(f, "{}: ", self.line)?;
        }
        self.kind.fmt(f)
    }
}

/// Words of the operator are escaped: an error message must not steer a terminal.
impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "larger than {} bytes", crate::config::MAX_BYTES),
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::Grammar(mistake) => mistake.fmt(f),
            Self::OtherPackage(name) => {
                write!(f, "package '{name}': this is read as the file of srv6pipes")
            }
            Self::UnknownSection(word, nearest) => {
                write!(f, "unknown section type '{word}'")?;
                match nearest {
                    Some(_) => DidYouMean(*nearest).fmt(f),
                    None => {
                        let known = SectionKind::ALL.map(SectionKind::word).join(", ");
                        write!(f, "; there are {known}")
                    }
                }
            }
            Self::SectionTwice(name, first) => {
                write!(f, "the section of line {first} is named '{name}' too")
            }
            Self::MainMissing => f.write_str("there is no section config srv6pipes 'main'"),
            Self::MainName => f.write_str("the section must be named: config srv6pipes 'main'"),
            Self::MainTwice(first) => write!(f, "config srv6pipes stands in line {first} already"),
            Self::UnknownOption {
                section,
                name,
                nearest,
            } => {
                write!(
                    f,
                    "config {section} has no '{name}'{}",
                    DidYouMean(*nearest)
                )
            }
            Self::OptionTwice(name, first) => write!(f, "'{name}' stands in line {first} already"),
            Self::WrittenAs(spec) if spec.list => {
                write!(
                    f,
                    "'{}' is a list: write {spec}, a line for each",
                    spec.name
                )
            }
            Self::WrittenAs(spec) => write!(f, "'{}' is no list: write {spec}", spec.name),
            Self::Value { spec, text, fault } => {
                write!(f, "{spec}: '{}' ", text.escape_debug())?;
                match fault {
                    Fault::Form => write!(f, "is not {}", spec.allowed),
                    _ => fault.fmt(f),
                }
            }
            Self::ValueTwice(spec, text, first) => {
                write!(f, "{spec}: '{text}' stands in line {first} already")
            }
            Self::Missing(spec) => {
                let least = match spec.absent {
                    Absent::Refused if spec.list => "at least one ",
                    _ => "",
                };
                write!(
                    f,
                    "config {}: {least}{spec} is missing ({})",
                    spec.section, spec.allowed
                )
            }
            Self::LocatorTwice(prefix, first) => {
                write!(
                    f,
                    "the locator of line {first} has the prefix {prefix} already"
                )
            }
            Self::FunctionTwice(id, first) => {
                write!(
                    f,
                    "the function of line {first} has the id {id} ({id:#x}) already"
                )
            }
            Self::ReturnTwice(device, first) => {
                write!(
                    f,
                    "the return of line {first} has the device '{device}' already"
                )
            }
            Self::TooManySegments(count) => write!(
                f,
                "{count} segments: a policy can have {}",
                Policy::MAX_SEGMENTS
            ),
            Self::TooManyPaths(count) => write!(
                f,
                "{count} policies and returns: there can be {}",
                PathNumber::MAX
            ),
            Self::NothingToDo => {
                f.write_str("enabled, but nothing to do: there is neither a locator nor a policy")
            }
        }
    }
}
