//! The words of the command line, and nothing behind them.

pub mod module;

use std::path::PathBuf;

use argh::FromArgs;

#[cfg(feature = "demo")]
use crate::demo::function::Function;

/// Middleboxes for bytestreams, made explicit by IPv6 Segment Routing.
#[derive(FromArgs, Debug)]
pub struct Cli {
    /// print the version
    #[argh(switch)]
    pub version: bool,
    /// what to do
    #[argh(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(FromArgs, Debug)]
#[argh(subcommand)]
pub enum Command {
    /// `run`
    Run(Run),
    /// `check`
    Check(Check),
    /// `clean`
    Clean(Clean),
    /// `doctor`
    Doctor(Doctor),
    /// `status`
    Status(Status),
    /// `flows`
    Flows(Flows),
    /// `reload`
    Reload(Reload),
    /// `demo`
    #[cfg(feature = "demo")]
    Demo(Demo),
    /// `module`
    Module(module::Module),
}

/// Where the configuration is unless `-c` says otherwise, on every system.
fn standard_file() -> PathBuf {
    PathBuf::from("/etc/config/srv6pipes")
}

/// Set the kernel up, proxy in the foreground, undo it all at the end. SIGHUP reloads.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "run")]
pub struct Run {
    /// configuration file (/etc/config/srv6pipes)
    #[argh(option, short = 'c', default = "standard_file()")]
    pub config: PathBuf,
}

/// Read the configuration, load the modules, make every function ready and give it up again, and
/// print what `run` would do to the kernel; touch nothing.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "check")]
pub struct Check {
    /// configuration file (/etc/config/srv6pipes)
    #[argh(option, short = 'c', default = "standard_file()")]
    pub config: PathBuf,
    /// print no plan, and end with 3 if option enabled is '0': for what starts services
    #[argh(switch)]
    pub enabled: bool,
}

/// Remove what a killed `run` left behind.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "clean")]
pub struct Clean {
    /// configuration file (/etc/config/srv6pipes)
    #[argh(option, short = 'c', default = "standard_file()")]
    pub config: PathBuf,
}

/// Say what this kernel offers and lacks, and which package brings it.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "doctor")]
pub struct Doctor {
    /// one JSON document
    #[argh(switch)]
    pub json: bool,
}

/// Counters, functions and modules of the running srv6pipes.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "status")]
pub struct Status {
    /// configuration file (/etc/config/srv6pipes)
    #[argh(option, short = 'c', default = "standard_file()")]
    pub config: PathBuf,
    /// one JSON document
    #[argh(switch)]
    pub json: bool,
}

/// The live flows of the running srv6pipes.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "flows")]
pub struct Flows {
    /// configuration file (/etc/config/srv6pipes)
    #[argh(option, short = 'c', default = "standard_file()")]
    pub config: PathBuf,
    /// one JSON document
    #[argh(switch)]
    pub json: bool,
}

/// Take over the changed configuration and modules; live flows keep theirs.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "reload")]
pub struct Reload {
    /// configuration file (/etc/config/srv6pipes)
    #[argh(option, short = 'c', default = "standard_file()")]
    pub config: PathBuf,
}

#[cfg(feature = "demo")]
/// Two proxies between curl and a web server, on this machine, with a picture of every wire.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "demo")]
pub struct Demo {
    /// folder of the stock modules (that of this program)
    #[argh(option)]
    pub modules: Option<PathBuf>,
    /// what P1 runs instead of xor: FILE:NAME or FILE:NAME:ARGUMENT, FILE with its folder or one
    /// of the stock modules; P2 then copies, or runs what a second --function names
    #[argh(option)]
    pub function: Vec<Function>,
}

/// `EX_USAGE` of sysexits.h: the words were wrong.
pub const WRONG_WORDS: u8 = 64;

/// `check --enabled`: the configuration is right, and says that there shall be no service.
pub const NOT_ENABLED: u8 = 3;

/// What there is to say instead of doing something.
#[derive(Debug)]
pub enum Instead {
    /// What was asked for, for standard output.
    Help(String),
    /// Why the words are wrong, for standard error; end with [`WRONG_WORDS`].
    Complaint(String),
}

impl Cli {
    /// The words this process was started with, if they say what to do.
    pub fn from_words() -> Result<Self, Instead> {
        let words: Vec<String> = std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let arguments: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        match Self::from_args(&["srv6pipes"], &arguments) {
            Ok(cli) if cli.version || cli.command.is_some() => Ok(cli),
            Ok(_) => Err(Instead::Complaint(
                "srv6pipes: what to do? `srv6pipes --help` lists the commands\n".to_owned(),
            )),
            Err(exit) => {
                let text = format!("{}\n", exit.output.trim_end());
                Err(match exit.status {
                    Ok(()) => Instead::Help(text),
                    Err(()) => Instead::Complaint(text),
                })
            }
        }
    }
}
