//! Cases about `func_init` and `func_deinit`.

use std::time::{Duration, Instant};

use crate::module::apart::Call;
use crate::module::broke::{Broke, What};
use crate::module::cases::Remark;
use crate::module::desk::ROOM;
use crate::module::subject::{Act, Plan, Subject};
use crate::module::usage::Left;
use crate::module::{open, samples};
use crate::sys::guarded::Edge;
use crate::vnf::Direction;

/// A name that no function has an option of.
const UNKNOWN: &str = "srv6pipes_no_such_option";
/// How long a thread that was joined may take to disappear.
const FAREWELL: Duration = Duration::from_secs(2);

/// `func_init`, a flow, `func_deinit`: nothing is left of it.
pub fn begin_and_end(plan: &Plan) -> Remark {
    // The first time, what is made once for a process is made.
    once(plan)?;
    let before = Left::of(plan)?;
    once(plan)?;
    let deadline = Instant::now() + FAREWELL;
    loop {
        let after = Left::of(plan)?;
        match before.and_now(&after) {
            None => return Ok(None),
            Some(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Some((what, before, after)) => return Err(What::Left(what, before, after).plain()),
        }
    }
}

fn once(plan: &Plan) -> Result<(), Broke> {
    let mut subject = Subject::new(plan, Edge::Back)?;
    let bytes = samples::small(plan.sample.as_deref(), Direction::Upstream);
    let played = subject.play(&[Act::Last(Direction::Upstream, &bytes)], ROOM);
    subject.done();
    played.map(drop)
}

/// An option that the function cannot know.
pub fn unknown_option(plan: &Plan) -> Remark {
    let mut function = plan.function.clone();
    function.options.push((UNKNOWN.to_owned(), "1".to_owned()));
    let ready = Call::Init.marked(|| open::ready(&plan.file, &[&function]));
    let taken = ready.is_ok();
    Call::Deinit.marked(|| drop(ready));
    Ok(taken.then(|| {
        "takes an option that it does not know: a name mistyped in the configuration would pass in silence".to_owned()
    }))
}

/// The same function twice: flows of both, and of one when the other is gone.
pub fn two(plan: &Plan) -> Remark {
    let mut subjects = Subject::two(plan)?;
    let bytes = samples::small(plan.sample.as_deref(), Direction::Upstream);
    let (front, back) = bytes.split_at(bytes.len() / 2);
    let [one, other] = &mut subjects;
    let expected = one.reference(&[Act::Last(Direction::Upstream, &bytes)])?;
    let mut feeds = [one.flow(ROOM)?, other.flow(ROOM)?];
    for (subject, feed) in [one, other].into_iter().zip(&mut feeds) {
        subject.act(feed, &Act::Bytes(Direction::Upstream, front))?;
    }
    let ([one, mut other], [first, second]) = (subjects, feeds);
    drop(first);
    one.done();
    let played = other.play_on(second, &[Act::Last(Direction::Upstream, back)])?;
    other
        .compare(&expected, &played)
        .map_err(|broke| broke.when(|| "in one section after func_deinit of another".to_owned()))?;
    other.done();
    Ok(None)
}
