//! The function that is tried: flows of it, alone or with its inverse, and what they are held
//! against.

mod play;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use srv6pipes_vnf::abi::ROUTE_ATTEMPTS;

use crate::module::alarm::Alarm;
use crate::module::apart::Call;
use crate::module::broke::{Broke, What};
use crate::module::desk::{Desk, ROOM};
use crate::module::feed::{Fault, Feed, Over, index};
use crate::module::open::{self, Named};
use crate::module::samples;
use crate::module::watched::{self, spawn};
use crate::sys::guarded::Edge;
use crate::vnf::{Direction, FlowInfo, Function, RouteFault, Routed};

pub use crate::module::subject::play::{Act, Expected};

/// How long a flow that is over may still count as one.
const FAREWELL: Duration = Duration::from_secs(2);
/// Pause between two tries.
const LOOK: Duration = Duration::from_millis(2);

/// What is to be tried.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The module's file.
    pub file: PathBuf,
    /// The function.
    pub function: Named,
    /// What undoes it, if the streams are to go through both.
    pub inverse: Option<Inverse>,
    /// Bytes to feed instead of our own.
    pub sample: Option<Vec<u8>>,
    /// How long a call, or a flow that waits, may take.
    pub patience: Duration,
}

/// The function at the other proxy.
#[derive(Debug, Clone)]
pub struct Inverse {
    /// Which one it is.
    pub function: Named,
    /// It is the one nearer to the client.
    pub first: bool,
}

/// The function, ready.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What is tried.
    pub plan: &'a Plan,
    function: Arc<Function>,
    inverse: Option<Arc<Function>>,
    desk: Desk,
    alarm: Arc<Alarm>,
    /// Flows so far.
    pub flows: usize,
    /// Flows that the function ended itself, and how the last of them.
    pub ended: (usize, Option<Over>),
    /// Two flows alike gave different bytes.
    pub fickle: bool,
}

impl<'a> Subject<'a> {
    /// `func_init`.
    ///
    /// # Errors
    /// When the function is not to be had.
    pub fn new(plan: &'a Plan, edge: Edge) -> Result<Self, Broke> {
        let [function] = ready(plan, [&plan.function])?;
        let inverse = plan.inverse.as_ref();
        let inverse = inverse.map(|inverse| ready(plan, [&inverse.function]));
        let inverse = inverse.transpose()?.map(|[inverse]| inverse);
        Self::of(plan, edge, function, inverse)
    }

    /// Two sections of the same function, without its inverse.
    ///
    /// # Errors
    /// When the function is not to be had.
    pub fn two(plan: &'a Plan) -> Result<[Self; 2], Broke> {
        let [one, other] = ready(plan, [&plan.function, &plan.function])?;
        Ok([
            Self::of(plan, Edge::Back, one, None)?,
            Self::of(plan, Edge::Back, other, None)?,
        ])
    }

    fn of(
        plan: &'a Plan,
        edge: Edge,
        function: Arc<Function>,
        inverse: Option<Arc<Function>>,
    ) -> Result<Self, Broke> {
        Ok(Self {
            plan,
            function,
            inverse,
            desk: Desk::guarded(edge)?,
            alarm: Alarm::new()?,
            flows: 0,
            ended: (0, None),
            fickle: false,
        })
    }

    /// The same for another thread: the same function, other buffers.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn share(&self) -> Result<Self, Broke> {
        let function = Arc::clone(&self.function);
        Self::of(self.plan, Edge::Back, function, self.inverse.clone())
    }

    /// `func_deinit`.
    pub fn done(self) {
        Call::Deinit.marked(|| drop(self));
    }

    /// A flow of the function alone, with this argument; each call takes place in so much room.
    ///
    /// # Errors
    /// When the function refuses it.
    pub fn alone(&mut self, argument: u32, room: usize) -> Result<Feed, Broke> {
        self.flows += 1;
        let flow = watched::flow(argument);
        let transform = spawn(&self.function, flow, &self.alarm)?;
        Ok(Feed::new([(transform, room)]))
    }

    /// A flow as the plan has it.
    ///
    /// # Errors
    /// When a function refuses it.
    pub fn flow(&mut self, room: usize) -> Result<Feed, Broke> {
        let (Some(inverse), Some(planned)) = (&self.inverse, &self.plan.inverse) else {
            return self.alone(self.plan.function.argument, room);
        };
        self.flows += 1;
        let flow = watched::flow(self.plan.function.argument);
        let argument = planned.function.argument;
        let ours = spawn(&self.function, flow, &self.alarm)?;
        let other = spawn(inverse, FlowInfo { argument, ..flow }, &self.alarm)?;
        let (ours, other) = ((ours, room), (other, ROOM));
        Ok(Feed::new(if planned.first {
            [other, ours]
        } else {
            [ours, other]
        }))
    }

    /// The same, once those before are gone: a function may bound how many it has at once.
    ///
    /// # Errors
    /// When a function refuses it all the same.
    pub fn next_flow(&mut self, room: usize) -> Result<Feed, Broke> {
        let late = Instant::now() + FAREWELL;
        loop {
            match self.flow(room) {
                Err(broke) if broke.what.refuses() && self.flows > 1 && Instant::now() < late => {
                    self.flows -= 1;
                    std::thread::sleep(LOOK);
                }
                done => return done,
            }
        }
    }

    /// Asks where a flow goes as often as the answers fail, so many times at most; how many did.
    ///
    /// # Errors
    /// When it chooses what cannot be.
    pub fn route(&mut self, failures: u32) -> Result<u32, Broke> {
        let flow = watched::flow(self.plan.function.argument);
        for attempt in 0..=failures.min(ROUTE_ATTEMPTS - 1) {
            let mut route = watched::a_route(&flow, attempt);
            let function = &self.function;
            match Call::Route.marked(|| function.route(&flow, &mut route)) {
                Ok(()) => {}
                Err(error) if matches!(error.fault, RouteFault::Refused(_)) => return Ok(attempt),
                Err(error) => return Err(What::Route(error).plain()),
            }
            let event = if attempt < failures {
                Routed::Failed
            } else {
                Routed::Dropped
            };
            Call::Routed.marked(|| function.routed(route.choice, event));
        }
        Ok(failures)
    }

    /// What the inverse makes of a small stream by itself; `None` if there is none, or if it ends
    /// such a flow.
    ///
    /// # Errors
    /// When it breaks a promise.
    pub fn inverse_of(&mut self, direction: Direction) -> Result<Option<Vec<u8>>, Broke> {
        let (Some(inverse), Some(planned)) = (&self.inverse, &self.plan.inverse) else {
            return Ok(None);
        };
        let flow = watched::flow(planned.function.argument);
        let transform = spawn(inverse, flow, &self.alarm)?;
        let bytes = samples::small(self.plan.sample.as_deref(), direction);
        let feed = Feed::new([(transform, ROOM)]);
        let mut played = self.play_on(feed, &[Act::Last(direction, &bytes)])?;
        let made = std::mem::take(&mut played.out[index(direction)]);
        Ok(played.over.is_none().then_some(made))
    }

    /// Whose fault it is.
    fn blame(&self, fault: Fault) -> Broke {
        match fault {
            Fault::Memory(error) => What::Ours(error),
            Fault::Broken(place, broken) if self.is_ours(place) => What::Answer(broken),
            Fault::Broken(_, broken) => What::Inverse(broken),
        }
        .plain()
    }

    /// Whether the function at a place, counted from the client, is the one that is tried.
    fn is_ours(&self, place: usize) -> bool {
        match &self.plan.inverse {
            None => true,
            Some(inverse) => (place == 0) != inverse.first,
        }
    }
}

/// `func_init` of sections of one configuration.
fn ready<const N: usize>(plan: &Plan, named: [&Named; N]) -> Result<[Arc<Function>; N], Broke> {
    let ready = Call::Init.marked(|| open::ready(&plan.file, &named));
    match ready.map_err(What::Open)?.try_into() {
        Ok(ready) => Ok(ready),
        Err(_) => unreachable!("as many functions as were named"),
    }
}
