//! Bytes that look random and are the same in every run, and their SHA-256.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Marsaglia's xorshift64: endless bytes from a seed.
#[derive(Debug, Clone)]
pub struct Noise(u64);

impl Noise {
    /// Begins at `seed`.
    pub fn new(seed: u64) -> Self {
        // 0 is the one state that never changes.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Read for Noise {
    /// Always fills `buffer`; a stream read in other pieces is another stream, so read it in
    /// multiples of eight.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for chunk in buffer.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(buffer.len())
    }
}

/// The first `length` bytes of the noise of `seed`.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Noise::new(seed).read_exact(&mut bytes).unwrap();
    bytes
}

/// SHA-256.
pub type Sum = [u8; 32];

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Sum {
    Sha256::digest(bytes).into()
}

/// SHA-256 and length of all that `reader` gives until its end or its error, and that error.
pub fn drain(reader: &mut impl Read) -> (u64, Sum, io::Result<()>) {
    let mut hasher = Sha256::new();
    let mut length = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return (length, hasher.finalize().into(), Ok(())),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                length += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (length, hasher.finalize().into(), Err(error)),
        }
    }
}
