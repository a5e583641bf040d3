//! Cases about many flows: what they take and give back, and that they leave each other alone.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::module::apart::{self, Call};
use crate::module::broke::{Broke, What};
use crate::module::cases::Remark;
use crate::module::desk::ROOM;
use crate::module::feed::{BOTH, Feed};
use crate::module::subject::{Act, Subject};
use crate::module::{samples, usage, watched};
use crate::vnf::Direction;

/// Flows at once.
const AT_ONCE: usize = 1000;
/// Flows in a row, between two looks at the memory.
const IN_A_ROW: usize = 4000;
/// Seconds that these may take, and that all of them together may: some functions start programs.
const ROW: Duration = Duration::from_secs(2);
const ROWS: Duration = Duration::from_secs(10);
/// Growth that is none: bytes per flow, and altogether. The smallest piece `malloc` gives has 16.
const SLACK: usize = 8;
const SLACK_ALL: usize = 32 * 1024;
/// A call that stands still for so long is not just unlucky.
const STILL: Duration = Duration::from_millis(25);

fn small(subject: &Subject<'_>, direction: Direction) -> Vec<u8> {
    samples::small(subject.plan.sample.as_deref(), direction)
}

/// Arguments at the borders of what 32 bits hold: flows are refused, or begin.
pub fn arguments(subject: &mut Subject<'_>) -> Remark {
    let bytes = &small(subject, Direction::Upstream)[..32];
    let one_bit = (0..32).map(|bit| 1 << bit);
    for argument in one_bit.chain([0, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, u32::MAX]) {
        let mut feed = match subject.alone(argument, ROOM) {
            Ok(feed) => feed,
            Err(broke) if broke.what.refuses() => continue,
            Err(broke) => return Err(broke.when(|| format!("with argument {argument:#x}"))),
        };
        for direction in BOTH {
            let act = Act::Bytes(direction, bytes);
            let done = subject.act(&mut feed, &act);
            done.map_err(|broke| broke.when(|| format!("with argument {argument:#x}")))?;
        }
    }
    Ok(None)
}

/// Flows that are over at every moment of their life.
pub fn midstream(subject: &mut Subject<'_>) -> Remark {
    let streams = BOTH.map(|direction| small(subject, direction));
    for calls in 0..40 {
        for room in [1, ROOM] {
            let mut feed = subject.next_flow(room)?;
            for (direction, bytes) in BOTH.into_iter().zip(&streams) {
                feed.arrive(direction, bytes);
                if calls % 2 == 0 {
                    feed.end(direction);
                }
            }
            subject.steps(&mut feed, calls)?;
        }
    }
    Ok(None)
}

/// Many flows, each in the middle of its stream, and then the rest of it.
pub fn at_once(subject: &mut Subject<'_>) -> Remark {
    let bytes = small(subject, Direction::Upstream);
    let (front, back) = bytes.split_at(bytes.len() / 2);
    let expected = subject.reference(&[Act::Last(Direction::Upstream, &bytes)])?;
    let mut feeds: Vec<Feed> = Vec::new();
    while feeds.len() < AT_ONCE {
        // A function may bound what it does at once, and refuse what is more.
        let mut feed = match subject.flow(ROOM) {
            Ok(feed) => feed,
            Err(broke) if broke.what.refuses() && !feeds.is_empty() => break,
            Err(broke) => return Err(broke),
        };
        subject.act(&mut feed, &Act::Bytes(Direction::Upstream, front))?;
        feeds.push(feed);
    }
    let begun = feeds.len();
    for feed in feeds {
        let played = subject.play_on(feed, &[Act::Last(Direction::Upstream, back)])?;
        subject
            .compare(&expected, &played)
            .map_err(|broke| broke.when(|| format!("with {begun} flows at once")))?;
    }
    Ok((begun < AT_ONCE).then(|| format!("refuses flows when there are {begun}")))
}

/// Flows one after the other, until memory stops to grow with them.
pub fn in_a_row(subject: &mut Subject<'_>) -> Remark {
    let began = Instant::now();
    row(subject)?;
    let mut memory = usage::memory()?;
    let mut least = usize::MAX;
    let mut flows = 0;
    for _ in 0..8 {
        let in_this = row(subject)?;
        flows += in_this;
        let after = usage::memory()?;
        let grown = after.saturating_sub(memory);
        if grown < SLACK_ALL.max(in_this * SLACK) {
            return Ok(None);
        }
        least = least.min(grown / in_this);
        memory = after;
        if began.elapsed() > ROWS {
            break;
        }
    }
    Err(What::Grows(least, flows).plain())
}

/// Flows that come to their end, that end before it, and that never begin; how many.
fn row(subject: &mut Subject<'_>) -> Result<usize, Broke> {
    let bytes = small(subject, Direction::Upstream);
    let acts = [
        Act::Bytes(Direction::Upstream, &bytes),
        Act::Last(Direction::Downstream, b""),
    ];
    let began = Instant::now();
    for n in 0..IN_A_ROW {
        let mut feed = subject.next_flow(ROOM)?;
        match n % 4 {
            0 => {}
            1 => subject.act(&mut feed, &acts[0])?,
            _ => {
                subject.play_on(feed, &acts)?;
            }
        }
        if began.elapsed() > ROW {
            return Ok(n + 1);
        }
    }
    Ok(IN_A_ROW)
}

/// Flows of one function on several threads.
pub fn threads(subject: &mut Subject<'_>) -> Remark {
    const THREADS: usize = 4;
    const FLOWS: usize = 200;
    let bytes = small(subject, Direction::Upstream);
    let acts = [Act::Last(Direction::Upstream, &bytes)];
    let expected = subject.reference(&acts)?;
    let mut shares = Vec::new();
    for _ in 0..THREADS {
        shares.push(subject.share()?);
    }
    let together = Barrier::new(THREADS);
    let work = |mut share: Subject<'_>| {
        apart::helps();
        together.wait();
        let deadline = Instant::now() + ROWS;
        for n in 0..FLOWS {
            // Rooms of different sizes make calls of different lengths, which meet anywhere.
            let played = share.play(&acts, [ROOM, 1, 100][n % 3])?;
            share.compare(&expected, &played)?;
            if Instant::now() > deadline {
                break;
            }
        }
        Ok(share.flows)
    };
    let done: Vec<Result<usize, Broke>> = Call::Several.marked(|| {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = shares
                .into_iter()
                .map(|share| scope.spawn(move || work(share)))
                .collect();
            let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined
                .map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    });
    for flows in done {
        let when = || format!("with {THREADS} threads at once");
        subject.flows += flows.map_err(|broke| broke.when(when))?;
    }
    Ok(None)
}

/// Calls that take their time, other than by computing.
pub fn still(subject: &mut Subject<'_>) -> Remark {
    let streams =
        BOTH.map(|direction| samples::long(subject.plan.sample.as_deref(), direction, 512 << 10));
    let mut least = Duration::MAX;
    // Once may be chance: a page that came from the disk.
    for _ in 0..3 {
        let Some(watch) = watched::Stillness::new() else {
            return Ok(Some(
                "not tried: this kernel does not tell for how long a thread had to wait".to_owned(),
            ));
        };
        let [up, down] = &streams;
        let acts = up.chunks(16 << 10).zip(down.chunks(16 << 10));
        let acts = acts.flat_map(|(up, down)| [Act::Bytes(BOTH[0], up), Act::Bytes(BOTH[1], down)]);
        subject.play(&acts.collect::<Vec<_>>(), ROOM)?;
        least = least.min(watch.longest());
        if least < STILL {
            return Ok(None);
        }
    }
    Err(What::Blocks(least).plain())
}

/// Choices that fail until there is none left, that are dropped, and that are taken.
pub fn routes(subject: &mut Subject<'_>) -> Remark {
    for n in 0..100 {
        let failed = subject.route(n % 9)?;
        // A function may have fewer choices than it is asked for.
        if failed < n % 9 {
            subject.route(0)?;
        }
    }
    let bytes = small(subject, Direction::Upstream);
    let acts = [Act::Last(Direction::Upstream, &bytes)];
    let expected = subject.reference(&acts)?;
    let played = subject.play(&acts, ROOM)?;
    subject.compare(&expected, &played)?;
    Ok(None)
}
