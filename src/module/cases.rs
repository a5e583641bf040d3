//! The hard cases: what is done to a function, and which promise of `srv6pipes_vnf.h` is at stake.

mod flows;
mod section;
mod stream;

use serde_json::{Value, json};

use crate::module::broke::{Broke, What};
use crate::module::subject::{Plan, Subject};
use crate::sys::guarded::Edge;
use crate::vnf::Direction;

/// One case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What is done, in a few words.
    pub name: &'static str,
    /// What the function is held to.
    pub promise: &'static str,
    /// The optional call without which there is nothing to try.
    pub needs: Option<&'static str>,
    run: Run,
}

/// A case's work: what there is to remark though the promise is kept, if anything.
type Remark = Result<Option<String>, Broke>;

#[derive(Debug, Clone, Copy)]
enum Run {
    /// With the function ready, and buffers that are watched behind their end.
    Ready(fn(&mut Subject<'_>) -> Remark),
    /// Before `func_init`.
    Bare(fn(&Plan) -> Remark),
}

/// How a case ended in which the module did not take the process with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the promise was kept.
    pub kept: bool,
    /// What is wrong, or worth a remark.
    pub text: Option<String>,
    /// Flows that were tried.
    pub flows: usize,
    /// Of these, how many the function ended by itself, and how the last one: `RESET`.
    pub ended: Option<(usize, String)>,
    /// Flows alike gave different bytes, so those of others could not be compared.
    pub fickle: bool,
    /// How slow it was: with 2, the other cases would take too long.
    pub slow: usize,
}

impl Case {
    /// Does it.
    pub fn run(&self, plan: &Plan) -> Outcome {
        let mut outcome = Outcome {
            kept: true,
            text: None,
            flows: 0,
            ended: None,
            fickle: false,
            slow: 0,
        };
        let remark = match self.run {
            Run::Bare(run) => run(plan),
            Run::Ready(run) => Subject::new(plan, Edge::Back).and_then(|mut subject| {
                let remark = run(&mut subject);
                outcome.flows = subject.flows;
                outcome.fickle = subject.fickle;
                let (ended, how) = subject.ended;
                outcome.ended = how.map(|how| (ended, how.to_string()));
                subject.done();
                remark
            }),
        };
        match remark {
            Ok(remark) => outcome.text = remark,
            Err(broke) => {
                outcome.kept = false;
                outcome.slow = match broke.what {
                    What::Blocks(_) => 2,
                    What::Waits(_) => 1,
                    _ => 0,
                };
                outcome.text = Some(broke.to_string());
            }
        }
        outcome
    }
}

impl Outcome {
    /// For the way from the child to its parent.
    pub fn to_json(&self) -> Value {
        json!({
            "kept": self.kept,
            "text": self.text,
            "flows": self.flows,
            "ended": self.ended,
            "fickle": self.fickle,
            "slow": self.slow,
        })
    }

    /// The other end of it.
    pub fn from_json(value: &Value) -> Option<Self> {
        let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let ended = match &value["ended"] {
            Value::Array(pair) => {
                let (count, how) = (pair.first()?, pair.get(1)?);
                Some((number(count)?, how.as_str()?.to_owned()))
            }
            _ => None,
        };
        Some(Self {
            kept: value["kept"].as_bool()?,
            text: value["text"].as_str().map(str::to_owned),
            flows: number(&value["flows"])?,
            ended,
            fickle: value["fickle"].as_bool()?,
            slow: number(&value["slow"])?,
        })
    }
}

/// All of them, those first that a wrong function fails in the plainest way.
pub const ALL: &[Case] = &[
    Case {
        name: "begin and end",
        promise: "func_deinit undoes func_init: no thread and no open file stays behind",
        needs: None,
        run: Run::Bare(section::begin_and_end),
    },
    Case {
        name: "an unknown option",
        promise: "func_init refuses what it cannot use, and lives through it",
        needs: None,
        run: Run::Bare(section::unknown_option),
    },
    Case {
        name: "an empty stream",
        promise: "a direction may end before it has begun; in_len is 0, `in` must not be read",
        needs: None,
        run: Run::Ready(stream::empty),
    },
    Case {
        name: "no standing still",
        promise: "nothing may block: the thread carries other flows too",
        needs: None,
        run: Run::Ready(flows::still),
    },
    Case {
        name: "every split upstream",
        promise: "TCP cuts a stream where it likes: the same bytes come out however they came in",
        needs: None,
        run: Run::Ready(|subject| stream::splits(subject, Direction::Upstream)),
    },
    Case {
        name: "every split downstream",
        promise: "TCP cuts a stream where it likes: the same bytes come out however they came in",
        needs: None,
        run: Run::Ready(|subject| stream::splits(subject, Direction::Downstream)),
    },
    Case {
        name: "byte by byte",
        promise: "what is not consumed comes again, in front of what arrived since",
        needs: None,
        run: Run::Ready(stream::bytes),
    },
    Case {
        name: "one byte of room",
        promise: "out_cap is at least 1: output that does not fit is kept back, none is lost",
        needs: None,
        run: Run::Ready(|subject| stream::room(subject, 1)),
    },
    Case {
        name: "little room",
        promise: "with SRV6PIPES_MIN_ROOM a function goes on, whatever it has to say",
        needs: None,
        run: Run::Ready(stream::little_room),
    },
    Case {
        name: "a full window",
        promise: "with SRV6PIPES_MAX_WINDOW of input a function goes on, and asks for no more",
        needs: None,
        run: Run::Ready(stream::window),
    },
    Case {
        name: "half-close upstream",
        promise: "the end of one direction is not that of the other",
        needs: None,
        run: Run::Ready(|subject| stream::half_close(subject, Direction::Upstream)),
    },
    Case {
        name: "half-close downstream",
        promise: "the end of one direction is not that of the other",
        needs: None,
        run: Run::Ready(|subject| stream::half_close(subject, Direction::Downstream)),
    },
    Case {
        name: "both directions in turns",
        promise: "both directions share flow_state, and neither breaks the other",
        needs: None,
        run: Run::Ready(stream::turns),
    },
    Case {
        name: "a large stream",
        promise: "a stream has no length; after SRV6PIPES_END the calls come to an end",
        needs: None,
        run: Run::Ready(stream::large),
    },
    Case {
        name: "before the buffers",
        promise: "func_process reads and writes within its buffers, and does not write its input",
        needs: None,
        run: Run::Bare(stream::before),
    },
    Case {
        name: "hostile bytes",
        promise: "what a stranger sends may end a flow, and nothing more",
        needs: None,
        run: Run::Ready(stream::hostile),
    },
    Case {
        name: "other arguments",
        promise: "a flow's argument is the client's to choose: it is refused or works",
        needs: None,
        run: Run::Ready(flows::arguments),
    },
    Case {
        name: "gone in mid-stream",
        promise: "func_despawn may follow any call",
        needs: None,
        run: Run::Ready(flows::midstream),
    },
    Case {
        name: "a thousand flows at once",
        promise: "flows have nothing to do with each other",
        needs: None,
        run: Run::Ready(flows::at_once),
    },
    Case {
        name: "thousands of flows in a row",
        promise: "what func_spawn takes, func_despawn gives back",
        needs: None,
        run: Run::Ready(flows::in_a_row),
    },
    Case {
        name: "four threads",
        promise: "calls for different flows run at once, also inside one function",
        needs: None,
        run: Run::Ready(flows::threads),
    },
    Case {
        name: "two sections",
        promise: "several sections may name the same function: each has a state of its own",
        needs: None,
        run: Run::Bare(section::two),
    },
    Case {
        name: "routes",
        promise: "func_route chooses hosts, and bears whatever becomes of its choice",
        needs: Some("func_route"),
        run: Run::Ready(flows::routes),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_survives_the_way_to_the_parent() {
        let mut outcome = Outcome {
            kept: false,
            text: Some("\"quoted\"".to_owned()),
            flows: 7,
            ended: Some((3, "RESET".to_owned())),
            fickle: true,
            slow: 2,
        };
        for _ in 0..2 {
            let text = outcome.to_json().to_string();
            let read = serde_json::from_str(&text).unwrap();
            assert_eq!(Outcome::from_json(&read), Some(outcome.clone()));
            outcome = Outcome {
                text: None,
                ended: None,
                ..outcome
            };
        }
        assert_eq!(Outcome::from_json(&json!({"kept": true})), None);
    }

    #[test]
    fn names_are_unique_and_short() {
        for (n, case) in ALL.iter().enumerate() {
            assert!(case.name.len() <= 30, "{}", case.name);
            let same = ALL.iter().position(|other| other.name == case.name);
            assert_eq!(same, Some(n), "{}", case.name);
        }
    }
}
