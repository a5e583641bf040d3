//! Flows without a host: what a test says of one direction here, the host does in earnest.

mod both_ways;
mod broken;
mod options;
mod records;

use srv6pipes_vnf::abi::{MAX_WINDOW, MIN_ROOM};
use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, Setup, Verdict};

use crate::{Compress, Decompress, Stretch};

/// Options of a section.
pub type Given<'a> = &'a [(&'a str, &'a str)];

/// Every algorithm of this build, with options that make it do its worst.
pub const ALGORITHMS: &[Given<'static>] = &[
    &[],
    &[("window_kb", "16")],
    &[("algorithm", "lz4"), ("window_kb", "64")],
    #[cfg(feature = "zstd")]
    &[("algorithm", "zstd"), ("window_kb", "16"), ("level", "9")],
    #[cfg(feature = "zstd")]
    &[("algorithm", "zstd")],
];

/// Both ends of a flow.
pub fn ends(options: Given<'_>) -> [Stretch; 2] {
    let near = Setup::detached(options).make::<Compress>().unwrap();
    let far = Setup::detached(options).make::<Decompress>().unwrap();
    [
        near.spawn(&FlowInfo::detached(0)).unwrap(),
        far.spawn(&FlowInfo::detached(0)).unwrap(),
    ]
}

/// One direction of a flow, as a host carries it.
pub struct Carried<'a> {
    flow: &'a mut Stretch,
    direction: Direction,
    /// Room that each call begins with.
    room: usize,
    /// Read and not consumed.
    waiting: Vec<u8>,
    /// What has come out.
    pub out: Vec<u8>,
    /// The function has said so.
    pub finished: bool,
}

impl<'a> Carried<'a> {
    /// A direction at its beginning.
    pub fn new(flow: &'a mut Stretch, direction: Direction, room: usize) -> Self {
        Self {
            flow,
            direction,
            room,
            waiting: Vec::new(),
            out: Vec::new(),
            finished: false,
        }
    }

    /// `bytes` arrive; all that can be done then is done, as the header says.
    pub fn feed(&mut self, bytes: &[u8], end: bool) -> Result<(), Reason> {
        self.waiting.extend(bytes);
        let mut room = self.room;
        loop {
            let offer = self.waiting.len().min(MAX_WINDOW);
            let offered = &self.waiting[..offer];
            let whole = offer == self.waiting.len();
            let mut output = vec![0xee; room];
            let done = self
                .flow
                .process(self.direction, offered, &mut output, end && whole)?;
            let Progress {
                consumed, produced, ..
            } = done;
            assert!(consumed <= offer && produced <= room);
            self.out.extend(&output[..produced]);
            self.waiting.drain(..consumed);
            match done.verdict {
                Verdict::Finished => {
                    assert!(end && self.waiting.is_empty());
                    self.finished = true;
                    return Ok(());
                }
                Verdict::More => {}
                other => panic!("{other:?}"),
            }
            let moved = consumed > 0 || produced > 0;
            let cramped = room - produced < MIN_ROOM;
            if moved {
                room = self.room;
            } else if cramped && room < MIN_ROOM {
                room = MIN_ROOM;
            } else {
                assert!(
                    !end && offer < MAX_WINDOW,
                    "nothing done, and the host has no more to offer"
                );
                return Ok(());
            }
        }
    }
}

/// What the two ends make of `bytes` sent upstream in pieces of a size: between them, and behind.
pub fn through(options: Given<'_>, bytes: &[u8], piece: usize, room: usize) -> (Vec<u8>, Vec<u8>) {
    let [mut near, mut far] = ends(options);
    let mut packing = Carried::new(&mut near, Direction::Upstream, room);
    let mut unpacking = Carried::new(&mut far, Direction::Upstream, room);
    let mut passed = 0;
    let mut given = 0;
    for piece in bytes.chunks(piece) {
        packing.feed(piece, false).unwrap();
        unpacking.feed(&packing.out[passed..], false).unwrap();
        passed = packing.out.len();
        given += piece.len();
        assert!(unpacking.out == bytes[..given], "not all of it at once");
    }
    packing.feed(&[], true).unwrap();
    unpacking.feed(&packing.out[passed..], true).unwrap();
    assert!(packing.finished && unpacking.finished);
    (packing.out, unpacking.out)
}

/// Marsaglia's xorshift32.
pub struct Noise(pub u32);

impl Noise {
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    /// Bytes that no codec makes smaller.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_be_bytes()[1]).collect()
    }
}

/// Words in a random order: about as compressible as what people write.
pub fn text(seed: u32, length: usize) -> Vec<u8> {
    const WORDS: &[&str] = &[
        "segment ",
        "routing ",
        "the ",
        "proxy ",
        "of ",
        "flow ",
        "bytes, ",
        "and ",
        "server ",
        "header.\n",
        "client ",
        "a ",
        "list ",
        "kernel ",
        "which ",
        "to ",
        "0x2a ",
        "path ",
    ];
    let mut noise = Noise(seed);
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        text.extend(WORDS[noise.below(WORDS.len())].bytes());
    }
    text.truncate(length);
    text
}
