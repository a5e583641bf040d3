//! A function's calls with a mark of each, so that whoever finds the process dead knows which it
//! was.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::module::alarm::{Alarm, Sleeper};
use crate::module::apart::Call;
use crate::module::broke::What;
use crate::module::usage;
use crate::vnf::{
    Broken, Direction, FlowInfo, Function, Progress, Report, Route, Routed, Transform,
};

/// A flow whose calls are marked, and that tells the function all that the daemon would.
#[derive(Debug)]
struct Watched {
    /// Gone only while it is dropped.
    inner: Option<Box<dyn Transform>>,
    /// Nobody wakes it before it is spawned or after it is over.
    _sleeper: Sleeper,
    /// What the function chose for it, if it chooses.
    choice: Option<(Arc<Function>, u64)>,
    report: Report,
    began: Instant,
}

/// A function's flow, and the number by which it is woken.
pub type Spawned = (Box<dyn Transform>, u64);

/// Begins a flow: `func_route`, if there is one, and `func_spawn`.
///
/// # Errors
/// When the function refuses it.
pub fn spawn(
    function: &Arc<Function>,
    mut flow: FlowInfo,
    alarm: &Arc<Alarm>,
) -> Result<Spawned, What> {
    let choice = route(function, &mut flow)?;
    let sleeper = alarm.sleeper();
    let id = sleeper.id;
    flow.id = id;
    let mut watched = Watched {
        inner: None,
        choice: None,
        report: Report::default(),
        began: Instant::now(),
        _sleeper: sleeper,
    };
    match Call::Spawn.marked(|| function.spawn(&flow)) {
        Ok(inner) => watched.inner = Some(inner),
        Err(error) => {
            routed(choice.as_ref(), Routed::Dropped);
            return Err(What::Spawn(error));
        }
    }
    routed(choice.as_ref(), Routed::Connected);
    watched.choice = choice;
    Ok((Box::new(watched), id))
}

/// Asks the function where the flow goes.
fn route(
    function: &Arc<Function>,
    flow: &mut FlowInfo,
) -> Result<Option<(Arc<Function>, u64)>, What> {
    if !function.routes() {
        return Ok(None);
    }
    let mut route = a_route(flow, 0);
    Call::Route
        .marked(|| function.route(flow, &mut route))
        .map_err(What::Route)?;
    flow.server = route.server;
    flow.choice = route.choice;
    Ok(Some((Arc::clone(function), route.choice)))
}

/// Where this flow would go by itself: to its server, by way of one more proxy.
pub fn a_route(flow: &FlowInfo, attempt: u32) -> Route {
    Route {
        attempt,
        server: flow.server,
        next_segment: Some(Ipv6Addr::new(0x2001, 0xdb8, 0x99, 2, 0, 1, 0, 0)),
        choice: 0,
    }
}

/// Tells the function what became of its choice.
fn routed(choice: Option<&(Arc<Function>, u64)>, event: Routed) {
    if let Some((function, choice)) = choice {
        Call::Routed.marked(|| function.routed(*choice, event));
    }
}

/// A flow that no other is like: several clients, each with many flows; one server. Addresses for documentation (RFC 3849).
pub fn flow(argument: u32) -> FlowInfo {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let [_, high, low, client] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let address = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
    let port = u16::from_be_bytes([high, low]) | 0x8000;
    FlowInfo {
        client: SocketAddrV6::new(address(u16::from(client % 16) + 1), port, 0, 0),
        server: SocketAddrV6::new(address(0x80), 80, 0, 0),
        ..FlowInfo::detached(argument)
    }
}

impl Watched {
    fn count(&mut self, direction: Direction, progress: &Progress) {
        let (read, written) = match direction {
            Direction::Upstream => (&mut self.report.upstream_in, &mut self.report.upstream_out),
            Direction::Downstream => (
                &mut self.report.downstream_in,
                &mut self.report.downstream_out,
            ),
        };
        *read += progress.consumed as u64;
        *written += progress.produced as u64;
    }
}

impl Transform for Watched {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Broken> {
        let Some(inner) = &mut self.inner else {
            return Err(Broken::Failed);
        };
        let began = Moment::now();
        let answer = Call::Process.marked(|| inner.process(direction, input, output, end));
        if let Some(began) = began {
            began.ends();
        }
        let progress = answer?;
        self.count(direction, &progress);
        // As often as an operator might ask.
        if self.report.upstream_in.is_multiple_of(64) {
            self.report(&self.report.clone());
        }
        Ok(progress)
    }

    fn speaks_first(&self) -> bool {
        let inner = self.inner.as_ref();
        inner.is_some_and(|inner| inner.speaks_first())
    }

    fn reports(&self) -> bool {
        let inner = self.inner.as_ref();
        inner.is_some_and(|inner| inner.reports())
    }

    fn report(&mut self, report: &Report) {
        let age = self.began.elapsed();
        if let Some(inner) = self.inner.as_mut().filter(|inner| inner.reports()) {
            Call::Report.marked(|| inner.report(&Report { age, ..*report }));
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.report(&Report {
            last: true,
            ..self.report
        });
        if self.inner.is_some() {
            Call::Despawn.marked(|| drop(self.inner.take()));
        }
        routed(self.choice.as_ref(), Routed::Ended);
    }
}

/// While this lives, it is measured for how long calls of `func_process` stand still.
#[derive(Debug)]
pub struct Stillness(());

/// Whether it is measured, and the longest time so far in microseconds.
static MEASURES: AtomicBool = AtomicBool::new(false);
static LONGEST: AtomicU32 = AtomicU32::new(0);

impl Stillness {
    /// `None` where the kernel does not say for how long a thread had to wait for a processor:
    /// on a busy machine that would look the same.
    pub fn new() -> Option<Self> {
        usage::on_processor()?;
        LONGEST.store(0, Ordering::Relaxed);
        MEASURES.store(true, Ordering::Relaxed);
        Some(Self(()))
    }

    /// The longest time that one call stood still.
    pub fn longest(&self) -> Duration {
        Duration::from_micros(LONGEST.load(Ordering::Relaxed).into())
    }
}

impl Drop for Stillness {
    fn drop(&mut self) {
        MEASURES.store(false, Ordering::Relaxed);
    }
}

/// The beginning of a call that is measured.
struct Moment {
    at: Instant,
    /// As [`usage::on_processor`] has it.
    on_processor: u64,
}

impl Moment {
    fn now() -> Option<Self> {
        if !MEASURES.load(Ordering::Relaxed) {
            return None;
        }
        let on_processor = usage::on_processor()?;
        Some(Self {
            at: Instant::now(),
            on_processor,
        })
    }

    fn ends(self) {
        let Some(after) = usage::on_processor() else {
            return;
        };
        let on_processor = Duration::from_nanos(after.saturating_sub(self.on_processor));
        let still = self.at.elapsed().saturating_sub(on_processor);
        let still = u32::try_from(still.as_micros()).unwrap_or(u32::MAX);
        LONGEST.fetch_max(still, Ordering::Relaxed);
    }
}
