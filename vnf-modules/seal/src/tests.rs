//! A host in miniature: both ends of a sealed way and the wire between them, as bytes.

mod golden;
mod hostile;
mod options;
mod way;

use std::sync::Arc;
use std::time::Duration;

use srv6pipes_vnf::abi::{MAX_WINDOW, MIN_ROOM};
use srv6pipes_vnf::{Direction, Flow, FlowInfo, Setup, Verdict};

use crate::End;
use crate::cipher::{Cipher, Offer};
use crate::hello::Role;
use crate::keys::Keys;
use crate::schedule::MasterKey;
use crate::tunnel::{Terms, Tunnel};

/// The key of id 7.
const MASTER: [u8; 32] = [0x4b; 32];
/// What `seal` and `open` draw in these tests.
const SEAL: [u8; 32] = [0x51; 32];
const OPEN: [u8; 32] = [0x52; 32];

fn master(bytes: [u8; 32]) -> Arc<MasterKey> {
    let mut key = MasterKey::default();
    *key.bytes_mut() = bytes;
    Arc::new(key)
}

/// A function with key 7.
fn end(offer: Offer) -> End {
    let counter = || Setup::detached(&[]).counters().open("nowhere", "");
    let setup = Setup::detached(&[]);
    End {
        keys: Keys::from([(7, master(MASTER))]),
        offer,
        addresses: true,
        terms: Arc::new(Terms {
            patience: Duration::from_secs(40),
            log: setup.log(),
            waker: setup.waker(),
            unauthentic: counter(),
            unanswered: counter(),
        }),
        unknown_key: counter(),
    }
}

fn tunnel(role: Role, random: [u8; 32]) -> Tunnel {
    let end = end(Offer::Only(Cipher::ChaCha20Poly1305));
    end.spawn_with(role, &FlowInfo::detached(7), random)
        .unwrap()
}

/// What a direction of one function has got and given.
#[derive(Debug, Default)]
struct Lane {
    input: Vec<u8>,
    /// The input is all there is.
    end: bool,
    output: Vec<u8>,
    finished: bool,
}

/// One function of one flow, called as the host calls it.
#[derive(Debug)]
struct Caller {
    flow: Tunnel,
    up: Lane,
    down: Lane,
    reset: bool,
    /// Most input and room of a call; less room than a function may count on is made up for.
    window: usize,
    room: usize,
}

impl Caller {
    fn new(flow: Tunnel) -> Self {
        Self {
            flow,
            up: Lane::default(),
            down: Lane::default(),
            reset: false,
            window: MAX_WINDOW,
            room: MAX_WINDOW,
        }
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Upstream => &mut self.up,
            Direction::Downstream => &mut self.down,
        }
    }

    /// Calls until nothing more comes of it; whether anything did.
    fn run(&mut self, direction: Direction) -> bool {
        let mut moved = false;
        while !self.reset && !self.lane(direction).finished {
            let room = self.room;
            if !self.call(direction, room) && (room >= MIN_ROOM || !self.call(direction, MIN_ROOM))
            {
                break;
            }
            moved = true;
        }
        moved
    }

    /// Whether a call consumed or produced anything, or ended something.
    fn call(&mut self, direction: Direction, room: usize) -> bool {
        if self.reset {
            return true;
        }
        let window = self.window;
        let lane = match direction {
            Direction::Upstream => &mut self.up,
            Direction::Downstream => &mut self.down,
        };
        let offered = lane.input.len().min(window);
        let end = lane.end && offered == lane.input.len();
        let mut output = vec![0xa5; room];
        let done = self
            .flow
            .process(direction, &lane.input[..offered], &mut output, end)
            .unwrap();
        assert!(done.consumed <= offered && done.produced <= room);
        let moved = done.consumed > 0 || done.produced > 0;
        match done.verdict {
            Verdict::Reset => {
                self.reset = true;
                return true;
            }
            Verdict::Finished => lane.finished = true,
            Verdict::More => {
                let all = room >= MIN_ROOM && (end || offered == MAX_WINDOW);
                assert!(moved || !all, "stalled {direction:?}");
            }
            Verdict::Wait(ms) => assert!(ms > 0, "waits for ever"),
            other => panic!("{other:?}"),
        }
        lane.input.drain(..done.consumed);
        lane.output.extend(&output[..done.produced]);
        moved || lane.finished
    }
}

/// Both ends, and what went over the wire between them.
#[derive(Debug)]
struct Way {
    seal: Caller,
    open: Caller,
    /// Bytes on the wire so far: upstream, downstream.
    wire: [Vec<u8>; 2],
}

impl Way {
    fn new(seal: Tunnel, open: Tunnel) -> Self {
        Self {
            seal: Caller::new(seal),
            open: Caller::new(open),
            wire: Default::default(),
        }
    }

    /// With the fixed randoms.
    fn fixed() -> Self {
        Self::new(tunnel(Role::Seal, SEAL), tunnel(Role::Open, OPEN))
    }

    /// What the client says, and what the server says.
    fn say(&mut self, client: &[u8], server: &[u8]) {
        self.seal.up.input.extend(client);
        self.open.down.input.extend(server);
        self.run();
    }

    /// Both of them have said all.
    fn end(&mut self) {
        self.seal.up.end = true;
        self.open.down.end = true;
        self.run();
    }

    /// Until nothing moves.
    fn run(&mut self) {
        loop {
            let mut moved = self.seal.run(Direction::Upstream);
            moved |= self.open.run(Direction::Downstream);
            let [up, down] = &mut self.wire;
            carry(&mut self.seal.up, &mut self.open.up, up);
            carry(&mut self.open.down, &mut self.seal.down, down);
            moved |= self.open.run(Direction::Upstream);
            moved |= self.seal.run(Direction::Downstream);
            if !moved {
                return;
            }
        }
    }

    /// What the server has heard, and what the client has.
    fn heard(&self) -> (&[u8], &[u8]) {
        (&self.open.up.output, &self.seal.down.output)
    }
}

fn carry(from: &mut Lane, to: &mut Lane, wire: &mut Vec<u8>) {
    wire.extend(&from.output);
    to.input.append(&mut from.output);
    to.end = from.finished;
}

/// Bytes that differ from their neighbours near and far.
fn noise(length: usize) -> Vec<u8> {
    let word = |i: u32| i.wrapping_mul(0x9e37_79b9).to_be_bytes()[0];
    (0..u32::try_from(length).unwrap()).map(word).collect()
}
