//! The binary: log, words, run, exit code.

use std::process::ExitCode;

use srv6pipes::cli::{Cli, Instead, WRONG_WORDS};
use srv6pipes::{app, report};

fn main() -> ExitCode {
    // procd and systemd stamp the time themselves.
    env_logger::builder()
        .filter_level(log::LevelFilter::Info)
        .parse_default_env()
        .format_timestamp(None)
        .format_target(false)
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
