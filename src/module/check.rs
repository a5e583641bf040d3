//! `module check`: every case against every function of a module, each in a child process.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use srv6pipes_vnf::abi;

use crate::module::apart::{self, Call, End, Patience};
use crate::module::broke::{Broke, What};
use crate::module::cases::{self, Case, Outcome};
use crate::module::feed::BOTH;
use crate::module::open::{self, Named};
use crate::module::samples;
use crate::module::subject::{Act, Inverse, Plan, Subject};
use crate::module::verdict::{Described, Judged, Result as Judgement, Verdict, last_lines};
use crate::sys::guarded::Edge;
use crate::vnf::Library;
use crate::vnf::table::Description;

/// What one case may take altogether.
const CASE: Duration = Duration::from_secs(60);
/// Cases that may hang before the others are left out: they would, too.
const SLOW: usize = 2;

/// What is to be checked, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The module's file.
    pub file: PathBuf,
    /// Which function; all of them if `None`.
    pub function: Option<String>,
    /// The argument of the flows.
    pub argument: u32,
    /// The options of the section.
    pub options: Vec<(String, String)>,
    /// The function of the same module that undoes it, and its section; its name first.
    pub inverse: Option<Named>,
    /// Bytes to feed.
    pub sample: Option<Vec<u8>>,
    /// Only cases whose name has one of these in it; all of them if there is none.
    pub cases: Vec<String>,
    /// How long a call may take.
    pub patience: Duration,
    /// One JSON document instead of text.
    pub json: bool,
}

/// Why nothing could be checked.
#[derive(Debug)]
pub enum Error {
    /// The module is not loaded.
    Open(open::Error),
    /// Why it is not, from the child that tried.
    Refused(String),
    /// The module ended the child that loaded it.
    Died(End, String),
    /// We could not do our part.
    Ours(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Refused(text) => f.write_str(text),
            Self::Died(end, log) => {
                end.fmt(f)?;
                let mut lines = last_lines(log).into_iter();
                lines.try_for_each(|line| write!(f, "\nlog: {line}"))
            }
            Self::Ours(error) => write!(f, "check the module: {error}"),
        }
    }
}

// No source(): Display says it all, and a chain would print it twice.
impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Ours(error)
    }
}

/// Checks, and says what it finds while it goes on; whether all promises were kept.
///
/// # Errors
/// When the module cannot be loaded or the function is not in it.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<bool, Error> {
    open::trusted(&options.file).map_err(Error::Open)?;
    let functions = describe(options)?;
    let mut text = Text {
        out,
        silent: options.json,
    };
    let count = functions.len();
    text.say(&format!(
        "{}: {count} {}\n",
        options.file.display(),
        if count == 1 { "function" } else { "functions" }
    ))?;
    let chosen = functions.iter().filter(|function| {
        let named = options.function.as_ref();
        named.is_none_or(|named| *named == function.name)
    });
    let mut judged = Vec::new();
    for function in chosen {
        judged.push(judge(function, options, &mut text)?);
    }
    let kept = judged.iter().all(Judged::kept);
    if options.json {
        let functions: Vec<Value> = judged.iter().map(Judged::to_json).collect();
        let file = options.file.display().to_string();
        let report = json!({"file": file, "kept": kept, "functions": functions});
        text.silent = false;
        text.say(&format!("{report}\n"))?;
    }
    Ok(kept)
}

/// Where the text goes while there is any.
struct Text<'a> {
    out: &'a mut dyn Write,
    silent: bool,
}

impl Text<'_> {
    fn say(&mut self, text: &str) -> io::Result<()> {
        if self.silent {
            return Ok(());
        }
        self.out.write_all(text.as_bytes())?;
        // A child would have what is not yet written, too.
        self.out.flush()
    }
}

/// What the module offers, read in a child: its constructors may do anything.
fn describe(options: &Options) -> Result<Vec<Described>, Error> {
    let patience = Patience {
        call: options.patience,
        all: CASE,
    };
    let report = apart::run(patience, || {
        let library = Call::Load.marked(|| open::library(&options.file));
        let named = library.and_then(|library| {
            if let Some(name) = &options.function {
                open::choose(&library, Some(name))?;
            }
            if let Some(inverse) = &options.inverse {
                open::choose(&library, Some(&inverse.name))?;
            }
            Ok(described(&library))
        });
        match named {
            Ok(functions) => json!({ "functions": functions }),
            Err(error) => json!({"error": error.to_string()}),
        }
        .to_string()
        .into_bytes()
    })?;
    let said = report.said.map_err(|end| Error::Died(end, report.log))?;
    let said: Value = serde_json::from_slice(&said).unwrap_or_default();
    if let Some(error) = said["error"].as_str() {
        return Err(Error::Refused(error.to_owned()));
    }
    let functions = said["functions"].as_array();
    let functions = functions.and_then(|f| f.iter().map(Described::from_json).collect());
    functions.ok_or_else(|| Error::Ours(io::Error::other("the child did not make itself clear")))
}

fn described(library: &Library) -> Vec<Value> {
    let functions = library.functions().iter();
    let functions = functions.map(|function| Described {
        name: function.name.clone(),
        version: function.version.clone(),
        summary: function.summary.clone(),
        abi: format!("{}.{}", abi::ABI_MAJOR, function.abi_minor),
        capabilities: capabilities(function),
        optional_calls: function
            .optional_calls()
            .into_iter()
            .map(str::to_owned)
            .collect(),
    });
    functions.map(|function| function.to_json()).collect()
}

fn capabilities(function: &Description) -> Vec<String> {
    let known = [
        (abi::CAP_PASS_AT_ONCE, "passes at once"),
        (abi::CAP_READS_FILES, "reads files"),
        (abi::CAP_SPEAKS_FIRST, "speaks first"),
        (abi::CAP_FAILS_CLOSED, "fails closed"),
    ];
    let set = |bit| function.capabilities & bit != 0;
    let names = known.iter().filter(|(bit, _)| set(*bit));
    let mut names: Vec<String> = names.map(|(_, name)| (*name).to_owned()).collect();
    let unknown = known.iter().fold(u64::MAX, |bits, (bit, _)| bits & !bit);
    if set(unknown) {
        names.push(format!("unknown {:#x}", function.capabilities & unknown));
    }
    names
}

fn judge(function: &Described, options: &Options, text: &mut Text<'_>) -> Result<Judged, Error> {
    text.say(&format!("\n{function}"))?;
    let named = |name: &str| Named {
        name: name.to_owned(),
        argument: options.argument,
        options: options.options.clone(),
    };
    let mut plan = Plan {
        file: options.file.clone(),
        function: named(&function.name),
        inverse: options.inverse.clone().map(|function| Inverse {
            function,
            first: true,
        }),
        sample: options.sample.clone(),
        patience: options.patience,
    };
    let mut judged = Judged {
        function: function.clone(),
        verdicts: Vec::new(),
        refused: None,
    };
    judged.refused = trial(&mut plan)?;
    if judged.refused.is_none() {
        let mut slow = 0;
        let there = |call: &str| function.optional_calls.iter().any(|has| has == call);
        let wanted = |case: &&Case| {
            let named = &options.cases;
            case.needs.is_none_or(there)
                && (named.is_empty() || named.iter().any(|part| case.name.contains(part)))
        };
        for case in cases::ALL.iter().filter(wanted) {
            let verdict = if slow < SLOW {
                try_case(case, &plan, &mut slow)?
            } else {
                untried(case)
            };
            text.say(&verdict.line(&judged.verdicts))?;
            judged.verdicts.push(verdict);
        }
    }
    text.say(&judged.summary())?;
    Ok(judged)
}

/// Whether the function can be tried at all, and in which order it and its inverse undo each
/// other; why not.
fn trial(plan: &mut Plan) -> Result<Option<String>, Error> {
    let mut reasons = Vec::new();
    let orders: &[bool] = match plan.inverse {
        Some(_) => &[true, false],
        None => &[true],
    };
    for &first in orders {
        if let Some(inverse) = &mut plan.inverse {
            inverse.first = first;
        }
        let report = apart::run(patience(plan), || match begin(plan) {
            Ok(()) => b"ok".to_vec(),
            Err(broke) => broke.to_string().into_bytes(),
        })?;
        match report.said {
            Ok(said) if said == b"ok" => return Ok(None),
            // What kills it will do so in a case, too, which has a name.
            Err(_) if plan.inverse.is_none() => return Ok(None),
            Ok(said) => reasons.push(String::from_utf8_lossy(&said).into_owned()),
            Err(end) => reasons.push(end.to_string()),
        }
        reasons.extend(last_lines(&report.log));
    }
    reasons.dedup();
    Ok(Some(reasons.join("\n  ")))
}

/// The function takes its options and a flow; with an inverse, a stream goes through both.
fn begin(plan: &Plan) -> Result<(), Broke> {
    let mut subject = Subject::new(plan, Edge::Back)?;
    let tried = subject.flow(1).map(drop).and_then(|()| {
        let Some(inverse) = &plan.inverse else {
            return Ok(());
        };
        let streams = BOTH.map(|direction| samples::small(plan.sample.as_deref(), direction));
        let acts = [
            Act::Last(BOTH[0], &streams[0]),
            Act::Last(BOTH[1], &streams[1]),
        ];
        let tried = subject.reference(&acts).map(drop);
        tried.map_err(|broke| {
            let place = if inverse.first { "before" } else { "behind" };
            let name = &inverse.function.name;
            broke.when(|| format!("with '{name}' {place} it, seen from the client"))
        })
    });
    subject.done();
    match tried {
        // Only what keeps the cases from being tried; the rest they will find themselves.
        Err(Broke {
            what: What::Answer(_) | What::Endless(..) | What::Waits(_),
            ..
        }) if plan.inverse.is_none() => Ok(()),
        tried => tried,
    }
}

fn patience(plan: &Plan) -> Patience {
    Patience {
        call: plan.patience,
        all: CASE,
    }
}

fn try_case(case: &'static Case, plan: &Plan, slow: &mut usize) -> Result<Verdict, Error> {
    let report = apart::run(patience(plan), || {
        case.run(plan).to_json().to_string().into_bytes()
    })?;
    let outcome = report.said.map(|said| {
        let said = serde_json::from_slice(&said).unwrap_or_default();
        Outcome::from_json(&said)
    });
    let (result, text, outcome) = match outcome {
        Ok(Some(outcome)) => {
            *slow += outcome.slow;
            let result = match (outcome.kept, &outcome.text) {
                (false, _) => Judgement::Broken,
                (true, Some(_)) => Judgement::Noted,
                (true, None) => Judgement::Kept,
            };
            (result, outcome.text.clone(), Some(outcome))
        }
        Ok(None) => {
            let text = "the module wrote where it should not: the child's report is garbled";
            (Judgement::Broken, Some(text.to_owned()), None)
        }
        Err(end) => {
            *slow += usize::from(matches!(end, End::Hung(..) | End::Late(_)));
            (Judgement::Broken, Some(end.to_string()), None)
        }
    };
    Ok(Verdict {
        case,
        result,
        text,
        outcome,
        log: report.log,
        took: report.took,
    })
}

fn untried(case: &'static Case) -> Verdict {
    Verdict {
        case,
        result: Judgement::Untried,
        text: Some("not tried after that".to_owned()),
        outcome: None,
        log: String::new(),
        took: Duration::ZERO,
    }
}
