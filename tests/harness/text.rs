//! Text that is the same in every run, and compresses about as well as what people write.

use std::io::{self, Read};

use super::noise::Noise;

/// Bytes that are made once; the text goes on with pieces of them.
const POOL: usize = 1 << 20;

const WORDS: &[&str] = &[
    "the ",
    "of ",
    "and ",
    "to ",
    "in ",
    "a ",
    "is ",
    "that ",
    "for ",
    "it ",
    "as ",
    "was ",
    "with ",
    "be ",
    "by ",
    "on ",
    "not ",
    "this ",
    "are ",
    "or ",
    "from ",
    "at ",
    "which ",
    "but ",
    "have ",
    "an ",
    "had ",
    "they ",
    "segment ",
    "routing ",
    "header ",
    "packet ",
    "router ",
    "kernel ",
    "socket ",
    "stream ",
    "proxy ",
    "server ",
    "client ",
    "address ",
    "prefix ",
    "function ",
    "argument ",
    "latency ",
    "bandwidth ",
    "congestion ",
    "acknowledgement ",
    "retransmission.\n",
    "destination,\n",
    "network; ",
    "protocol. ",
    "0x2a, ",
    "2001:db8::1 ",
];

/// Endless text from a seed.
#[derive(Debug)]
pub struct Text {
    pool: Vec<u8>,
    noise: Noise,
}

impl Text {
    /// Begins at `seed`.
    pub fn new(seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        let mut pool = Vec::with_capacity(POOL + 32);
        while pool.len() < POOL {
            pool.extend(WORDS[below(&mut noise, WORDS.len())].bytes());
        }
        pool.truncate(POOL);
        Self { pool, noise }
    }
}

impl Read for Text {
    /// Always fills `buffer`; a stream read in other pieces is another stream.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for chunk in buffer.chunks_mut(POOL / 2) {
            let start = below(&mut self.noise, POOL / 2);
            chunk.copy_from_slice(&self.pool[start..start + chunk.len()]);
        }
        Ok(buffer.len())
    }
}

/// A number below `limit`.
fn below(noise: &mut Noise, limit: usize) -> usize {
    let mut word = [0; 8];
    // It never fails.
    let _eight = noise.read(&mut word);
    // The same number on every machine.
    usize::try_from(u64::from_le_bytes(word) % limit as u64).unwrap_or(0)
}
