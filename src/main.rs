//! The binary: log, words, run, exit code.

use std::process::ExitCode;

use srv6pipes::app;
use srv6pipes::cli::Cli;

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
        Err(code) => code,
    }
}
