//! What `module check` says, as text for people and as JSON for programs.

use std::fmt::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::module::cases::{Case, Outcome};

/// Lines of a module's log that are shown with a broken promise.
const LOG_LINES: usize = 5;

/// A function as its module describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// The ABI it was built for: `1.0`.
    pub abi: String,
    /// By name, those that this version does not know as bits.
    pub capabilities: Vec<String>,
    /// Of the calls that a function need not have, those it has.
    pub optional_calls: Vec<String>,
}

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Result {
    /// The promise was kept.
    Kept,
    /// It was kept, and yet there is something to say.
    Noted,
    /// It was broken.
    Broken,
    /// There was no use in trying.
    Untried,
}

/// What there is to say of a case.
#[derive(Debug)]
pub struct Verdict {
    /// The case.
    pub case: &'static Case,
    /// How it ended.
    pub result: Result,
    /// What is wrong, or to be said.
    pub text: Option<String>,
    /// If the case came to its end.
    pub outcome: Option<Outcome>,
    /// The last lines of the module's log.
    pub log: String,
    /// How long it took.
    pub took: Duration,
}

/// Everything about one function.
#[derive(Debug)]
pub struct Judged {
    /// The function.
    pub function: Described,
    /// All cases, in their order; none if it could not be tried.
    pub verdicts: Vec<Verdict>,
    /// Why it could not be tried.
    pub refused: Option<String>,
}

impl Described {
    /// For the way from the child to its parent, and for the report.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "version": self.version,
            "summary": self.summary,
            "abi": self.abi,
            "capabilities": self.capabilities,
            "optional_calls": self.optional_calls,
        })
    }

    /// The other end of it.
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let texts = |key: &str| {
            let texts = value[key].as_array()?.iter();
            let texts = texts.map(|text| text.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<String>>>()
        };
        Some(Self {
            name: text("name")?,
            version: text("version")?,
            summary: text("summary")?,
            abi: text("abi")?,
            capabilities: texts("capabilities")?,
            optional_calls: texts("optional_calls")?,
        })
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let Self {
            name,
            version,
            summary,
            abi,
            ..
        } = self;
        writeln!(f, "{name} {version}: {summary}")?;
        writeln!(
            f,
            "  ABI {abi}; capabilities: {}; optional calls: {}",
            list(&self.capabilities),
            list(&self.optional_calls)
        )
    }
}

impl Result {
    fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Noted => "noted",
            Self::Broken => "broken",
            Self::Untried => "untried",
        }
    }
}

impl Verdict {
    /// What people read, after those before it.
    pub fn line(&self, before: &[Self]) -> String {
        let word = match self.result {
            Result::Kept => "ok",
            Result::Noted => "note",
            Result::Broken => "BROKEN",
            Result::Untried => "-",
        };
        let mut line = format!("  {word:<6}  {}", self.case.name);
        let broken = |verdict: &&Self| verdict.result == Result::Broken;
        let last = before.iter().rfind(broken);
        let again = broken(&self) && last.is_some_and(|last| last.text == self.text);
        match &self.text {
            Some(_) if again => line += ": the same",
            Some(text) => line = format!("{line}: {text}"),
            None => {}
        }
        line.push('\n');
        if self.result == Result::Broken && !again {
            let _infallible = writeln!(line, "          promised: {}", self.case.promise);
            for text in last_lines(&self.log) {
                let _infallible = writeln!(line, "          log: {text}");
            }
        }
        line
    }
}

/// The last lines of a log, without what would steer a terminal.
pub fn last_lines(log: &str) -> Vec<String> {
    let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
    last.iter()
        .map(|line| line.replace(char::is_control, " "))
        .collect()
}

impl Judged {
    /// Whether every promise was kept, as far as the cases tell.
    pub fn kept(&self) -> bool {
        let kept = |verdict: &Verdict| matches!(verdict.result, Result::Kept | Result::Noted);
        self.refused.is_none() && self.verdicts.iter().all(kept)
    }

    /// The last lines about a function.
    pub fn summary(&self) -> String {
        let name = &self.function.name;
        if let Some(refused) = &self.refused {
            return format!("{name} could not be tried: {refused}\n");
        }
        let outcomes = || self.verdicts.iter().filter_map(|v| v.outcome.as_ref());
        let flows: usize = outcomes().map(|outcome| outcome.flows).sum();
        let ended = outcomes().filter_map(|outcome| outcome.ended.as_ref());
        let ended: Vec<&(usize, String)> = ended.collect();
        let mut text = String::new();
        if let Some((_, how)) = ended.last() {
            let count: usize = ended.iter().map(|(count, _)| count).sum();
            let _infallible = writeln!(
                text,
                "  {name} ended {count} of {flows} flows itself ({how})."
            );
        }
        if outcomes().any(|outcome| outcome.fickle) {
            text += "  Flows alike gave different bytes, so what came out could not be compared; --inverse can.\n";
        }
        if self.starved() {
            text += "  It let nothing through: --inverse, --argument, --option or --sample may give it what it takes.\n";
        }
        let broken = self.verdicts.iter().filter(|v| v.result == Result::Broken);
        let cases = self.verdicts.len();
        let _infallible = match broken.count() {
            0 if self.kept() => writeln!(
                text,
                "{name} keeps its promises in all {cases} cases ({flows} flows)"
            ),
            broken => writeln!(
                text,
                "{name} breaks its promises in {broken} of {cases} cases"
            ),
        };
        text
    }

    /// Whether it ended all it was given bytes of by itself.
    fn starved(&self) -> bool {
        let large = self
            .verdicts
            .iter()
            .find(|v| v.case.name == "a large stream");
        let outcome = large.and_then(|verdict| verdict.outcome.as_ref());
        outcome.is_some_and(|outcome| {
            let ended = outcome.ended.as_ref();
            ended.is_some_and(|(count, _)| *count == outcome.flows)
        })
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let verdicts = self.verdicts.iter().map(|verdict| {
            let outcome = verdict.outcome.as_ref();
            json!({
                "case": verdict.case.name,
                "promise": verdict.case.promise,
                "result": verdict.result.word(),
                "text": verdict.text,
                "flows": outcome.map(|outcome| outcome.flows),
                "seconds": verdict.took.as_secs_f64(),
                "log": last_lines(&verdict.log),
            })
        });
        let mut value = self.function.to_json();
        value["kept"] = self.kept().into();
        value["refused"] = self.refused.clone().into();
        value["cases"] = verdicts.collect();
        value
    }
}
