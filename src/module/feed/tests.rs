//! What a function meets in a feed: as the header has it at `func_process`.

use std::time::{Duration, Instant};

use srv6pipes_vnf::Progress;

use super::*;

const UP: Direction = Direction::Upstream;
const DOWN: Direction = Direction::Downstream;

type Answer = Result<Progress, Broken>;

struct Closure<F>(F);

impl<F> fmt::Debug for Closure<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closure")
    }
}

impl<F> Transform for Closure<F>
where
    F: FnMut(Direction, &[u8], &mut [u8], bool) -> Answer + Send,
{
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Answer {
        assert!(input.len() <= MAX_WINDOW && !output.is_empty());
        (self.0)(direction, input, output, end)
    }
}

fn function(
    body: impl FnMut(Direction, &[u8], &mut [u8], bool) -> Answer + Send + 'static,
    room: usize,
) -> (Spawned, usize) {
    ((Box::new(Closure(body)), 7), room)
}

/// As much as fits, each byte one more.
fn copy(input: &[u8], output: &mut [u8], end: bool) -> Answer {
    let n = input.len().min(output.len());
    for (to, from) in output.iter_mut().zip(input) {
        *to = from.wrapping_add(1);
    }
    Ok(if end && n == input.len() {
        Progress::finished(n, n)
    } else {
        Progress::more(n, n)
    })
}

/// Makes all calls there are; how many.
fn run(feed: &mut Feed) -> usize {
    let mut desk = Desk::plain();
    let mut calls = 0;
    while feed.step(&mut desk).unwrap() {
        calls += 1;
    }
    calls
}

#[test]
fn bytes_go_through_both_functions_in_the_order_of_travel() {
    let doubles = |direction: Direction, input: &[u8], output: &mut [u8], end: bool| {
        if direction == UP {
            return copy(input, output, end);
        }
        let n = input.len().min(output.len() / 2);
        for (to, from) in output.chunks_mut(2).zip(&input[..n]) {
            to.fill(*from);
        }
        Ok(if end && n == input.len() {
            Progress::finished(n, 2 * n)
        } else {
            Progress::more(n, 2 * n)
        })
    };
    let plus = |_, input: &[u8], output: &mut [u8], end| copy(input, output, end);
    let mut feed = Feed::new([function(doubles, 5), function(plus, 1)]);
    for direction in BOTH {
        feed.arrive(direction, b"abc");
        feed.end(direction);
    }
    run(&mut feed);
    assert_eq!(feed.take(UP), b"cde");
    assert_eq!(feed.take(DOWN), b"bbccdd");
    assert!(feed.finished(UP) && feed.finished(DOWN));
    assert_eq!((feed.arrived(), feed.given(), feed.over()), (6, 9, None));
}

#[test]
fn after_a_call_that_did_nothing_there_is_room_enough() {
    // Eight bytes at once or none.
    let mut rooms = Vec::new();
    let (told, tell) = std::sync::mpsc::channel();
    let body = move |_, input: &[u8], output: &mut [u8], end: bool| {
        told.send(output.len()).unwrap();
        let n = if output.len() < 8 {
            0
        } else {
            input.len().min(8)
        };
        output[..n].copy_from_slice(&input[..n]);
        Ok(if end && n == input.len() {
            Progress::finished(n, n)
        } else {
            Progress::more(n, n)
        })
    };
    let mut feed = Feed::new([function(body, 1)]);
    feed.arrive(UP, b"0123456789");
    feed.end(UP);
    run(&mut feed);
    assert_eq!(feed.take(UP), b"0123456789");
    rooms.extend(tell.try_iter());
    assert_eq!(rooms, [1, MIN_ROOM, 1, MIN_ROOM]);
}

#[test]
fn who_asks_for_more_is_called_with_more_only() {
    let body = |_, input: &[u8], output: &mut [u8], end: bool| {
        if input.len() < 4 && !end {
            return Ok(Progress::more(0, 0));
        }
        copy(input, output, end)
    };
    let mut feed = Feed::new([function(body, ROOM)]);
    feed.arrive(UP, b"ab");
    assert_eq!((run(&mut feed), run(&mut feed)), (1, 0));
    feed.arrive(UP, b"c");
    assert_eq!(run(&mut feed), 1);
    feed.arrive(UP, b"d");
    assert_eq!(run(&mut feed), 1);
    assert_eq!(feed.take(UP), b"bcde");
    feed.end(UP);
    assert_eq!(run(&mut feed), 1);
    assert!(feed.finished(UP) && !feed.finished(DOWN));
}

#[test]
fn who_waits_is_called_in_time_or_woken_and_not_before() {
    let mut calls = 0;
    let body = move |_, input: &[u8], output: &mut [u8], end| {
        calls += 1;
        match calls {
            1 => Ok(Progress::wait(1, 0, 1000)),
            2 => Ok(Progress::wait(0, 0, 0)),
            _ => copy(input, output, end),
        }
    };
    let mut feed = Feed::new([function(body, ROOM)]);
    assert_eq!(feed.due(), None);
    feed.arrive(UP, b"ab");
    assert_eq!(run(&mut feed), 1);
    let due = feed.due().unwrap().unwrap();
    assert!(due > Instant::now());
    feed.tick(due.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(run(&mut feed), 0);
    feed.tick(due);
    assert_eq!(run(&mut feed), 1);
    assert_eq!(feed.due(), Some(None), "it has no limit now");
    feed.tick(due + Duration::from_secs(9));
    feed.wake(|id| id == 8);
    assert_eq!(run(&mut feed), 0);
    feed.wake(|id| id == 7);
    assert_eq!((run(&mut feed), feed.take(UP)), (1, b"c".to_vec()));
}

#[test]
fn who_waits_hears_of_new_input_and_of_the_end() {
    let body = |_, input: &[u8], output: &mut [u8], end: bool| {
        if end {
            return copy(input, output, end);
        }
        Ok(Progress::wait(0, 0, 0))
    };
    let mut feed = Feed::new([function(body, ROOM)]);
    for _ in 0..2 {
        feed.arrive(UP, b"a");
        assert_eq!(run(&mut feed), 1);
    }
    feed.end(UP);
    run(&mut feed);
    assert_eq!(feed.take(UP), b"bb");
}

#[test]
fn what_passes_goes_on_without_the_function() {
    let body = |_, _: &[u8], output: &mut [u8], _| {
        output[..2].copy_from_slice(b"> ");
        Ok(Progress::pass(1, 2))
    };
    let mut feed = Feed::new([function(body, ROOM)]);
    feed.arrive(UP, b"abc");
    run(&mut feed);
    assert!(feed.passes(0, UP) && !feed.passes(0, DOWN));
    feed.arrive(UP, b"def");
    feed.end(UP);
    run(&mut feed);
    assert_eq!(feed.take(UP), b"> bcdef");
    assert!(feed.finished(UP));
}

#[test]
fn a_close_delivers_and_a_reset_does_not() {
    for (verdict, over, out) in [
        (Verdict::Close, Over::Closed, &b"c"[..]),
        (Verdict::Reset, Over::Reset, b""),
    ] {
        let ends = move |_, _: &[u8], output: &mut [u8], _| {
            output[0] = b'b';
            Ok(Progress {
                consumed: 1,
                produced: 1,
                verdict,
            })
        };
        let plus = |_, input: &[u8], output: &mut [u8], end| copy(input, output, end);
        let mut feed = Feed::new([function(ends, ROOM), function(plus, ROOM)]);
        feed.arrive(UP, b"abc");
        run(&mut feed);
        assert_eq!(feed.over(), Some((0, over)));
        assert_eq!(feed.take(UP), out, "{verdict:?}");
        assert!(feed.finished(UP) && feed.finished(DOWN), "{verdict:?}");
        feed.arrive(DOWN, b"abc");
        assert_eq!((run(&mut feed), feed.given()), (0, out.len()));
    }
}

#[test]
fn whose_fault_it_is_is_told() {
    let plus = |_, input: &[u8], output: &mut [u8], end| copy(input, output, end);
    let fails = |_, _: &[u8], _: &mut [u8], _| Err(Broken::Failed);
    let breaks = |_, _: &[u8], _: &mut [u8], _| Err(Broken::Stalled);
    let mut feed = Feed::new([function(plus, ROOM), function(fails, ROOM)]);
    feed.arrive(UP, b"a");
    run(&mut feed);
    assert_eq!(feed.over(), Some((1, Over::Failed)));

    let mut feed = Feed::new([function(plus, ROOM), function(breaks, ROOM)]);
    feed.arrive(DOWN, b"a");
    let fault = feed.step(&mut Desk::plain());
    assert!(matches!(fault, Err(Fault::Broken(1, Broken::Stalled))));
}

#[test]
fn nothing_piles_up_before_a_function_that_is_busy() {
    let plus = |_, input: &[u8], output: &mut [u8], end| copy(input, output, end);
    // Takes nothing until it is woken.
    let rests = |_, _: &[u8], _: &mut [u8], _| Ok(Progress::wait(0, 0, 0));
    let mut feed = Feed::new([function(plus, ROOM), function(rests, ROOM)]);
    for _ in 0..4 {
        feed.arrive(UP, &[0; MAX_WINDOW]);
    }
    run(&mut feed);
    assert_eq!(feed.lanes[0][1].waiting(), MAX_WINDOW);
    assert!(!feed.wants(UP));
}
