//! The words behind `srv6pipes module`.

use std::path::PathBuf;

use argh::FromArgs;

use crate::config::value;

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

fn number(text: &str) -> Result<u32, String> {
    value::number(text).map_err(|_| format!("{text:?} is not a number of 32 bits"))
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}
