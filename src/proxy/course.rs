//! Where functions send a flow, and where next if nothing answers there.
//!
//! ```text
//!  as the client asked ─▶ func_route of each ─▶ connect ─┬─▶ CONNECTED ─▶ … ─▶ ENDED
//!            ▲                                           │
//!            └──── attempt + 1, at most 8 times ◀── FAILED
//! ```
//! A flow none of whose functions routes has a course, too, but one that never changes.

use std::sync::Arc;
use std::time::Duration;

use srv6pipes_vnf::abi::{ROUTE_ATTEMPTS, ROUTE_PATIENCE_MS};

use crate::proxy::itinerary::{Itinerary, Refusal};
use crate::proxy::runtime::{Runtime, Served};
use crate::proxy::stage::count_broken;
use crate::sys::own_address::OwnAddress;
use crate::vnf::{FlowInfo, Function, Route, RouteError, RouteFault, Routed};

/// How long what was chosen may take to answer: another choice may be better.
const PATIENCE: Duration = Duration::from_millis(ROUTE_PATIENCE_MS as u64);

/// The way of one flow, until its next segment has answered.
#[derive(Debug)]
pub struct Course {
    /// Where it goes now.
    pub itinerary: Itinerary,
    /// The configuration its SYN met.
    pub runtime: Arc<Runtime>,
    /// What functions chose to have it go there.
    pub choices: Choices,
    /// `None` if no function routes.
    asked: Option<Box<Asked>>,
}

/// What every attempt begins with.
#[derive(Debug)]
struct Asked {
    itinerary: Itinerary,
    attempt: u32,
}

impl Course {
    /// The course of a flow that was let in, with the functions' first choice.
    ///
    /// # Errors
    /// When a function has no place for it to go, or none that it could go to.
    pub fn new(
        itinerary: Itinerary,
        runtime: Arc<Runtime>,
        own: &OwnAddress,
    ) -> Result<Self, Refusal> {
        let mut steps = itinerary.steps.iter();
        let routes = steps.any(|step| {
            let served = runtime.functions.get(&step.function);
            served.is_some_and(|served| served.function.routes())
        });
        let asked = routes.then(|| {
            Box::new(Asked {
                itinerary: itinerary.clone(),
                attempt: 0,
            })
        });
        let mut course = Self {
            itinerary,
            runtime,
            choices: Choices::default(),
            asked,
        };
        course.choose(own)?;
        Ok(course)
    }

    /// Whether functions choose it.
    pub fn is_chosen(&self) -> bool {
        self.asked.is_some()
    }

    /// How many choices have failed.
    pub fn attempt(&self) -> u32 {
        self.asked.as_ref().map_or(0, |asked| asked.attempt)
    }

    /// How long the next segment may take to answer.
    pub fn patience(&self) -> Duration {
        match self.asked {
            Some(_) => self.runtime.connect_timeout.min(PATIENCE),
            None => self.runtime.connect_timeout,
        }
    }

    /// What was chosen has failed; whether there is another choice to try.
    ///
    /// # Errors
    /// When there is, but it cannot be gone to.
    pub fn choose_again(&mut self, own: &OwnAddress) -> Result<bool, Refusal> {
        let Some(asked) = &mut self.asked else {
            return Ok(false);
        };
        self.choices.fail();
        asked.attempt += 1;
        if asked.attempt >= ROUTE_ATTEMPTS {
            return Ok(false);
        }
        match self.choose(own) {
            Ok(()) => Ok(true),
            Err(Refusal::NowhereToGo(_)) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Asks all functions that route, in the order of travel.
    fn choose(&mut self, own: &OwnAddress) -> Result<(), Refusal> {
        let Some(asked) = &self.asked else {
            return Ok(());
        };
        let mut itinerary = asked.itinerary.clone();
        let mut choices = Choices::default();
        for (place, step) in asked.itinerary.steps.iter().enumerate() {
            let Some(served) = self.runtime.functions.get(&step.function) else {
                return Err(Refusal::UnknownFunction(step.function));
            };
            if !served.function.routes() {
                continue;
            }
            let flow = FlowInfo {
                argument: step.argument,
                client: asked.itinerary.client,
                server: asked.itinerary.server,
                id: 0,
                choice: 0,
            };
            let mut route = Route {
                attempt: asked.attempt,
                server: itinerary.server,
                next_segment: itinerary.next_segment(),
                choice: 0,
            };
            let routed = served.function.route(&flow, &mut route);
            routed.map_err(|error| refusal(step.function, served, &error))?;
            choices.made.push(Choice {
                place,
                function: Arc::clone(&served.function),
                number: route.choice,
            });
            let redirected = itinerary.redirect(&route, &self.runtime.map, own);
            redirected.map_err(|address| {
                let id = step.function;
                log::log!(
                    count_broken(&served.counters),
                    "function {id:#06x} chose {address}, which is ours; its flow is refused"
                );
                Refusal::BadRoute(id)
            })?;
        }
        self.itinerary = itinerary;
        self.choices = choices;
        Ok(())
    }
}

/// What a function's answer means for the flow: that it has none is no fault.
fn refusal(id: u16, served: &Served, error: &RouteError) -> Refusal {
    if let RouteFault::Refused(_) = error.fault {
        log::debug!("function {id:#06x}: {error}");
        return Refusal::NowhereToGo(id);
    }
    log::log!(
        count_broken(&served.counters),
        "function {id:#06x}: {error}; its flow is refused"
    );
    Refusal::BadRoute(id)
}

/// What functions chose for one flow. They hear what becomes of it, whichever way it ends:
/// dropping this is telling them.
#[derive(Debug, Default)]
pub struct Choices {
    made: Vec<Choice>,
    connected: bool,
}

#[derive(Debug)]
struct Choice {
    /// Which of the flow's steps.
    place: usize,
    /// Whose it is, also after a reload.
    function: Arc<Function>,
    number: u64,
}

impl Choices {
    /// What the function at `place` among the flow's steps chose; 0 if it does not.
    pub fn of(&self, place: usize) -> u64 {
        let choice = self.made.iter().find(|choice| choice.place == place);
        choice.map_or(0, |choice| choice.number)
    }

    /// What was chosen has answered.
    pub fn connect(&mut self) {
        self.connected = true;
        self.tell(Routed::Connected);
    }

    /// It has not: nothing is left to be said about these.
    fn fail(&mut self) {
        self.tell(Routed::Failed);
        self.made.clear();
    }

    fn tell(&self, event: Routed) {
        for choice in &self.made {
            choice.function.routed(choice.number, event);
        }
    }
}

impl Drop for Choices {
    fn drop(&mut self) {
        self.tell(if self.connected {
            Routed::Ended
        } else {
            Routed::Dropped
        });
    }
}
