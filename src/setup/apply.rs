//! From a plan to the kernel and back.
//!
//! The journal is ahead of the kernel at every moment: an entry is on disk before its step is
//! taken, and leaves the disk after the step is undone. Undoing what is not there is no failure,
//! so a run may be killed between any two lines.

use std::path::Path;

use crate::netlink::{link, rule};
use crate::setup::error::{Error, Obstacle};
use crate::setup::journal::{Entry, Journal};
use crate::setup::kernel::Kernel;
use crate::setup::nft;
use crate::setup::plan::{Plan, Step, lo};
use crate::setup::sysctl::{self, Sysctl};

/// A kernel that matches a plan. Reverted when dropped.
#[derive(Debug)]
pub struct Setup {
    pub(super) state: Option<State>,
    pub(super) plan: Plan,
}

/// What goes first when one plan takes the place of another.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Undoing: what a killed run left may stand where the new things go.
    OldFirst,
    /// Doing: a running proxy's packets must find their rules and routes at every moment. Nothing
    /// of the new plan stands where the old one's things are, since paths keep their numbers
    /// (`config::numbers`).
    NewFirst,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) kernel: Kernel,
    journal: Journal,
}

impl Setup {
    /// Makes the kernel match `plan`, taking over what a killed run with the same journal has
    /// left. The calling thread's network namespace is the one that counts, here and later.
    ///
    /// # Errors
    /// Nothing is changed then; what an earlier run has left stays until [`clean`] if the
    /// plan cannot even be begun.
    pub fn apply(plan: Plan, journal: &Path) -> Result<Self, Error> {
        let mut state = State {
            kernel: Kernel::open()?,
            journal: Journal::open(journal)?,
        };
        if let Err(error) = state.preflight(&plan) {
            let remains = state.journal.entries().to_vec();
            let closed = state.journal.close(remains);
            return Err(stuck(error, closed.err().into_iter().collect()));
        }
        if let Err(error) = state.reach(&plan, Order::OldFirst) {
            return Err(stuck(error, state.revert().1));
        }
        Ok(Self {
            state: Some(state),
            plan,
        })
    }

    /// Makes the kernel match `plan` instead, touching only what differs.
    ///
    /// # Errors
    /// The kernel matches the old plan again then, but for what [`Error::Stuck`] names.
    pub fn transition(&mut self, plan: Plan) -> Result<(), Error> {
        let Some(state) = &mut self.state else {
            return Ok(());
        };
        state.preflight(&plan)?;
        if let Err(error) = state.reach(&plan, Order::NewFirst) {
            let back = state.reach(&self.plan, Order::OldFirst);
            let left = back.err().into_iter().collect();
            return Err(stuck(error, left));
        }
        self.plan = plan;
        Ok(())
    }

    /// Puts everything back; what could not be put back is returned, and stays in the journal
    /// for [`clean`].
    pub fn revert(mut self) -> Vec<Error> {
        self.state.take().map_or_else(Vec::new, |s| s.revert().1)
    }

    /// The plan that the kernel matches.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            for error in state.revert().1 {
                log::error!("put back: {error}");
            }
        }
    }
}

/// Undoes what a killed run has left behind, and says how many things that were.
///
/// # Errors
/// The run is not dead, or what could not be undone: it stays in the journal.
pub fn clean(journal: &Path) -> Result<usize, Vec<Error>> {
    if !journal.exists() {
        return Ok(0);
    }
    let open = || {
        Ok(State {
            journal: Journal::open(journal)?,
            kernel: Kernel::open()?,
        })
    };
    let state: State = open().map_err(|error| vec![error])?;
    match state.revert() {
        (undone, errors) if errors.is_empty() => Ok(undone),
        (_, errors) => Err(errors),
    }
}

fn stuck(cause: Error, left: Vec<Error>) -> Error {
    if left.is_empty() {
        return cause;
    }
    Error::Stuck {
        cause: Box::new(cause),
        left,
    }
}

impl State {
    /// What can be known to fail before anything is touched.
    pub(super) fn preflight(&mut self, plan: &Plan) -> Result<(), Error> {
        for (device, line) in &plan.devices {
            match link::find(&mut self.kernel.route, device) {
                Err(error) if error.is(libc::ENODEV) => {
                    return Err(Error::NoDevice {
                        device: device.clone(),
                        line: *line,
                    });
                }
                other => other.map(|_| ())?,
            }
        }
        if !link::find(&mut self.kernel.route, &lo())?.up {
            return Err(Error::LoopbackDown);
        }
        for step in &plan.steps {
            self.is_free(step)?;
        }
        self.are_preferences_free(plan)
    }

    fn is_free(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::Link(device) if !self.knows(&Entry::Link(device.clone())) => {
                match link::find(&mut self.kernel.route, device) {
                    Ok(_) => Err(Error::InTheWay(Obstacle::Link(device.clone()))),
                    Err(error) if error.is(libc::ENODEV) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            Step::Ruleset(_) if !self.knows(&Entry::Table) => {
                if nft::exists(&mut self.kernel.netfilter)? {
                    return Err(Error::InTheWay(Obstacle::Table));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A stranger's rule between ours would be jumped over, or jumped to.
    fn are_preferences_free(&mut self, plan: &Plan) -> Result<(), Error> {
        let preferences = || {
            plan.steps.iter().filter_map(|step| match step {
                Step::Rule(rule) => Some(rule.preference),
                _ => None,
            })
        };
        let (Some(first), Some(last)) = (preferences().min(), preferences().max()) else {
            return Ok(());
        };
        let known = |preference| {
            self.journal
                .entries()
                .iter()
                .any(|e| matches!(e, Entry::Rule(rule) if rule.preference == preference))
        };
        match rule::list(&mut self.kernel.route)?
            .into_iter()
            .filter(|seen| (first..=last).contains(&seen.preference))
            .find(|seen| !seen.ours || !known(seen.preference))
        {
            None => Ok(()),
            Some(seen) => Err(Error::InTheWay(Obstacle::Rule {
                preference: seen.preference,
            })),
        }
    }

    /// Undoes what `plan` does not have, does what it has.
    fn reach(&mut self, plan: &Plan, order: Order) -> Result<(), Error> {
        let old: Vec<Entry> = self.journal.entries().to_vec();
        match order {
            Order::OldFirst => {
                self.undo_obsolete(&old, plan)?;
                self.take(plan)?;
            }
            Order::NewFirst => {
                self.take(plan)?;
                self.undo_obsolete(&old, plan)?;
            }
        }
        // Put back last, when nothing of ours needs them any more.
        let wants = |key: &str| {
            let mut steps = plan.steps.iter();
            steps.any(|s| matches!(s, Step::Sysctl(sysctl) if sysctl.key == key))
        };
        for entry in old.iter().rev() {
            if matches!(entry, Entry::Sysctl { key, .. } if !wants(key)) {
                self.kernel.undo(entry)?;
                self.journal.remove(entry)?;
            }
        }
        Ok(())
    }

    fn undo_obsolete(&mut self, old: &[Entry], plan: &Plan) -> Result<(), Error> {
        let wanted: Vec<Entry> = plan.steps.iter().filter_map(entry_of).collect();
        for entry in old.iter().rev() {
            if !matches!(entry, Entry::Sysctl { .. }) && !wanted.contains(entry) {
                self.kernel.undo(entry)?;
                self.journal.remove(entry)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, plan: &Plan) -> Result<(), Error> {
        for step in &plan.steps {
            match (step, entry_of(step)) {
                (Step::Sysctl(sysctl), _) => {
                    self.set(sysctl)?;
                }
                (Step::Ruleset(ruleset), _) => {
                    if !self.knows(&Entry::Table) {
                        self.journal.push(Entry::Table)?;
                    }
                    nft::apply(&mut self.kernel.netfilter, ruleset)?;
                }
                (_, Some(entry)) => self.add(&entry)?,
                (_, None) => {}
            }
        }
        Ok(())
    }

    /// Sets it if it has to be; whether it had to.
    pub(super) fn set(&mut self, sysctl: &Sysctl) -> Result<bool, Error> {
        let key = &sysctl.key;
        let was = sysctl.now().map_err(|e| Error::sysctl(key, None, e))?;
        let Some(was) = was else {
            log::info!("{key} is the whole machine's, and stays as it is");
            return Ok(false);
        };
        let Some(value) = sysctl.change(&was) else {
            return Ok(false);
        };
        let known = |e: &Entry| matches!(e, Entry::Sysctl { key: k, .. } if k == key);
        if !self.journal.entries().iter().any(known) {
            self.journal.push(Entry::Sysctl {
                key: key.clone(),
                was,
                set: value.clone(),
            })?;
        }
        sysctl::write(key, &value).map_err(|e| Error::sysctl(key, Some(&value), e))?;
        Ok(true)
    }

    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), Error> {
        let known = self.knows(entry);
        if !known {
            self.journal.push(entry.clone())?;
        }
        match self.kernel.add(entry, known) {
            // Not ours: must not be undone.
            Err(error @ Error::InTheWay(_)) => {
                self.journal.remove(entry)?;
                Err(error)
            }
            other => other,
        }
    }

    pub(super) fn knows(&self, entry: &Entry) -> bool {
        self.journal.entries().contains(entry)
    }

    /// Walks backwards, never stops at a failure; how many things were undone, and what was not.
    fn revert(mut self) -> (usize, Vec<Error>) {
        let (mut undone, mut left, mut errors) = (0, Vec::new(), Vec::new());
        for entry in self.journal.entries().iter().rev() {
            match self.kernel.undo(entry) {
                Ok(there) => undone += usize::from(there),
                Err(error) => {
                    left.insert(0, entry.clone());
                    errors.push(error);
                }
            }
        }
        errors.extend(self.journal.close(left).err());
        (undone, errors)
    }
}

/// What a step leaves in the journal; a sysctl's depends on what it was before.
pub(super) fn entry_of(step: &Step) -> Option<Entry> {
    match step {
        Step::Sysctl(_) => None,
        Step::Link(device) => Some(Entry::Link(device.clone())),
        Step::Route(route) => Some(Entry::Route(route.clone())),
        Step::Rule(rule) => Some(Entry::Rule(rule.clone())),
        Step::Ruleset(_) => Some(Entry::Table),
    }
}
