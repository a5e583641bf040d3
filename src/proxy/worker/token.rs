//! Which flow an event is for: the numbers a worker gives its epoll to say back.

use crate::proxy::session::Side;

/// A place in the slab, with the generation that tells its flows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Token {
    pub index: usize,
    pub generation: u32,
}

/// The listener's.
pub(super) const LISTENER: u64 = u64::MAX;
/// The eventfd's.
pub(super) const WAKE: u64 = u64::MAX - 1;

impl Token {
    /// What epoll says of one of its sockets.
    pub fn data(self, side: Side) -> u64 {
        // The slab never holds 2^32 flows: each has two descriptors, and those are ints.
        let index = u64::try_from(self.index).unwrap_or(u64::MAX) & 0xffff_ffff;
        index << 32 | u64::from(self.generation) << 1 | u64::from(side == Side::Outbound)
    }

    /// Whose event this is.
    pub fn of(data: u64) -> Option<(Self, Side)> {
        let index = usize::try_from(data >> 32).ok()?;
        let generation = u32::try_from((data & 0xffff_ffff) >> 1).ok()?;
        let side = if data & 1 == 1 {
            Side::Outbound
        } else {
            Side::Inbound
        };
        Some((Self { index, generation }, side))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_epoll() {
        for side in [Side::Inbound, Side::Outbound] {
            for (index, generation) in [(0, 0), (7, 1), (0xffff_fffe, 0x7fff_ffff)] {
                let token = Token { index, generation };
                assert_eq!(Token::of(token.data(side)), Some((token, side)));
                assert!(token.data(side) < WAKE);
            }
        }
    }
}
