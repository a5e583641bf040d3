//! What one direction's function means for the other direction, and how a flow ends.

mod reports;
mod waiting;

use std::io::ErrorKind;
use std::net::{Ipv6Addr, Shutdown};
use std::os::unix::net::UnixStream;

use super::*;
use crate::proxy::bench::{Body, chain, copies, copy, offer, pair, records, say, take};
use crate::vnf::{Broken, Verdict};

struct Bench {
    client: UnixStream,
    server: UnixStream,
    session: Option<Session>,
    pools: Pools,
    began: Instant,
    now: Instant,
}

const IDLE: Duration = Duration::from_secs(100);

impl Bench {
    fn new(bodies: impl IntoIterator<Item = Body>) -> Self {
        Self::with(chain(bodies), None)
    }

    /// A flow with these functions; with a timeout, its next segment is still to answer.
    fn with(chain: Chain, connect_timeout: Option<Duration>) -> Self {
        let (client, inbound) = pair();
        let (server, outbound) = pair();
        let nobody = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1, 0, 0);
        let began = Instant::now();
        let beginning = Beginning {
            id: 1,
            client: nobody,
            server: nobody,
            came_to: None,
            held: None,
            inbound,
            outbound,
            chain,
            connect_timeout,
            asked: began,
            answered_after: None,
            idle_timeout: IDLE,
            choices: Choices::default(),
            undecided: None,
        };
        Self {
            client,
            server,
            session: Some(Session::new(beginning, began)),
            pools: Pools::default(),
            began,
            now: began,
        }
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().unwrap()
    }

    /// When it wants to be looked at again, asked at the time of the last step.
    fn due(&mut self) -> Instant {
        let now = self.now;
        self.session().due(|| now)
    }

    /// Two rounds, each after an event of each side: a FIN behind bytes is an event of its own.
    /// The flow is closed if it is over.
    fn step(&mut self) -> Option<Outcome> {
        self.round().or_else(|| self.round())
    }

    fn round(&mut self) -> Option<Outcome> {
        let session = self.session.as_mut().unwrap();
        for side in [Side::Inbound, Side::Outbound] {
            session.note(side, EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT);
        }
        match session.step(self.now, &mut self.pools) {
            Action::Wait | Action::Again => {
                // As its worker does.
                self.due();
                None
            }
            Action::Close(outcome) => {
                let session = self.session.take().unwrap();
                session.close(&outcome, self.now, &mut self.pools);
                Some(outcome)
            }
        }
    }
}

/// What `peer` has, and whether its end has come.
fn heard(peer: &UnixStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let ended = take(peer, 1 << 20, &mut bytes);
    (bytes, ended)
}

/// Upstream it copies; downstream it closes the flow with a last word.
fn closes_downstream() -> Body {
    let mut closed = false;
    Box::new(move |direction, input, output, end| {
        assert!(!closed, "called after CLOSE");
        if direction == Direction::Upstream {
            return copy(input, output, end);
        }
        closed = true;
        output[..3].copy_from_slice(b"bye");
        say(input.len(), 3, Verdict::Close)
    })
}

#[test]
fn close_ends_both_directions_at_once() {
    let mut bench = Bench::new([closes_downstream(), records(100)]);
    offer(&bench.client, b"hello");
    assert!(bench.step().is_none());
    assert_eq!(heard(&bench.server), (vec![], false));
    offer(&bench.server, &[0; 100]);
    assert!(bench.step().is_none());
    // Behind the function that closed, what it let through is flushed by the one that waits.
    assert_eq!(heard(&bench.server), (b"hello".to_vec(), true));
    assert_eq!(heard(&bench.client), (b"bye".to_vec(), true));
    assert_eq!(bench.session().state_name(), "closing");

    // Both go on for a while; nobody hears it and nobody is reset.
    for peer in [&bench.client, &bench.server] {
        assert_eq!(offer(peer, b"what?"), 5);
    }
    assert!(bench.step().is_none());
    for peer in [&bench.client, &bench.server] {
        peer.shutdown(Shutdown::Write).unwrap();
    }
    assert!(matches!(bench.step(), Some(Outcome::ByFunction)));
}

#[test]
fn a_peer_that_goes_on_after_close_is_left_after_a_while() {
    let mut bench = Bench::new([closes_downstream()]);
    offer(&bench.server, b"x");
    assert!(bench.step().is_none());
    let deadline = bench.due();
    assert_eq!(deadline, bench.began + LINGER);
    assert!(
        bench
            .session()
            .late(deadline - Duration::from_millis(1))
            .is_none()
    );
    let outcome = bench.session().late(deadline).unwrap();
    assert!(matches!(outcome, Outcome::ByFunction));
}

#[test]
fn what_was_produced_before_close_may_take_its_time() {
    let closes: Body = Box::new(|_, input, output, _| {
        output[..60_000].fill(b'z');
        say(input.len(), 60_000, Verdict::Close)
    });
    let mut bench = Bench::new([closes]);
    offer(&bench.client, b"x");
    assert!(bench.step().is_none());
    // The server does not read yet.
    assert!(bench.due() >= bench.began + IDLE);
    let mut bytes = Vec::new();
    while !take(&bench.server, 5000, &mut bytes) {
        assert!(bench.step().is_none());
    }
    assert_eq!(bytes.len(), 60_000);
    assert_eq!(bench.due(), bench.began + LINGER);
}

#[test]
fn a_function_that_breaks_lets_go_of_what_waits_in_the_other_direction() {
    let body: Body = Box::new(|direction, _, _, _| match direction {
        Direction::Upstream => say(0, 0, Verdict::More),
        Direction::Downstream => Err(Broken::Failed),
    });
    let mut bench = Bench::new([body]);
    offer(&bench.client, b"kept");
    assert!(bench.step().is_none());
    assert_eq!(heard(&bench.server).0, b"");
    offer(&bench.server, b"answer");
    assert!(bench.step().is_none());
    assert_eq!(heard(&bench.server).0, b"kept");
    assert_eq!(heard(&bench.client).0, b"answer");
    let stage = bench.session().chain.stage(Direction::Upstream, 0).unwrap();
    assert_eq!(stage.counters.broken_flows.value(), 1);
}

#[test]
fn in_a_chain_it_is_the_broken_one_that_passes() {
    // Turns 'a' into 'b' and 'b' into 'c', so that order and place show.
    let next = |breaks: bool| -> Body {
        Box::new(move |direction, input, output, end| {
            if breaks && direction == Direction::Downstream {
                return Err(Broken::Failed);
            }
            let done = copy(input, output, end);
            for byte in &mut output[..input.len()] {
                *byte += 1;
            }
            done
        })
    };
    for (broken, expected) in [(0, b'c'), (1, b'c'), (2, b'c')] {
        let bodies: Vec<Body> = (0..3).map(|i| next(i == broken)).collect();
        let mut bench = Bench::new(bodies);
        offer(&bench.server, b"a");
        assert!(bench.step().is_none());
        offer(&bench.client, b"a");
        assert!(bench.step().is_none());
        assert_eq!(heard(&bench.client).0, [expected], "downstream, {broken}");
        assert_eq!(heard(&bench.server).0, [expected], "upstream, {broken}");
    }
}

#[test]
fn both_directions_finish_early_and_the_client_has_time_to_read() {
    let head: Body = Box::new(|_, input, output, _| {
        output[0] = input[0];
        say(1, 1, Verdict::Finished)
    });
    let mut bench = Bench::new([head]);
    offer(&bench.client, b"question");
    offer(&bench.server, b"answer");
    assert!(bench.step().is_none());
    assert_eq!(heard(&bench.server), (b"q".to_vec(), true));
    assert_eq!(heard(&bench.client), (b"a".to_vec(), true));
    assert_eq!(offer(&bench.client, b"more questions"), 14);
    assert!(bench.step().is_none());
    let deadline = bench.due();
    assert_eq!(deadline, bench.began + LINGER);
    let late = bench.session().late(deadline);
    assert!(matches!(late, Some(Outcome::Finished)));
    for peer in [&bench.client, &bench.server] {
        peer.shutdown(Shutdown::Write).unwrap();
    }
    assert!(matches!(bench.step(), Some(Outcome::Finished)));
}

#[test]
fn an_ordinary_flow_needs_no_lingering() {
    for bodies in [vec![], vec![copies()]] {
        let mut bench = Bench::new(bodies);
        offer(&bench.client, b"question");
        bench.client.shutdown(Shutdown::Write).unwrap();
        assert!(bench.step().is_none());
        assert_eq!(heard(&bench.server), (b"question".to_vec(), true));
        assert_eq!(bench.session().state_name(), "half-closed");
        assert!(bench.due() >= bench.began + IDLE);
        offer(&bench.server, b"answer");
        bench.server.shutdown(Shutdown::Write).unwrap();
        assert!(matches!(bench.step(), Some(Outcome::Finished)));
        assert_eq!(heard(&bench.client), (b"answer".to_vec(), true));
    }
}

#[test]
fn a_reset_by_a_function_closes_both() {
    let body: Body = Box::new(|_, _, _, _| say(0, 0, Verdict::Reset));
    let mut bench = Bench::new([body]);
    offer(&bench.client, b"x");
    assert!(matches!(bench.step(), Some(Outcome::ByFunction)));
    let gone = std::io::Write::write(&mut &bench.server, b"x").unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::BrokenPipe);
}
