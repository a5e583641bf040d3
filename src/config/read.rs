//! Sections → [`Config`]: meaning. The second step of reading the configuration.
//!
//! Reads on behind every mistake, so that the operator sees all of them at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::config::fields::Fields;
use crate::config::mark::PathNumber;
use crate::config::model::{Config, Function, Locator, Main, Policy, ReturnPath};
use crate::config::nearest::nearest;
use crate::config::numbers::Numbers;
use crate::config::problem::{Problem, ProblemKind};
use crate::config::schema::{self, SectionKind};
use crate::config::uci::{Section, Text};
use crate::config::value;

/// Makes a configuration of what the grammar found.
///
/// # Errors
/// All mistakes, those of the grammar too, sorted by line.
pub fn config(text: &Text) -> Result<Config, Vec<Problem>> {
    let mut problems: Vec<Problem> = Vec::new();
    let grammar = text.mistakes.iter().map(|(line, mistake)| Problem {
        line: *line,
        kind: ProblemKind::Grammar(mistake.clone()),
    });
    problems.extend(grammar);
    for (line, name) in text.packages.iter().filter(|(_, name)| name != "srv6pipes") {
        problems.push(Problem {
            line: *line,
            kind: ProblemKind::OtherPackage(name.clone()),
        });
    }
    let kinds = kinds(&text.sections, &mut problems);
    let of_kind = |wanted: SectionKind| {
        let pairs = kinds.iter().zip(&text.sections);
        pairs.filter_map(move |(&kind, section)| (kind == Some(wanted)).then_some(section))
    };

    let has_work = text.damaged
        || kinds.contains(&Some(SectionKind::Locator))
        || kinds.contains(&Some(SectionKind::Policy));
    let mut main = None;
    let mut first_main = None;
    for section in of_kind(SectionKind::Main) {
        let read = self::main(section, has_work, &mut problems);
        if let Some(first) = first_main {
            complain(&mut problems, section.line, ProblemKind::MainTwice(first));
        } else {
            first_main = Some(section.line);
            main = read;
        }
    }
    if first_main.is_none() && !text.damaged {
        complain(&mut problems, 0, ProblemKind::MainMissing);
    }

    let mut locators = Vec::new();
    for (index, section) in of_kind(SectionKind::Locator).enumerate() {
        locators.extend(locator(section, index, &mut problems));
    }
    let mut functions = Vec::new();
    for section in of_kind(SectionKind::Function) {
        functions.extend(function(section, &mut problems));
    }
    let mut policies = Vec::new();
    for (index, section) in of_kind(SectionKind::Policy).enumerate() {
        policies.extend(policy(section, index, &mut problems));
    }
    let mut returns = Vec::new();
    for section in of_kind(SectionKind::Return) {
        returns.extend(return_path(section, &mut problems));
    }

    let prefixes = locators
        .iter()
        .map(|locator| (locator.prefix, locator.line));
    doubles(prefixes, ProblemKind::LocatorTwice, &mut problems);
    let ids = functions
        .iter()
        .map(|function| (function.id, function.line));
    doubles(ids, ProblemKind::FunctionTwice, &mut problems);
    let devices = returns.iter().map(|path| (path.device.clone(), path.line));
    doubles(devices, ProblemKind::ReturnTwice, &mut problems);

    let policy_lines = policies.iter().map(|policy| policy.line);
    let mut lines: Vec<u32> = policy_lines
        .chain(returns.iter().map(|path| path.line))
        .collect();
    lines.sort_unstable();
    if let Some(&line) = lines.get(PathNumber::MAX) {
        complain(&mut problems, line, ProblemKind::TooManyPaths(lines.len()));
    }

    problems.sort_by_key(|problem| problem.line);
    match main {
        Some(main) if problems.is_empty() => Ok(Config {
            main,
            locators,
            functions,
            policies,
            returns,
            numbers: Numbers::default(),
        }),
        _ => Err(problems),
    }
}

/// The sections' types, and complaints about their types and names.
fn kinds(sections: &[Section], problems: &mut Vec<Problem>) -> Vec<Option<SectionKind>> {
    let mut names: HashMap<&str, &Section> = HashMap::new();
    let mut kinds = Vec::with_capacity(sections.len());
    for section in sections {
        let kind = SectionKind::of_word(&section.kind);
        kinds.push(kind);
        let is_main = section.name.as_deref() == Some("main");
        match kind {
            None => {
                let words = SectionKind::ALL.map(SectionKind::word);
                let unknown = ProblemKind::UnknownSection(
                    section.kind.clone(),
                    nearest(&section.kind, words),
                );
                complain(problems, section.line, unknown);
            }
            Some(SectionKind::Main) if !is_main => {
                complain(problems, section.line, ProblemKind::MainName);
            }
            Some(_) => {}
        }
        // uci would melt both into one section. Two mains have a complaint of their own.
        if let Some(name) = &section.name
            && let Some(first) = names.insert(name, section)
            && (kind != Some(SectionKind::Main) || first.kind != section.kind)
        {
            let twice = ProblemKind::SectionTwice(name.clone(), first.line);
            complain(problems, section.line, twice);
        }
    }
    kinds
}

fn main(section: &Section, has_work: bool, problems: &mut Vec<Problem>) -> Option<Main> {
    let mut fields = Fields::new(section, SectionKind::Main, problems);
    let enabled = fields.one(&schema::ENABLED, value::switch);
    if enabled == Some(true) && !has_work {
        let line = fields.line_of(&schema::ENABLED);
        fields.complain(line, ProblemKind::NothingToDo);
    }
    let threads = fields.number(&schema::THREADS);
    let capture = fields.one(&schema::CAPTURE, str::parse);
    let module_dir = fields.path(&schema::MODULE_DIR);
    let control_socket = fields.path(&schema::CONTROL_SOCKET);
    let max_flows = fields.number(&schema::MAX_FLOWS);
    let idle_timeout = fields.number(&schema::IDLE_TIMEOUT);
    let connect_timeout = fields.number(&schema::CONNECT_TIMEOUT);
    let tuning = fields.one(&schema::TUNING, value::switch);
    let port = fields.number(&schema::PORT);
    let queue = fields.number(&schema::QUEUE);
    let mark = fields.one(&schema::MARK, str::parse);
    let table = fields.number(&schema::ROUTING_TABLE);
    let preference = fields.number(&schema::PREFERENCE);
    Some(Main {
        enabled: enabled?,
        threads: threads?,
        capture: capture?,
        module_dir: module_dir?,
        control_socket: control_socket?,
        max_flows: max_flows?,
        idle_timeout: idle_timeout.map(Duration::from_secs)?,
        connect_timeout: connect_timeout.map(Duration::from_secs)?,
        tuning: tuning?,
        port: port?,
        queue: queue?,
        mark: mark?,
        table: table?,
        preference: preference?,
    })
}

fn locator(section: &Section, index: usize, problems: &mut Vec<Problem>) -> Option<Locator> {
    let mut fields = Fields::new(section, SectionKind::Locator, problems);
    let prefix = fields.one(&schema::PREFIX, value::prefix);
    let devices = fields.many(&schema::LOCATOR_DEVICE, str::parse);
    let sources = fields.many(&schema::SOURCE, str::parse);
    let on_failure = fields.one(&schema::ON_FAILURE, str::parse);
    Some(Locator {
        name: name(section, index),
        prefix: prefix?,
        devices: devices?,
        sources: sources?,
        on_failure: on_failure?,
        line: section.line,
    })
}

fn function(section: &Section, problems: &mut Vec<Problem>) -> Option<Function> {
    let mut fields = Fields::new(section, SectionKind::Function, problems);
    let id = fields.number(&schema::ID);
    let module = fields.one(&schema::MODULE, value::module);
    let name = fields.one(&schema::NAME, value::text);
    let on_failure = fields.one(&schema::FUNCTION_ON_FAILURE, str::parse);
    Some(Function {
        id: id?,
        module: module?,
        name: name?,
        on_failure: on_failure?,
        options: fields.others(),
        line: section.line,
    })
}

fn policy(section: &Section, index: usize, problems: &mut Vec<Problem>) -> Option<Policy> {
    let mut fields = Fields::new(section, SectionKind::Policy, problems);
    let devices = fields.many(&schema::POLICY_DEVICE, str::parse);
    let dests = fields.many(&schema::DEST, str::parse);
    let ports = fields.many(&schema::POLICY_PORT, str::parse);
    let segments = fields.any(&schema::SEGMENT, value::segment);
    if let Some(segments) = &segments
        && segments.len() > Policy::MAX_SEGMENTS
    {
        let line = fields.line_of(&schema::SEGMENT);
        fields.complain(line, ProblemKind::TooManySegments(segments.len()));
    }
    let mtu = fields.number(&schema::MTU);
    Some(Policy {
        name: name(section, index),
        devices: devices?,
        dests: dests?,
        ports: ports?,
        segments: segments?,
        mtu: mtu?,
        line: section.line,
    })
}

fn return_path(section: &Section, problems: &mut Vec<Problem>) -> Option<ReturnPath> {
    let mut fields = Fields::new(section, SectionKind::Return, problems);
    let device = fields.one(&schema::RETURN_DEVICE, str::parse);
    let gateway = fields.one(&schema::GATEWAY, value::next_hop);
    Some(ReturnPath {
        device: device?,
        gateway: gateway?,
        line: section.line,
    })
}

/// A section without a name is called by its type and number: no name has a blank in it.
fn name(section: &Section, index: usize) -> String {
    let number = || format!("{} {}", section.kind, index + 1);
    section.name.clone().unwrap_or_else(number)
}

fn doubles<T: Hash + Eq>(
    keys: impl Iterator<Item = (T, u32)>,
    kind: impl Fn(T, u32) -> ProblemKind,
    problems: &mut Vec<Problem>,
) {
    let mut seen: HashMap<T, u32> = HashMap::new();
    for (key, line) in keys {
        if let Some(&first) = seen.get(&key) {
            complain(problems, line, kind(key, first));
        } else {
            seen.insert(key, line);
        }
    }
}

fn complain(problems: &mut Vec<Problem>, line: u32, kind: ProblemKind) {
    problems.push(Problem { line, kind });
}

#[cfg(test)]
mod tests {
    use crate::config::mark::PathNumber;
    use crate::config::model::PathKind;
    use crate::config::parse;
    use crate::config::problem::ProblemKind;

    #[test]
    fn returns_are_numbered_behind_policies_wherever_they_stand() {
        let text = b"config srv6pipes main
config return
\toption device wan
\toption gateway fe80::1
config policy
\tlist device lan
\tlist segment 2001:db8::1
";
        let config = parse(text).unwrap();
        let paths: Vec<_> = config.paths().collect();
        assert_eq!(
            paths,
            [
                (
                    PathNumber::from_index(0).unwrap(),
                    PathKind::Policy(&config.policies[0])
                ),
                (
                    PathNumber::from_index(1).unwrap(),
                    PathKind::Return(&config.returns[0])
                ),
            ]
        );
        assert_eq!((config.returns[0].line, config.policies[0].line), (2, 5));
        assert_eq!(config.policies[0].name, "policy 1");
    }

    #[test]
    fn doubles_are_found_within_one_line_too() {
        let rest = "o id '1' ; o module 'a.so' ; o name 'a'";
        let text = format!("c srv6pipes main\nc function a ; {rest} ; c function b ; {rest}\n");
        let kinds: Vec<_> = parse(text.as_bytes())
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.kind)
            .collect();
        assert_eq!(kinds, [ProblemKind::FunctionTwice(1, 2)]);
    }

    #[test]
    fn modules_are_looked_up_in_their_folder_unless_absolute() {
        let text = b"config srv6pipes main
\toption module_dir /m
config function
\toption id 1
\toption module a.so
\toption name a
config function
\toption id 2
\toption module /b.so
\toption name b
";
        let config = parse(text).unwrap();
        let files: Vec<_> = config
            .functions
            .iter()
            .map(|function| config.main.module_file(function))
            .collect();
        assert_eq!(files, ["/m/a.so", "/b.so"].map(std::path::PathBuf::from));
    }
}
