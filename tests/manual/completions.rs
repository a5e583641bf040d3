//! `files/completions/`: each shell is asked what it would offer, as a person does with TAB.

use std::collections::BTreeSet;
use std::process::Command;

use crate::{Words, has, helped, path, said};

/// Calls the completion function as bash does for `srv6pipes WORDS…` with the cursor behind the
/// last word, and prints what it offers.
const BASH: &str = r#"
source "$1"
shift
COMP_WORDS=(srv6pipes "$@")
COMP_CWORD=$#
_srv6pipes
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// As `BASH`; zsh's own functions, which need a terminal, print what they are given instead.
const ZSH: &str = r#"
file=$1
shift
words=(srv6pipes "$@")
CURRENT=$#words
_describe() { print -rl -- ${${(P)2}%%:*} }
# A specification is: (what it excludes) or *, the option, [what it is], or a place of an argument.
_arguments() {
    local spec
    for spec; do
        spec=${${spec#\(*\)}#\*}
        [[ $spec == -* ]] && print -r -- ${spec%%\[*}
    done
}
autoload +X -U $file 2>/dev/null
source $file
"#;

fn offers(program: &str, words: &[&str]) -> Vec<String> {
    let mut command = match program {
        "bash" => {
            let mut bash = Command::new("bash");
            bash.args(["--norc", "-c", BASH, "bash"]);
            bash.arg(path("files/completions/srv6pipes.bash"))
                .args(words);
            bash
        }
        "zsh" => {
            let mut zsh = Command::new("zsh");
            zsh.args(["-f", "-c", ZSH, "zsh"]);
            zsh.arg(path("files/completions/_srv6pipes")).args(words);
            zsh
        }
        _ => {
            let mut fish = Command::new("fish");
            let file = path("files/completions/srv6pipes.fish");
            let line = format!("srv6pipes {}", words.join(" "));
            fish.args(["--no-config", "-c"]);
            fish.arg(format!("source '{file}'; complete -C '{line}'"));
            fish
        }
    };
    let answer = said(&mut command);
    let lines = answer.lines().filter(|line| !line.is_empty());
    // fish says behind a tab what it is.
    lines
        .map(|line| line.split('\t').next().unwrap().to_owned())
        .collect()
}

/// All commands and options that `shell` offers.
fn offered(shell: &str) -> Words {
    let helped = helped();
    let mut words = Words::new();
    for command in helped.keys() {
        let before: Vec<&str> = command.split_whitespace().collect();
        let at = |last| offers(shell, &[&before[..], &[last]].concat());
        // Some shells tell long from short only by what is typed already.
        let mut options: BTreeSet<String> = [at("-"), at("--")].concat().into_iter().collect();
        options.retain(|word| word.starts_with('-'));
        assert!(options.remove("--help"), "{shell}: {command}: {options:?}");
        if command.is_empty() {
            options.insert("--help".to_owned());
        }
        if command.is_empty() || command == "module" {
            let commands: BTreeSet<String> = at("")
                .into_iter()
                .filter(|word| !word.starts_with('-'))
                .collect();
            let prefix = format!("{command} ");
            let there: BTreeSet<String> = helped
                .keys()
                .filter_map(|known| {
                    let rest = match command.as_str() {
                        "" => known,
                        _ => known.strip_prefix(&prefix)?,
                    };
                    (!rest.is_empty() && !rest.contains(' ')).then(|| rest.to_owned())
                })
                .collect();
            assert_eq!(commands, there, "{shell}: {command:?}");
        }
        words.insert(command.clone(), options);
    }
    words
}

#[test]
fn bash_offers_what_help_lists() {
    said(Command::new("bash").args(["-n", &path("files/completions/srv6pipes.bash")]));
    assert_eq!(offered("bash"), helped());
}

#[test]
fn zsh_offers_what_help_lists() {
    if has("zsh") {
        said(Command::new("zsh").args(["-n", &path("files/completions/_srv6pipes")]));
        assert_eq!(offered("zsh"), helped());
    }
}

#[test]
fn fish_offers_what_help_lists() {
    if has("fish") {
        said(Command::new("fish").args(["-n", &path("files/completions/srv6pipes.fish")]));
        assert_eq!(offered("fish"), helped());
    }
}

#[test]
fn the_beginning_of_a_word_narrows_it_down() {
    for shell in ["bash", "fish"].into_iter().filter(|shell| has(shell)) {
        assert_eq!(offers(shell, &["mod"]), ["module"], "{shell}");
        assert_eq!(offers(shell, &["module", "b"]), ["bench"], "{shell}");
        let way = ["module", "run", "--direction", "up"];
        assert_eq!(offers(shell, &way), ["upstream"], "{shell}");
    }
}
