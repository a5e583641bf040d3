//! The options of a section: what runs, as whom, how many, and how much each may use.

use std::fs;
use std::sync::Arc;

use srv6pipes_vnf::{Reason, Setup};

use crate::program::Program;
use crate::spawner::Terms;
use crate::user::{Rights, User};

/// Who runs programs if the operator does not say.
const NOBODY: &str = "nobody";

/// What a section says.
#[derive(Debug)]
pub struct Options {
    /// Upstream and downstream; `None` for one that passes.
    pub programs: [Option<Arc<Program>>; 2],
    pub terms: Terms,
    pub max_children: usize,
}

impl Options {
    /// Reads them all, and complains of all that is wrong.
    ///
    /// # Errors
    /// When the section as a whole makes no sense.
    pub fn read(setup: &Setup) -> Result<Self, Reason> {
        let directions = ["upstream", "downstream"];
        let programs = directions.map(|direction| program(setup, direction));
        let given = directions.iter().any(|key| setup.given(key).is_some());
        let user = user(setup, Rights::own()?);

        let max_children = setup.number("max_children", 1..=1000).unwrap_or(16);
        let max_children = usize::try_from(max_children).unwrap_or(16);
        let nice = setup.number("nice", 0..=19).unwrap_or(0);
        let nice = i32::try_from(nice).unwrap_or(0);
        let memory = setup.number("memory_limit", 1..=1_048_576);
        let cpu = setup.number("cpu_limit", 1..=31_536_000);
        if !given {
            return Err("needs a command: list upstream, list downstream, or both".into());
        }
        Ok(Self {
            programs,
            terms: Terms {
                user: user?,
                nice,
                memory,
                cpu,
            },
            max_children,
        })
    }
}

/// The program of a direction, if it has one.
fn program(setup: &Setup, direction: &str) -> Option<Arc<Program>> {
    let words = setup.list(direction);
    let first = *words.first()?;
    let words = words.iter().map(|word| word.value.to_owned()).collect();
    match Program::find(words) {
        Ok(program) => Some(Arc::new(program)),
        Err(reason) => {
            setup.complain(&first, reason);
            None
        }
    }
}

/// Whom children change to, if they do.
fn user(setup: &Setup, rights: Rights) -> Result<Option<User>, Reason> {
    let given = setup.given("user");
    let name = given.map_or(NOBODY, |given| given.value);
    let passwd = fs::read("/etc/passwd").unwrap_or_default();
    let user = User::parse(name, &String::from_utf8_lossy(&passwd));
    let judged = user.and_then(|user| Ok((user.changes(rights)?, user)));
    match (judged, given) {
        (Ok((changes, user)), _) => Ok(changes.then_some(user)),
        (Err(reason), None) => Err(reason.into()),
        (Err(reason), Some(given)) => {
            setup.complain(&given, reason);
            Ok(None)
        }
    }
}
