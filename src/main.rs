//! The binary: log, words, run, exit code.

use std::io::Write;
use std::process::ExitCode;

use srv6pipes::cli::{Cli, Instead, WRONG_WORDS};
use srv6pipes::{app, report};

fn main() -> ExitCode {
    env_logger::builder()
        .filter_level(log::LevelFilter::Info)
        .parse_default_env()
        .format(|out, record| {
            // procd and systemd stamp the time themselves. Of the names only those of functions
            // matter to people, who do not know our files.
            let (level, target, text) = (record.level(), record.target(), record.args());
            match target.split("::").next() {
                Some("srv6pipes") => writeln!(out, "[{level:<5}] {text}"),
                _ => writeln!(out, "[{level:<5}] {target}: {text}"),
            }
        })
        .init();
    match Cli::from_words() {
        Ok(cli) => app::main(cli),
        Err(Instead::Help(text)) => match report::say(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log::error!("write to standard output: {error}");
                ExitCode::FAILURE
            }
        },
        Err(Instead::Complaint(text)) => {
            eprint!("{text}");
            ExitCode::from(WRONG_WORDS)
        }
    }
}
