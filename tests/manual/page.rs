//! `files/man/srv6pipes.8`: its form, its commands and options, its sections of the configuration.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use srv6pipes::config::schema::{Absent, Allowed, SectionKind, Spec, TABLE};

use crate::{Words, has, helped, path, said};

const PAGE: &str = "files/man/srv6pipes.8";

/// Its lines from the heading `from` up to the next one of its kind.
fn section(from: &str) -> Vec<String> {
    let text = fs::read_to_string(path(PAGE)).unwrap();
    let kind = &from[..3];
    let lines = text.lines().skip_while(|line| *line != from).skip(1);
    let lines = lines.take_while(|line| !line.starts_with(kind) && !line.starts_with(".Sh"));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    assert!(!lines.is_empty(), "the page has no {from}");
    lines
}

#[test]
fn formatters_have_nothing_to_complain_of() {
    let page = path(PAGE);
    if has("mandoc") {
        // Not what mandoc calls style: it looks whether other pages are installed here.
        let lint = said(Command::new("mandoc").args(["-Tlint", "-Wwarning", &page]));
        assert_eq!(lint, "");
    }
    if has("man") {
        let mut man = Command::new("man");
        man.args(["--warnings", "--encoding=UTF-8", "--local-file", &page]);
        let text = said(man.env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8"));
        assert!(text.contains("middleboxes for TCP"), "{text}");
    }
}

#[test]
fn it_has_the_commands_and_options_of_the_command_line_and_no_others() {
    let mut written = Words::new();
    let mut command = String::new();
    for line in section(".Sh COMMANDS") {
        if let Some(heading) = line.strip_prefix(".Ss srv6pipes ") {
            command = heading.to_owned();
        }
        let options = written.entry(command.clone()).or_default();
        if let Some(item) = line.strip_prefix(".It ") {
            let words: Vec<&str> = item.split(' ').collect();
            let flags = words.windows(2).filter(|pair| pair[0] == "Fl");
            options.extend(flags.map(|pair| format!("-{}", pair[1])));
        }
    }
    let mut helped = helped();
    // A heading would have nothing to say that its commands do not.
    assert_eq!(helped.remove("module"), Some(BTreeSet::new()));
    assert_eq!(written, helped);
}

#[test]
fn it_has_every_section_and_option_of_the_configuration_and_no_others() {
    for kind in SectionKind::ALL {
        let heading = match kind {
            SectionKind::Main => ".Ss config srv6pipes 'main'".to_owned(),
            kind => format!(".Ss config {kind}"),
        };
        let lines = section(&heading);
        let items: Vec<&String> = lines.iter().filter(|l| l.starts_with(".It ")).collect();
        let specs: Vec<String> = kind.specs().map(item).collect();
        assert_eq!(items, specs.iter().collect::<Vec<_>>(), "{heading}");
        for spec in kind.specs() {
            let item = item(spec);
            let text = lines.iter().skip_while(|line| **line != item).skip(1);
            let text: Vec<&str> = text
                .take_while(|line| !line.starts_with(".It "))
                .map(String::as_str)
                .collect();
            check_text(spec, &text.join(" "));
        }
    }
    let sections = section(".Sh CONFIGURATION");
    let sections = sections.iter().filter(|line| line.starts_with(".Ss "));
    assert_eq!(sections.count(), SectionKind::ALL.len());
    assert!(!TABLE.is_empty());
}

/// The line that begins to tell of `spec`.
fn item(spec: &Spec) -> String {
    let absent = match spec.absent {
        Absent::Default(text) => format!("default Li {text}"),
        Absent::Empty => "optional".to_owned(),
        Absent::Refused => "required".to_owned(),
    };
    format!(".It Cm {} {} Pq {absent}", spec.command(), spec.name)
}

/// Ranges and words are as the table of options has them.
fn check_text(spec: &Spec, text: &str) {
    match spec.allowed {
        Allowed::Number(least, most) | Allowed::HexNumber(least, most) => {
            assert!(
                text.contains(&format!("{least} to {most}")),
                "{spec}: {text}"
            );
        }
        Allowed::Word(words) => {
            let word = |word: &&str| text.contains(&format!(".Li {word}"));
            assert!(words.iter().all(word), "{spec}: {text}");
        }
        _ => assert!(!text.is_empty(), "{spec}"),
    }
}

#[test]
fn its_date_and_exit_codes_are_there() {
    let codes = section(".Sh EXIT STATUS");
    let codes: Vec<&str> = codes
        .iter()
        .filter_map(|line| line.strip_prefix(".It "))
        .collect();
    let [not_enabled, wrong] = [srv6pipes::cli::NOT_ENABLED, srv6pipes::cli::WRONG_WORDS];
    assert_eq!(
        codes,
        ["0", "1", &not_enabled.to_string(), &wrong.to_string()]
    );
}
