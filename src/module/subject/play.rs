//! What happens to a flow, act by act, and what is to come of it.

use std::time::Instant;

use crate::module::broke::{Broke, What};
use crate::module::desk::ROOM;
use crate::module::feed::{BOTH, Feed, Over, index};
use crate::module::subject::Subject;
use crate::vnf::Direction;

/// Bytes that a flow may produce, beyond a hundred for each that went in.
const TAIL: usize = 16 << 20;

/// One thing that happens to a flow.
#[derive(Debug, Clone, Copy)]
pub enum Act<'a> {
    /// Bytes arrive.
    Bytes(Direction, &'a [u8]),
    /// The last bytes arrive, and the end with them.
    Last(Direction, &'a [u8]),
}

/// What became of a flow.
#[derive(Debug, PartialEq, Eq)]
pub struct Played {
    /// What came out, by direction.
    pub out: [Vec<u8>; 2],
    /// How the function ended it, if it did.
    pub over: Option<Over>,
}

/// What a stream is to become.
#[derive(Debug)]
pub enum Expected {
    /// This.
    Bytes([Vec<u8>; 2]),
    /// Two flows alike gave different bytes, or were ended by the function: nobody knows.
    Anything,
}

impl Subject<'_> {
    /// Has a new flow go through these acts, from its beginning to the end of both directions.
    ///
    /// # Errors
    /// When the function breaks a promise.
    pub fn play(&mut self, acts: &[Act<'_>], room: usize) -> Result<Played, Broke> {
        let feed = self.next_flow(room)?;
        self.play_on(feed, acts)
    }

    /// The same, with a flow that has begun.
    ///
    /// # Errors
    /// When the function breaks a promise.
    pub fn play_on(&mut self, mut feed: Feed, acts: &[Act<'_>]) -> Result<Played, Broke> {
        for act in acts {
            self.act(&mut feed, act)?;
        }
        self.finish(&mut feed)?;
        let played = Played {
            out: BOTH.map(|direction| feed.take(direction)),
            over: feed.over().map(|(_, over)| over),
        };
        if let Some(over) = played.over {
            self.ended = (self.ended.0 + 1, Some(over));
        }
        Ok(played)
    }

    /// One act, and all calls that it leads to but those that only time brings.
    ///
    /// # Errors
    /// When the function breaks a promise.
    pub fn act(&mut self, feed: &mut Feed, act: &Act<'_>) -> Result<(), Broke> {
        let (direction, bytes, last) = match *act {
            Act::Bytes(direction, bytes) => (direction, bytes, false),
            Act::Last(direction, bytes) => (direction, bytes, true),
        };
        feed.arrive(direction, bytes);
        if last {
            feed.end(direction);
        }
        self.run(feed)
    }

    /// So many of the calls that can be made now.
    ///
    /// # Errors
    /// When the function breaks a promise.
    pub fn steps(&mut self, feed: &mut Feed, calls: usize) -> Result<(), Broke> {
        for _ in 0..calls {
            match feed.step(&mut self.desk) {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => return Err(self.blame(fault)),
            }
        }
        Ok(())
    }

    /// Makes all calls that can be made now.
    fn run(&mut self, feed: &mut Feed) -> Result<(), Broke> {
        loop {
            match feed.step(&mut self.desk) {
                Ok(true) if feed.given() > TAIL + 100 * feed.arrived() => {
                    return Err(What::Endless(feed.given(), feed.arrived()).plain());
                }
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(fault) => return Err(self.blame(fault)),
            }
        }
    }

    /// Makes all calls there are until both directions have ended, waiting where the function
    /// wants to.
    fn finish(&mut self, feed: &mut Feed) -> Result<(), Broke> {
        for direction in BOTH {
            feed.end(direction);
        }
        let (mut before, mut since) = (feed.moved(), Instant::now());
        loop {
            self.run(feed)?;
            if BOTH.iter().all(|&direction| feed.finished(direction)) {
                return Ok(());
            }
            let now = Instant::now();
            if feed.moved() != before {
                (before, since) = (feed.moved(), now);
            }
            let late = since + self.plan.patience;
            if now >= late {
                return Err(What::Waits(self.plan.patience).plain());
            }
            let until = feed.due().flatten().map_or(late, |due| due.min(late));
            self.alarm.wait(Some(until), None)?;
            feed.wake(|id| self.alarm.rang(id));
            feed.tick(Instant::now());
        }
    }

    /// What these acts are to give: what went in, if the function and its inverse are tried, or
    /// what two flows alike agree in.
    ///
    /// # Errors
    /// When the function breaks a promise.
    pub fn reference(&mut self, acts: &[Act<'_>]) -> Result<Expected, Broke> {
        let first = self.play(acts, ROOM)?;
        if self.inverse.is_some() {
            let mut sent: [Vec<u8>; 2] = Default::default();
            for act in acts {
                let (Act::Bytes(direction, bytes) | Act::Last(direction, bytes)) = *act;
                sent[index(direction)].extend_from_slice(bytes);
            }
            let expected = Expected::Bytes(sent);
            self.compare(&expected, &first)?;
            return Ok(expected);
        }
        let second = self.play(acts, ROOM)?;
        let agreed = first == second;
        self.fickle |= !agreed;
        Ok(if agreed && first.over.is_none() {
            Expected::Bytes(first.out)
        } else {
            Expected::Anything
        })
    }

    /// Holds what came out against what was to.
    ///
    /// # Errors
    /// When it is something else.
    pub fn compare(&self, expected: &Expected, played: &Played) -> Result<(), Broke> {
        let Expected::Bytes(expected) = expected else {
            return Ok(());
        };
        match (played.over, &self.inverse) {
            (Some(over), Some(_)) => return Err(What::ChainEnds(over).plain()),
            (Some(over), None) => return Err(What::Ends(over).plain()),
            (None, _) => {}
        }
        for direction in BOTH {
            let (is, was) = (&played.out[index(direction)], &expected[index(direction)]);
            if is != was {
                let same = is.iter().zip(was).take_while(|(is, was)| is == was);
                let (at, is, was) = (same.count(), is.len(), was.len());
                return Err(if self.inverse.is_some() {
                    What::NotUndone(direction, at, is, was).plain()
                } else {
                    What::Differs(direction, at, is, was).plain()
                });
            }
        }
        Ok(())
    }
}
