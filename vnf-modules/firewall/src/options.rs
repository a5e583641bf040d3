//! The options of a `config function` section → [`Rules`]; every mistake is told, those in files
//! with the file's line.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use srv6pipes_vnf::{Given, Reason, Setup};

use crate::host::{self, Names};
use crate::name_list::NameList;
use crate::pattern::{Patterns, unescape};
use crate::rules::{Action, NameRules, PatternRules, Rule, Rules};

/// Bytes of each direction that are looked at, if `inspect_bytes` says nothing else: heads that
/// browsers send are seldom longer than 4 KiB.
const INSPECT_BYTES: usize = 8192;
/// As many mistakes of one file are told.
const TOLD: usize = 5;
/// A counter's label has room for this much of a name or pattern, bytes.
const MAX_LABEL: usize = 200;

/// Reads them all.
pub fn read(setup: &Setup) -> Result<Rules, Reason> {
    let window = setup.number("inspect_bytes", 64..=65536);
    let window = window.and_then(|bytes| usize::try_from(bytes).ok());
    let actions = [("reset", Action::Reset), ("close", Action::Close)];
    let action = setup.choice("action", &actions);
    let rules = Rules {
        names: names(setup),
        upstream: patterns(setup, "block_pattern", "block_patterns_file"),
        downstream: patterns(setup, "block_answer_pattern", "block_answer_patterns_file"),
        inspect_bytes: window.unwrap_or(INSPECT_BYTES),
        action: action.unwrap_or(Action::Reset),
        passed: setup.counters().open("passed_flows", ""),
        log: setup.log(),
    };
    if !rules.names.any() && rules.upstream.is_none() && rules.downstream.is_none() {
        rules.log.warn("there is no rule: every flow passes");
    }
    Ok(rules)
}

fn names(setup: &Setup) -> NameRules {
    let counters = setup.counters();
    let mut allowed = Names::default();
    for given in setup.list("allow_name") {
        match host::Rule::parse(given.value) {
            Ok(rule) => allowed.add(rule, ()),
            Err(mistake) => setup.complain(&given, mistake),
        }
    }
    let mut blocked = Names::default();
    let mut every = None;
    for given in setup.list("block_name") {
        let rule = || Rule::new(counters, label("name", given.value));
        match host::Rule::parse(given.value) {
            _ if given.value == "*" => every = Some(rule()),
            Ok(name) => blocked.add(name, rule()),
            Err(mistake) => setup.complain(&given, mistake),
        }
    }
    let mut lists = Vec::new();
    for given in setup.list("block_names_file") {
        if let Some(list) = name_list(setup, &given) {
            lists.push((list, Rule::new(counters, file_label(given.value))));
        }
    }
    let unknown = setup.choice("unknown", &[("pass", false), ("block", true)]);
    let kinds = ["kind=tls", "kind=http", "kind=other"];
    NameRules {
        allowed,
        blocked,
        every,
        lists,
        nameless: unknown
            .unwrap_or(false)
            .then(|| Rule::new(counters, "unknown".to_owned())),
        oversized: Rule::new(counters, "oversized".to_owned()),
        unknown: kinds.map(|kind| counters.open("unknown_flows", kind)),
    }
}

fn name_list(setup: &Setup, given: &Given<'_>) -> Option<NameList> {
    let mut mistakes = Mistakes::new(setup, given);
    let text = open(given.value);
    let list = text.and_then(|text| NameList::read(text, |line, what| mistakes.at(line, &what)));
    match list {
        Ok(list) => {
            let (names, bytes) = (list.len(), list.len() * size_of::<u64>());
            let path = given.value;
            setup
                .log()
                .info(format_args!("{names} names from {path}, in {bytes} bytes"));
            Some(list)
        }
        Err(error) => {
            setup.complain(given, Unreadable(given.value, &error));
            None
        }
    }
}

/// The patterns of one direction, out of a list and of files.
fn patterns(setup: &Setup, list: &str, files: &str) -> Option<PatternRules> {
    let counters = setup.counters();
    let mut rules = Vec::new();
    let mut patterns = Vec::new();
    let mut rule_of = Vec::new();
    let given_patterns = setup.list(list);
    for given in &given_patterns {
        match unescape(given.value.as_bytes()) {
            Ok(pattern) => {
                patterns.push(pattern);
                rule_of.push(rules.len());
                rules.push(Rule::new(counters, label("pattern", given.value)));
            }
            Err(mistake) => setup.complain(given, mistake),
        }
    }
    let given_files = setup.list(files);
    for given in &given_files {
        match pattern_file(setup, given) {
            Ok(more) => {
                rule_of.resize(rule_of.len() + more.len(), rules.len());
                patterns.extend(more);
                rules.push(Rule::new(counters, file_label(given.value)));
            }
            Err(error) => setup.complain(given, Unreadable(given.value, &error)),
        }
    }
    let blame = given_files.last().or(given_patterns.last())?;
    match Patterns::new(&patterns) {
        Ok(_) if patterns.is_empty() => None,
        Ok(patterns) => Some(PatternRules::new(patterns, rule_of, rules)),
        Err(error) => {
            setup.complain(blame, format_args!("too many patterns: {error}"));
            None
        }
    }
}

/// One pattern in a line; empty lines and those that begin with `#` do not count.
fn pattern_file(setup: &Setup, given: &Given<'_>) -> io::Result<Vec<Vec<u8>>> {
    let mut mistakes = Mistakes::new(setup, given);
    let mut patterns = Vec::new();
    for (number, line) in (1..).zip(open(given.value)?.split(b'\n')) {
        let line = line?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match unescape(line) {
            Ok(pattern) => patterns.push(pattern),
            Err(mistake) => mistakes.at(number, &mistake),
        }
    }
    Ok(patterns)
}

/// Opens a regular file. Others are not opened: a named pipe would wait for a writer.
fn open(path: &str) -> io::Result<BufReader<File>> {
    let wrong = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    if !path.starts_with('/') {
        return wrong("the path must begin with /");
    }
    if !Path::new(path).metadata()?.is_file() {
        return wrong("it is no regular file");
    }
    Ok(BufReader::new(File::open(path)?))
}

/// A file, and why it is not read.
struct Unreadable<'a>(&'a str, &'a io::Error);

impl Display for Unreadable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot read {}: {}", self.0, self.1)
    }
}

/// The mistakes of one file: the first ones are told, of the others how many they are.
struct Mistakes<'s, 'g> {
    setup: &'s Setup<'s>,
    given: &'g Given<'g>,
    count: usize,
}

impl<'s, 'g> Mistakes<'s, 'g> {
    fn new(setup: &'s Setup<'s>, given: &'g Given<'g>) -> Self {
        Self {
            setup,
            given,
            count: 0,
        }
    }

    fn at(&mut self, line: usize, what: &dyn Display) {
        self.count += 1;
        if self.count <= TOLD {
            let path = self.given.value;
            self.setup
                .complain(self.given, format_args!("{path}:{line}: {what}"));
        }
    }
}

impl Drop for Mistakes<'_, '_> {
    fn drop(&mut self) {
        if let Some(more @ 1..) = self.count.checked_sub(TOLD) {
            let path = self.given.value;
            self.setup
                .complain(self.given, format_args!("{path}: and {more} more lines"));
        }
    }
}

/// `KIND:VALUE`, cut to what a counter's label has room for.
fn label(kind: &str, value: &str) -> String {
    let mut label = format!("{kind}:{value}");
    label.truncate(label.floor_char_boundary(MAX_LABEL));
    label
}

fn file_label(path: &str) -> String {
    let name = Path::new(path).file_name().unwrap_or_default();
    label("file", &name.to_string_lossy())
}
