//! The only one that knows everybody: each command of the command line, wired together.

mod daemon;
mod down;
mod limits;
mod module;
mod ready;
mod rights;
mod status;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use crate::cli::{Cli, Command, NOT_ENABLED};
use crate::config::{self, Config};
use crate::control::proto::Request;
use crate::control::{client, print, server};
#[cfg(feature = "demo")]
use crate::demo;
use crate::report::{self, Chain};
use crate::setup::plan::plan;
use crate::setup::{self, doctor};

/// Does what the words say. Errors go to the log; the exit code is 0 or 1.
pub fn main(cli: Cli) -> ExitCode {
    let done = match cli.command {
        None => say(&format!("srv6pipes {}\n", env!("CARGO_PKG_VERSION"))),
        Some(Command::Run(run)) => daemon::run(&run.config),
        Some(Command::Check(words)) if words.enabled => match checked(&words.config) {
            Ok(config) if !config.main.enabled => {
                let file = words.config.display();
                log::info!("{file}: option enabled is '0'; set it to '1' to run");
                return ExitCode::from(NOT_ENABLED);
            }
            done => done.map(drop),
        },
        Some(Command::Check(words)) => check(&words.config),
        Some(Command::Clean(words)) => clean(&words.config),
        Some(Command::Doctor(words)) => doctor(words.json),
        Some(Command::Status(words)) => {
            ask(&words.config, Request::Status, words.json, print::status)
        }
        Some(Command::Flows(words)) => ask(&words.config, Request::Flows, words.json, print::flows),
        Some(Command::Reload(words)) => ask(&words.config, Request::Reload, false, |_| {
            "reloaded\n".into()
        }),
        #[cfg(feature = "demo")]
        Some(Command::Demo(words)) => demo::run(&demo::Options {
            modules: words.modules,
            functions: words.function,
        })
        .map_err(|error| tell(&error)),
        Some(Command::Module(words)) => module::main(words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Told) => ExitCode::FAILURE,
    }
}

/// The operator has been told what is wrong.
#[derive(Debug)]
struct Told;

/// The operator's answer; if it cannot be written, that is told instead.
fn say(text: &str) -> Result<(), Told> {
    report::say(text).map_err(|error| {
        log::error!("write to standard output: {error}");
        Told
    })
}

fn tell(error: &dyn std::error::Error) -> Told {
    log::error!("{}", Chain(error));
    Told
}

/// The configuration; all its mistakes go to stderr as they are, for editors that jump to them.
fn load(path: &Path) -> Result<Config, Told> {
    config::load(path).map_err(|problems| {
        eprintln!("{problems}");
        Told
    })
}

fn control_socket(path: &Path) -> Result<PathBuf, Told> {
    config::control_socket(path).map_err(|problems| {
        eprintln!("{problems}");
        Told
    })
}

/// As `run`, up to the kernel: every function is made ready, and given up again.
fn checked(path: &Path) -> Result<Config, Told> {
    let config = load(path)?;
    daemon::modules(path, &config, None).map_err(|text| {
        eprintln!("{text}");
        Told
    })?;
    Ok(config)
}

fn check(path: &Path) -> Result<(), Told> {
    let config = checked(path)?;
    say(&plan(&config, daemon::capture_way(&config)).to_string())
}

/// Also with a file that is wrong by now: what was left behind does not depend on the rest of it.
fn clean(path: &Path) -> Result<(), Told> {
    let socket = control_socket(path)?;
    let undone = setup::clean(&daemon::journal_path(&socket)).map_err(|errors| {
        for error in &errors {
            tell(error);
        }
        Told
    })?;
    let stale = server::remove_stale(&socket).map_err(|e| tell(&e))?;
    match undone + usize::from(stale) {
        0 => say("nothing was left behind\n"),
        1 => say("1 thing undone\n"),
        undone => say(&format!("{undone} things undone\n")),
    }
}

fn doctor(json: bool) -> Result<(), Told> {
    let findings = doctor::probe();
    if json {
        say(&format!("{}\n", status::doctor(&findings)))?;
    } else {
        say(&doctor::table(&findings).to_string())?;
    }
    let lacks = |finding: &doctor::Finding| finding.required && !finding.offered;
    if findings.iter().any(lacks) {
        return Err(Told);
    }
    Ok(())
}

fn ask(
    path: &Path,
    request: Request,
    json: bool,
    print: impl FnOnce(&Value) -> String,
) -> Result<(), Told> {
    let socket = control_socket(path)?;
    let answer = client::ask(&socket, request).map_err(|e| tell(&e))?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        eprintln!("{error}");
        return Err(Told);
    }
    if json {
        say(&format!("{answer}\n"))
    } else {
        say(&print(&answer))
    }
}
