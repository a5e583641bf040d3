//! Streams to feed: the same in every run, so that what one run shows the next does too.

use std::fmt::Write;

use crate::vnf::Direction;

/// The most of a stream that is fed in every way there is, bytes.
const SMALL: usize = 1024;

/// A few hundred bytes, such as a flow may begin with: text first, then every byte there is.
pub fn small(sample: Option<&[u8]>, direction: Direction) -> Vec<u8> {
    if let Some(sample) = sample {
        return sample[..sample.len().min(SMALL)].to_vec();
    }
    let head: &[u8] = match direction {
        Direction::Upstream => {
            b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nAccept: */*\r\n\r\n"
        }
        Direction::Downstream => b"HTTP/1.1 200 OK\r\nContent-Length: 256\r\n\r\n",
    };
    head.iter().copied().chain(0..=255).collect()
}

/// A stream of this length: the sample again and again, or text and noise in turns.
pub fn long(sample: Option<&[u8]>, direction: Direction, length: usize) -> Vec<u8> {
    if let Some(sample) = sample.filter(|sample| !sample.is_empty()) {
        return sample.iter().copied().cycle().take(length).collect();
    }
    /// Bytes of each kind before the other has its turn.
    const TURN: usize = 50_000;
    let mut bytes = small(None, direction);
    let mut turn = 0;
    while bytes.len() < length {
        turn += 1;
        let seed = turn * 2 + u64::from(direction == Direction::Upstream);
        bytes.extend(if turn % 2 == 0 {
            noise(TURN, seed)
        } else {
            text(TURN, seed)
        });
    }
    bytes.truncate(length);
    bytes
}

/// Bytes without any order.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(dice.roll().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Lines that compress as those of a server's log do: a few words often, numbers in between.
pub fn text(length: usize, seed: u64) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "GET",
        "POST",
        "/index.html",
        "/style.css",
        "/images/logo.png",
        "HTTP/1.1",
        "200",
        "304",
        "404",
        "the",
        "of",
        "and",
        "flow",
        "segment",
        "router",
        "client",
        "server",
        "function",
        "locator",
        "argument",
        "Mozilla/5.0",
        "curl/8.14.1",
        "example.org",
        "2001:db8::1",
    ];
    let mut dice = Dice::new(seed);
    let mut text = String::with_capacity(length + 64);
    while text.len() < length {
        let roll = dice.roll();
        // The product of two rolls is small more often than not: few words make up most of it.
        let word = (roll % 24) * ((roll >> 16) % 24) / 24;
        let end = if roll >> 60 == 0 { '\n' } else { ' ' };
        let word = WORDS[usize::try_from(word).unwrap_or_default()];
        let _infallible = if (roll >> 32).is_multiple_of(6) {
            write!(text, "{word} {}{end}", (roll >> 40) % 10_000)
        } else {
            write!(text, "{word}{end}")
        };
    }
    text.truncate(length);
    text.into_bytes()
}

/// xorshift64*, Marsaglia 2003 and Vigna 2014: fast, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_as_long_as_asked_for_and_always_the_same() {
        for length in [0, 1, 1000, 200_001] {
            for make in [noise, text] {
                assert_eq!(make(length, 7).len(), length);
                assert_eq!(make(length, 7), make(length, 7));
            }
            let up = long(None, Direction::Upstream, length);
            assert_eq!(up.len(), length);
        }
        assert_ne!(noise(64, 1), noise(64, 2));
        assert_eq!(long(Some(b"ab"), Direction::Upstream, 5), b"ababa");
        assert_eq!(small(Some(&[7; 5000]), Direction::Upstream).len(), SMALL);
    }
}
