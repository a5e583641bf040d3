//! What the kernel has lost of a plan that it matched: found, and done again.
//!
//! A device that is made anew comes without its sysctl and its routes, one that is switched off
//! loses its routes, and whoever loads a firewall may flush the whole ruleset. `app` calls this
//! when [`crate::netlink::monitor`] has heard something.

use crate::netlink::{self, link};
use crate::setup::apply::{Setup, State, entry_of};
use crate::setup::error::Error;
use crate::setup::journal::Entry;
use crate::setup::nft;
use crate::setup::plan::Step;

impl Setup {
    /// Makes the kernel match the plan again, touching only what is missing; how many things that
    /// were.
    ///
    /// # Errors
    /// What is in the way of one of them; all others are there again.
    pub fn repair(&mut self) -> Result<usize, Error> {
        let Some(state) = &mut self.state else {
            return Ok(0);
        };
        let (mut mended, mut failed) = (0, None);
        for step in &self.plan.steps {
            match state.mend(step) {
                Ok(was_missing) => mended += usize::from(was_missing),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            None => Ok(mended),
            // That a device is gone says more than that it has no sysctl.
            Some(error) => Err(state.preflight(&self.plan).err().unwrap_or(error)),
        }
    }
}

impl State {
    /// Does `step` again if the kernel has lost it; whether it had.
    fn mend(&mut self, step: &Step) -> Result<bool, Error> {
        let entry = entry_of(step);
        match (step, &entry) {
            (Step::Sysctl(wanted), _) => return self.set(wanted),
            (Step::Link(device), Some(entry)) => match link::find(&mut self.kernel.route, device) {
                Ok(link) if link.up => return Ok(false),
                Err(error) if !error.is(libc::ENODEV) => return Err(error.into()),
                _ => self.add(entry)?,
            },
            (Step::Route(route), Some(entry)) if self.knows(entry) => {
                return was_added(route.add(&mut self.kernel.route));
            }
            (Step::Rule(rule), Some(entry)) if self.knows(entry) => {
                return was_added(rule.add(&mut self.kernel.route));
            }
            (Step::Ruleset(ruleset), _) => {
                if nft::is_whole(&mut self.kernel.netfilter, ruleset)? {
                    return Ok(false);
                }
                if !self.knows(&Entry::Table) {
                    self.add(&Entry::Table)?;
                }
                nft::apply(&mut self.kernel.netfilter, ruleset)?;
            }
            // A transition that failed has not put it back.
            (_, Some(entry)) => self.add(entry)?,
            (_, None) => return Ok(false),
        }
        Ok(true)
    }
}

/// The kernel is asked by adding: it refuses what is there already, and tells nobody.
fn was_added(added: Result<(), netlink::Error>) -> Result<bool, Error> {
    match added {
        Ok(()) => Ok(true),
        Err(error) if error.is(libc::EEXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
