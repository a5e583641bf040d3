//! `srv6pipes module …`: from the words to what they are about.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::app::{Told, tell};
use crate::cli::module::{Bench, Check, Command, Module, Run};
use crate::module::open::{Choice, Named};
use crate::module::{bench, check, run};

/// Does what the words say.
pub fn main(module: Module) -> Result<(), Told> {
    match module.command {
        Command::Check(words) => check(words),
        Command::Run(words) => run(words),
        Command::Bench(words) => bench(words),
    }
}

fn check(words: Check) -> Result<(), Told> {
    let sample = words.sample.map(read).transpose()?;
    let (argument, options) = (words.argument, words.option);
    let own = (words.inverse_argument, words.inverse_option);
    let inverse = words
        .inverse
        .map(|name| other(name, own, argument, &options));
    let options = check::Options {
        file: words.file,
        function: words.function,
        argument,
        options,
        inverse,
        sample,
        cases: words.case,
        patience: Duration::from_secs(words.patience.max(1).into()),
        json: words.json,
    };
    match check::run(&options, &mut io::stdout()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Told),
        Err(error) => Err(tell(&error)),
    }
}

fn run(words: Run) -> Result<(), Told> {
    let (argument, options) = (words.argument, words.option);
    let own = (words.pair_argument, words.pair_option);
    let pair = words.pair.map(|name| other(name, own, argument, &options));
    let options = run::Options {
        file: words.file,
        function: Choice {
            name: words.function,
            argument,
            options,
        },
        direction: words.direction,
        pair,
        chunk: words.chunk,
    };
    run::run(&options).map_err(|error| tell(&error))
}

fn bench(words: Bench) -> Result<(), Told> {
    let sample = words.sample.map(read).transpose()?;
    let (argument, options) = (words.argument, words.option);
    let own = (words.inverse_argument, words.inverse_option);
    let inverse = words
        .inverse
        .map(|name| other(name, own, argument, &options));
    let options = bench::Options {
        file: words.file,
        function: Choice {
            name: words.function,
            argument,
            options,
        },
        inverse,
        sample,
        rounds: words.rounds,
        json: words.json,
    };
    bench::run(&options, &mut io::stdout()).map_err(|error| tell(&error))
}

/// What is said of one function holds for its inverse if nothing is said of that.
fn other(
    name: String,
    own: (Option<u32>, Vec<(String, String)>),
    argument: u32,
    options: &[(String, String)],
) -> Named {
    let (own_argument, own_options) = own;
    Named {
        name,
        argument: own_argument.unwrap_or(argument),
        options: if own_options.is_empty() {
            options.to_vec()
        } else {
            own_options
        },
    }
}

fn read(path: PathBuf) -> Result<Vec<u8>, Told> {
    fs::read(&path).map_err(|error| {
        log::error!("read {}: {error}", path.display());
        Told
    })
}
