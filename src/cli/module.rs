//! The words behind `srv6pipes module`.

use std::path::PathBuf;

use argh::FromArgs;

use crate::config::value;
use crate::vnf::Direction;

/// For people who write modules: check one, run it, measure it.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "module")]
pub struct Module {
    /// what to do
    #[argh(subcommand)]
    pub command: Command,
}

/// What to do with a module.
#[derive(FromArgs, Debug)]
#[argh(subcommand)]
pub enum Command {
    /// `check`
    Check(Check),
    /// `run`
    Run(Run),
    /// `bench`
    Bench(Bench),
}

/// Hold a module's functions to what srv6pipes_vnf.h asks of them, in hard cases.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "check")]
pub struct Check {
    /// the module: a shared object that only root and you can write
    #[argh(positional)]
    pub file: PathBuf,
    /// which function (all)
    #[argh(option)]
    pub function: Option<String>,
    /// the argument of its flows, decimal or 0x… (0)
    #[argh(option, default = "0", from_str_fn(number))]
    pub argument: u32,
    /// an option of its section: KEY=VALUE; may be given again
    #[argh(option, from_str_fn(key_and_value))]
    pub option: Vec<(String, String)>,
    /// the function of the same module that undoes it: streams then go through both
    #[argh(option)]
    pub inverse: Option<String>,
    /// the argument of the inverse (that of the function)
    #[argh(option, from_str_fn(number))]
    pub inverse_argument: Option<u32>,
    /// an option of the inverse's section: KEY=VALUE; may be given again (those of the function)
    #[argh(option, from_str_fn(key_and_value))]
    pub inverse_option: Vec<(String, String)>,
    /// a file of bytes to feed it instead of our own
    #[argh(option)]
    pub sample: Option<PathBuf>,
    /// only cases with this in their name; may be given again (all)
    #[argh(option)]
    pub case: Vec<String>,
    /// seconds after which a call is taken for one that never returns (5)
    #[argh(option, default = "5")]
    pub patience: u16,
    /// one JSON document
    #[argh(switch)]
    pub json: bool,
}

/// Run standard input through a function, to standard output.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "run")]
pub struct Run {
    /// the module: a shared object that only root and you can write
    #[argh(positional)]
    pub file: PathBuf,
    /// which function (the only one)
    #[argh(option)]
    pub function: Option<String>,
    /// the argument of the flow, decimal or 0x… (0)
    #[argh(option, default = "0", from_str_fn(number))]
    pub argument: u32,
    /// an option of its section: KEY=VALUE; may be given again
    #[argh(option, from_str_fn(key_and_value))]
    pub option: Vec<(String, String)>,
    /// which way standard input goes: upstream or downstream (upstream)
    #[argh(option, default = "Direction::Upstream", from_str_fn(direction))]
    pub direction: Direction,
    /// the function of the same module that undoes it: run both, both ways, and compare
    #[argh(option)]
    pub pair: Option<String>,
    /// the argument of the other one (the same)
    #[argh(option, from_str_fn(number))]
    pub pair_argument: Option<u32>,
    /// an option of the other one's section: KEY=VALUE; may be given again (the same)
    #[argh(option, from_str_fn(key_and_value))]
    pub pair_option: Vec<(String, String)>,
    /// how many bytes arrive at once (65536)
    #[argh(option, default = "65536")]
    pub chunk: usize,
}

/// Measure what a function's calls cost on one core.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "bench")]
pub struct Bench {
    /// the module: a shared object that only root and you can write
    #[argh(positional)]
    pub file: PathBuf,
    /// which function (the only one)
    #[argh(option)]
    pub function: Option<String>,
    /// the argument of the flows, decimal or 0x… (0)
    #[argh(option, default = "0", from_str_fn(number))]
    pub argument: u32,
    /// an option of its section: KEY=VALUE; may be given again
    #[argh(option, from_str_fn(key_and_value))]
    pub option: Vec<(String, String)>,
    /// the function of the same module that undoes it: streams go through both, one is measured
    #[argh(option)]
    pub inverse: Option<String>,
    /// the argument of the inverse (that of the function)
    #[argh(option, from_str_fn(number))]
    pub inverse_argument: Option<u32>,
    /// an option of the inverse's section: KEY=VALUE; may be given again (those of the function)
    #[argh(option, from_str_fn(key_and_value))]
    pub inverse_option: Vec<(String, String)>,
    /// a file of bytes to feed it instead of text and random bytes
    #[argh(option)]
    pub sample: Option<PathBuf>,
    /// rounds that count (11)
    #[argh(option, default = "11")]
    pub rounds: u32,
    /// one JSON document
    #[argh(switch)]
    pub json: bool,
}

fn direction(text: &str) -> Result<Direction, String> {
    match text {
        "upstream" => Ok(Direction::Upstream),
        "downstream" => Ok(Direction::Downstream),
        _ => Err(format!("{text:?} is neither upstream nor downstream")),
    }
}

fn number(text: &str) -> Result<u32, String> {
    value::number(text).map_err(|_| format!("{text:?} is not a number of 32 bits"))
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}
