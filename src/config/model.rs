//! The typed model: after this border nothing is re-checked and nothing is a string.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::mark::{MarkMask, PathNumber};
use crate::config::numbers::Numbers;
use crate::wire::sid::Locator as LocatorPrefix;

/// Everything one configuration file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `config srv6pipes 'main'`.
    pub main: Main,
    /// `config locator`, in file order.
    pub locators: Vec<Locator>,
    /// `config function`, in file order; ids are unique.
    pub functions: Vec<Function>,
    /// `config policy`, in file order: the first that matches wins.
    pub policies: Vec<Policy>,
    /// `config return`, in file order; devices are unique.
    pub returns: Vec<ReturnPath>,
    /// What packet marks call the policies and returns.
    pub numbers: Numbers,
}

impl Config {
    /// Policies and then returns, each with the number that packet marks carry.
    pub fn paths(&self) -> impl Iterator<Item = (PathNumber, PathKind<'_>)> {
        let policies = self.policies.iter().map(PathKind::Policy);
        let paths = policies.chain(self.returns.iter().map(PathKind::Return));
        (0..).map_while(|index| self.numbers.at(index)).zip(paths)
    }

    /// The same, to take the place of `old` while it runs.
    pub fn following(mut self, old: &Self) -> Self {
        self.numbers = Numbers::following(old, &self);
        self
    }
}

/// What a [`PathNumber`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind<'a> {
    /// Traffic gets a segment list.
    Policy(&'a Policy),
    /// Answers leave by where the SYN came in.
    Return(&'a ReturnPath),
}

/// `config srv6pipes 'main'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Main {
    /// Whether the service starts at boot (read by the init script; `run` obeys it too).
    pub enabled: bool,
    /// Worker threads; 0 is one per core.
    pub threads: u16,
    /// How the SRH of a SYN is learnt.
    pub capture: Capture,
    /// Where module file names are looked up.
    pub module_dir: PathBuf,
    /// The Unix socket that `status`, `flows` and `reload` speak to.
    pub control_socket: PathBuf,
    /// Flows at once, over all workers; further ones are refused.
    pub max_flows: u32,
    /// A flow without a byte for this long is reset (RFC 5382 REQ-5: at least 2 h 4 min).
    pub idle_timeout: Duration,
    /// How long the next segment may take to answer our SYN.
    pub connect_timeout: Duration,
    /// Whether the kernel's TCP buffers and input queues are enlarged.
    pub tuning: bool,
    /// TCP port of the transparent listener on `[::1]`.
    pub port: u16,
    /// NFQUEUE number.
    pub queue: u16,
    /// Eight adjacent bits of the packet mark that are ours.
    pub mark: MarkMask,
    /// First of our routing tables: this one delivers locally, the following ones belong to
    /// policies and returns.
    pub table: u32,
    /// Preference of our first routing rule.
    pub preference: u32,
}

impl Main {
    /// Where the module of a function lies.
    pub fn module_file(&self, function: &Function) -> PathBuf {
        // An absolute path takes the place of what it is joined to.
        self.module_dir.join(&function.module)
    }
}

/// How the SRH of a SYN is learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// The cheapest that the configuration allows.
    Auto,
    /// `TCP_SAVED_SYN` at accept.
    SavedSyn,
    /// The SYN is held in an NFQUEUE until the next segment has answered.
    Nfqueue,
}

/// `config locator 'name'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locator {
    /// The section's name, or `locator N` counted from 1.
    pub name: String,
    /// Our /80.
    pub prefix: LocatorPrefix,
    /// Where SRv6 traffic comes in; at least one.
    pub devices: Vec<Device>,
    /// Whose packets may name our SIDs; empty is everybody's.
    pub sources: Vec<Network>,
    /// What happens to SYNs while no srv6pipes listens.
    pub on_failure: OnFailure,
    /// Line of the section in the file.
    pub line: u32,
}

/// A network device's name: 1 to 15 bytes, no `/`, no white space.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device(pub(super) String);

/// What happens to SYNs for a locator while no srv6pipes listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Answered with a reset.
    Refuse,
    /// Carried on to the next segment unprocessed.
    Bypass,
}

/// `config function`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The 16 function bits of the SID.
    pub id: u16,
    /// The module's file: a name in `module_dir`, or an absolute path.
    pub module: PathBuf,
    /// Which of the module's functions.
    pub name: String,
    /// What becomes of a flow whose function fails.
    pub on_failure: FunctionFailure,
    /// All other options and lists of the section, handed to `func_init` in file order.
    pub options: Vec<FunctionOption>,
    /// Line of the section in the file.
    pub line: u32,
}

/// An option, or one value of a list, that is a function's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionOption {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Its line in the file.
    pub line: u32,
}

/// What becomes of a flow whose function fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionFailure {
    /// Both ends are reset (fail closed).
    Reset,
    /// Bytes the function has not consumed go on untouched (fail open).
    Pass,
}

/// `config policy`: plain traffic gets its segment list here (we are its headend).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The section's name, or `policy N` counted from 1.
    pub name: String,
    /// Where the plain traffic comes in; at least one.
    pub devices: Vec<Device>,
    /// Destinations; empty is all.
    pub dests: Vec<Network>,
    /// TCP destination ports; empty is all.
    pub ports: Vec<PortRange>,
    /// Segments in the order of travel, without the final destination; 1 to 16.
    pub segments: Vec<Ipv6Addr>,
    /// MTU of the way to the first segment, bytes.
    pub mtu: u16,
    /// Line of the section in the file.
    pub line: u32,
}

impl Policy {
    /// How many segments a policy can have. The kernel's SRH has room for 127; what makes sense on
    /// a path is far fewer, and each costs 16 bytes of every packet.
    pub const MAX_SEGMENTS: usize = 16;
}

/// `config return`: answers to SYNs that came in by a device leave by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnPath {
    /// The device.
    pub device: Device,
    /// The next hop on it.
    pub gateway: Ipv6Addr,
    /// Line of the section in the file.
    pub line: u32,
}

/// An IPv6 prefix with its host bits zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// The address.
    pub address: Ipv6Addr,
    /// The prefix length, 0 to 128.
    pub length: u8,
}

/// TCP ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}
