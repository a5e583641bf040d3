//! The shipped `/etc/config/srv6pipes` is the manual: it must parse, with its examples and
//! without, and say of every option what the table of options says.

use std::collections::HashSet;

use srv6pipes::config::schema::{Absent, Allowed, SectionKind, Spec, TABLE};
use srv6pipes::config::{self, uci};

const SHIPPED: &str = include_str!("../files/etc/config/srv6pipes");

#[test]
fn as_shipped_it_changes_nothing() {
    let config = config::parse(SHIPPED.as_bytes()).unwrap();
    assert!(!config.main.enabled);
    let empty = config::parse(b"config srv6pipes 'main'").unwrap();
    assert_eq!(config, empty);
}

#[test]
fn the_examples_are_right() {
    let config = config::parse(uncommented().as_bytes()).unwrap();
    let shipped = config::parse(SHIPPED.as_bytes()).unwrap();
    assert_eq!(
        config.main, shipped.main,
        "what is commented out in main is the default"
    );
    let counts = (
        config.locators.len(),
        config.functions.len(),
        config.policies.len(),
        config.returns.len(),
    );
    assert_eq!(counts, (1, 2, 1, 1));
    let own = &config.functions[1].options;
    let own: Vec<_> = own.iter().map(|option| &*option.key).collect();
    assert_eq!(own, ["client_rate"]);
    let enabled = uncommented().replace("enabled '0'", "enabled '1'");
    assert!(config::parse(enabled.as_bytes()).unwrap().main.enabled);
}

#[test]
fn every_option_is_there_with_its_default() {
    let text = uci::parse(&uncommented());
    assert_eq!(text.mistakes, []);
    for spec in TABLE {
        let sections = text
            .sections
            .iter()
            .filter(|section| kind(section) == spec.section);
        let entries: Vec<_> = sections
            .flat_map(|section| &section.entries)
            .filter(|entry| entry.name == spec.name && entry.list == spec.list)
            .collect();
        let values: Vec<&str> = entries.iter().map(|entry| entry.value.as_str()).collect();
        match spec.absent {
            Absent::Default(default) => assert_eq!(values, [default], "{spec}"),
            Absent::Empty | Absent::Refused => assert!(!values.is_empty(), "{spec}"),
        }
        check_comment(spec, usize::try_from(entries[0].line).unwrap());
    }
}

/// One line of English above it, with the range or the words that are allowed.
fn check_comment(spec: &Spec, line: usize) {
    let above = SHIPPED.lines().nth(line - 2).unwrap_or("").trim_start();
    assert!(
        above.starts_with("# ") && above.ends_with(['.', '!']),
        "{spec}: {above}"
    );
    match spec.allowed {
        Allowed::Number(least, most) | Allowed::HexNumber(least, most) => {
            assert!(
                above.contains(&format!("{least} to {most}")),
                "{spec}: {above}"
            );
        }
        Allowed::Word(words) => {
            assert!(
                words.iter().all(|word| above.contains(word)),
                "{spec}: {above}"
            );
        }
        _ => {}
    }
}

#[test]
fn the_table_names_each_option_once_and_its_defaults_are_allowed() {
    let mut seen = HashSet::new();
    for spec in TABLE {
        assert!(seen.insert((spec.section.word(), spec.name)), "{spec}");
        if let (Absent::Default(text), Allowed::Number(..)) = (spec.absent, spec.allowed) {
            assert!(spec.allowed.number(text).is_ok(), "{spec}");
        }
    }
    for kind in SectionKind::ALL {
        assert_eq!(SectionKind::of_word(kind.word()), Some(kind));
        assert!(kind.specs().count() > 0);
    }
}

fn kind(section: &uci::Section) -> SectionKind {
    SectionKind::of_word(&section.kind).expect("the manual has only sections that we know")
}

/// As its own first lines tell: the lines with a `#` before `config` or a tab come to life.
fn uncommented() -> String {
    let mut text = String::new();
    for line in SHIPPED.lines() {
        let alive = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with("config ") || rest.starts_with('\t'));
        text.push_str(alive.unwrap_or(line));
        text.push('\n');
    }
    text
}
