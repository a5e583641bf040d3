//! The eight bits of the packet mark that are ours, and what we write into them.
//!
//! Rules, routes and sockets speak to each other through the mark: `setup` renders it into the
//! nft table and the routing rules, `proxy` reads it back with `SO_MARK` and hands it to NFQUEUE.
//!
//! ```text
//!   7 6 5 4 3 2 1   0
//!  +-------------+-----+
//!  |    path     |local|    path 0: none   1..=125: a policy or a return   126: refuse this SYN
//!  +-------------+-----+
//! ```

/// Eight adjacent bits of the 32-bit packet mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkMask {
    /// Position of the lowest of the eight bits, 0 to 24.
    pub shift: u8,
}

/// Number of a policy or return: in file order from 1, policies first; after a reload as
/// [`Numbers`](crate::config::numbers::Numbers) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathNumber(u8);

impl PathNumber {
    /// How many policies and returns one configuration can have together.
    pub const MAX: usize = 125;

    /// The path at `index` (from 0) of all policies and then all returns.
    pub fn from_index(index: usize) -> Option<Self> {
        (index < Self::MAX)
            .then(|| u8::try_from(index + 1).ok().map(Self))
            .flatten()
    }

    /// Back to the index.
    pub fn index(self) -> usize {
        usize::from(self.0) - 1
    }
}

impl MarkMask {
    const LOCAL: u32 = 1;
    const REFUSED: u32 = 126;

    /// All eight bits.
    pub fn mask(self) -> u32 {
        0xff << self.shift
    }

    /// "Deliver to us": the one bit, which is also its own mask.
    pub fn local(self) -> u32 {
        Self::LOCAL << self.shift
    }

    /// "Deliver to us", on behalf of a policy or with a return path.
    pub fn local_path(self, path: PathNumber) -> u32 {
        self.local() | self.path(path)
    }

    /// "Route by this path".
    pub fn path(self, path: PathNumber) -> u32 {
        u32::from(path.0) << (self.shift + 1)
    }

    /// "Answer this SYN with a reset", said by the capture of `nfqueue`.
    pub fn refused(self) -> u32 {
        ((Self::REFUSED << 1) | Self::LOCAL) << self.shift
    }

    /// The path that a mark carries.
    pub fn path_of(self, mark: u32) -> Option<PathNumber> {
        let path = u8::try_from((mark >> (self.shift + 1)) & 0x7f).ok()?;
        (path != 0 && u32::from(path) < Self::REFUSED).then_some(PathNumber(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_survives_the_mark() {
        for shift in 0..=24 {
            let mask = MarkMask { shift };
            for index in 0..PathNumber::MAX {
                let path = PathNumber::from_index(index).unwrap();
                let mark = mask.local_path(path);
                assert_eq!(mark & !mask.mask(), 0);
                assert_eq!(mark & mask.local(), mask.local());
                assert_eq!(mask.path_of(mark), Some(path));
                assert_eq!(
                    mask.path_of(mask.path(path)).map(PathNumber::index),
                    Some(index)
                );
                assert_ne!(mark, mask.refused());
            }
            assert_eq!(mask.path_of(mask.local()), None);
            assert_eq!(mask.path_of(mask.refused()), None);
        }
        assert_eq!(PathNumber::from_index(PathNumber::MAX), None);
    }
}
