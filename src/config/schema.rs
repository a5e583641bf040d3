//! Every option there is: its section, how it is written, what is allowed, its default.
//!
//! The reader takes defaults and ranges from here, the errors say from here what is allowed, and
//! a test holds the shipped `/etc/config/srv6pipes` against it.

use std::fmt;
use std::path::PathBuf;

use crate::config::model::{Capture, FunctionFailure, OnFailure};
use crate::config::value::{self, Fault};

/// The types of section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// `config srv6pipes 'main'`, exactly one.
    Main,
    /// `config locator`
    Locator,
    /// `config function`
    Function,
    /// `config policy`
    Policy,
    /// `config return`
    Return,
}

/// One option or list.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// Where it belongs.
    pub section: SectionKind,
    /// Its name.
    pub name: &'static str,
    /// Whether it is written as `list`.
    pub list: bool,
    /// What a value must be.
    pub allowed: Allowed,
    /// What counts if it is not given.
    pub absent: Absent,
}

/// What a value must be. `Display` continues "… is not ".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// A boolean as UCI writes it.
    Switch,
    /// A whole number, both ends included.
    Number(u32, u32),
    /// The same, also in hexadecimal.
    HexNumber(u32, u32),
    /// One of some words.
    Word(&'static [&'static str]),
    /// An absolute path of at most so many bytes.
    Path(usize),
    /// Eight adjacent bits.
    Mask,
    /// A locator's /80.
    Prefix,
    /// A network device's name.
    Device,
    /// A module's file.
    Module,
    /// Any text in one line but the empty one.
    Text,
    /// An IPv6 network.
    Network,
    /// A TCP port or range.
    Ports,
    /// An address to route to.
    Segment,
    /// An address on a device's link.
    Gateway,
}

/// What counts if an option is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// This text, as if it had been written.
    Default(&'static str),
    /// A list without entries.
    Empty,
    /// That is a mistake.
    Refused,
}

impl SectionKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Main,
        Self::Locator,
        Self::Function,
        Self::Policy,
        Self::Return,
    ];

    /// The word behind `config`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Main => "srv6pipes",
            Self::Locator => "locator",
            Self::Function => "function",
            Self::Policy => "policy",
            Self::Return => "return",
        }
    }

    /// The section type of that word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Its options and lists.
    pub fn specs(self) -> impl Iterator<Item = &'static Spec> {
        TABLE
            .iter()
            .copied()
            .filter(move |spec| spec.section == self)
    }
}

/// Where a path must end so that `sun_path`, 108 bytes with its NUL, holds it (unix(7)).
const SOCKET_PATH: usize = 107;
/// `PATH_MAX` without its NUL (linux/limits.h).
const PATH: usize = 4095;
/// The kernel's own tables (253 to 255) lie below the range; above it is room for one table of
/// each policy and return.
const TABLES: Allowed = Allowed::Number(256, 4_294_967_000);
/// Before the rules of `main` (32766) and `default` (32767), behind that of `local` (0).
const PREFERENCES: Allowed = Allowed::Number(1, 32_000);

/// Writes each option once: as a constant for the reader, and into [`TABLE`].
macro_rules! table {
    ($($constant:ident: $section:ident $written:ident $name:literal, $allowed:expr, $absent:expr;)*) => {
        $(
            #[doc = concat!("`", stringify!($written), " ", $name, "`")]
            pub static $constant: Spec = Spec {
                section: SectionKind::$section,
                name: $name,
                list: is_list(stringify!($written)),
                allowed: $allowed,
                absent: $absent,
            };
        )*
        /// All of them, in the order of the shipped file.
        pub static TABLE: &[&Spec] = &[$(&$constant),*];
    };
}

const fn is_list(written: &str) -> bool {
    matches!(written.as_bytes(), b"list")
}

use Absent::{Default, Empty, Refused};

table! {
    ENABLED: Main option "enabled", Allowed::Switch, Default("0");
    THREADS: Main option "threads", Allowed::Number(0, 256), Default("0");
    CAPTURE: Main option "capture", Allowed::Word(Capture::WORDS), Default("auto");
    MODULE_DIR: Main option "module_dir", Allowed::Path(PATH), Default("/usr/lib/srv6pipes");
    CONTROL_SOCKET: Main option "control_socket", Allowed::Path(SOCKET_PATH), Default("/var/run/srv6pipes.sock");
    MAX_FLOWS: Main option "max_flows", Allowed::Number(1, 1_000_000), Default("8192");
    IDLE_TIMEOUT: Main option "idle_timeout", Allowed::Number(1, 2_592_000), Default("7440");
    CONNECT_TIMEOUT: Main option "connect_timeout", Allowed::Number(1, 600), Default("30");
    TUNING: Main option "tuning", Allowed::Switch, Default("0");
    PORT: Main option "port", Allowed::Number(1, 65535), Default("8754");
    QUEUE: Main option "queue", Allowed::Number(0, 65535), Default("8754");
    MARK: Main option "mark", Allowed::Mask, Default("0xff000000");
    ROUTING_TABLE: Main option "table", TABLES, Default("8754");
    PREFERENCE: Main option "preference", PREFERENCES, Default("700");

    PREFIX: Locator option "prefix", Allowed::Prefix, Refused;
    LOCATOR_DEVICE: Locator list "device", Allowed::Device, Refused;
    SOURCE: Locator list "source", Allowed::Network, Empty;
    ON_FAILURE: Locator option "on_failure", Allowed::Word(OnFailure::WORDS), Default("refuse");

    ID: Function option "id", Allowed::HexNumber(0, 65535), Refused;
    MODULE: Function option "module", Allowed::Module, Refused;
    NAME: Function option "name", Allowed::Text, Refused;
    FUNCTION_ON_FAILURE: Function option "on_failure", Allowed::Word(FunctionFailure::WORDS), Default("reset");

    POLICY_DEVICE: Policy list "device", Allowed::Device, Refused;
    DEST: Policy list "dest", Allowed::Network, Empty;
    POLICY_PORT: Policy list "port", Allowed::Ports, Empty;
    SEGMENT: Policy list "segment", Allowed::Segment, Refused;
    MTU: Policy option "mtu", Allowed::Number(1280, 65535), Default("1500");

    RETURN_DEVICE: Return option "device", Allowed::Device, Refused;
    GATEWAY: Return option "gateway", Allowed::Gateway, Refused;
}

impl Allowed {
    /// Reads a number that lies in the range.
    pub fn number(self, text: &str) -> Result<u32, Fault> {
        let (number, range) = match self {
            Self::Number(least, most) => (value::decimal(text)?, least..=most),
            Self::HexNumber(least, most) => (value::number(text)?, least..=most),
            _ => return Err(Fault::Form),
        };
        range.contains(&number).then_some(number).ok_or(Fault::Form)
    }

    /// Reads an absolute path that is short enough.
    pub fn path(self, text: &str) -> Result<PathBuf, Fault> {
        match self {
            Self::Path(most) if text.len() <= most => value::path(text),
            _ => Err(Fault::Form),
        }
    }
}

impl Spec {
    /// `option` or `list`.
    pub fn command(&self) -> &'static str {
        if self.list { "list" } else { "option" }
    }
}

/// `option 'threads'`
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.command(), self.name)
    }
}

/// The word behind `config`.
impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("0 or 1"),
            Self::Number(least, most) => write!(f, "a whole number from {least} to {most}"),
            Self::HexNumber(least, most) => {
                write!(
                    f,
                    "a whole number from {least} to {most} (or {least:#x} to {most:#x})"
                )
            }
            Self::Word(words) => write!(f, "one of {}", words.join(", ")),
            Self::Path(most) => write!(f, "an absolute path of at most {most} bytes"),
            Self::Mask => f.write_str("a mask of eight adjacent bits, as 0xff000000"),
            Self::Prefix => f.write_str("a locator's prefix, as 2001:db8:99::/80"),
            Self::Device => f.write_str("a network device's name of 1 to 15 characters"),
            Self::Module => f.write_str("a file name in module_dir, or an absolute path"),
            Self::Text => f.write_str("a text in one line"),
            Self::Network => f.write_str("an IPv6 network, as 2001:db8:5::/48"),
            Self::Ports => f.write_str("a TCP port from 1 to 65535, or a range of them as 80-90"),
            Self::Segment => f.write_str("an IPv6 address to route to"),
            Self::Gateway => f.write_str("an IPv6 address of the next router"),
        }
    }
}
