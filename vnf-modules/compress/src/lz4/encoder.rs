//! Packs LZ4 blocks: greedy, one candidate per hash, steps that grow where nothing matches.

use super::History;

/// log2 of the entries of the table.
const TABLE_LOG: u32 = 12;
/// The shortest match there is.
const MIN_MATCH: usize = 4;
/// The last match begins at least so many bytes before the end of the block,
const MATCH_LIMIT: usize = 12;
/// and so many bytes at the end are literals (both: "End of block conditions").
const LAST_LITERALS: usize = 5;
/// The largest offset that two bytes can say.
const MAX_OFFSET: usize = 65535;
/// After so many (log2) positions without a match the step grows by one.
const PATIENCE_LOG: u32 = 6;
/// What four bits of a token say at most; more goes on in bytes behind it.
const NIBBLE: usize = 15;

type Table = [u32; 1 << TABLE_LOG];

/// Packs blocks that refer to the blocks before them.
#[derive(Debug)]
pub struct Encoder {
    history: History,
    /// Where in the history four bytes of each hash were last seen. It may be wrong, also beyond
    /// the end: what is found there is compared first.
    table: Box<Table>,
}

impl Encoder {
    /// An encoder that refers back by `window` bytes at most.
    pub fn new(window: usize) -> Self {
        Self {
            history: History::new(window),
            table: Box::new([0; 1 << TABLE_LOG]),
        }
    }

    /// Bytes it holds.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        size_of::<Table>() + self.history.memory()
    }

    /// See [`crate::codec::Encoder::encode`].
    pub fn encode(&mut self, clear: &[u8], out: &mut [u8]) -> Option<usize> {
        let moved = self.history.make_room(clear.len());
        if moved > 0 {
            let moved = u32::try_from(moved).unwrap_or(u32::MAX);
            for place in self.table.iter_mut() {
                *place = place.saturating_sub(moved);
            }
        }
        let (_, room) = self.history.split(clear.len());
        room.copy_from_slice(clear);
        let most = out.len().min(clear.len().saturating_sub(WORTH));
        let mut block = Block {
            out: &mut out[..most],
            len: 0,
        };
        let reach = self.history.window().min(MAX_OFFSET);
        let bytes = self.history.with_room(clear.len());
        let packed = pack(
            bytes,
            self.history.len(),
            reach,
            &mut self.table,
            &mut block,
        );
        let len = block.len;
        self.history.keep(clear.len());
        packed.map(|()| len)
    }
}

/// A packed record's head is so much longer than a stored one's, and one byte must be gained.
const WORTH: usize = 3;

/// Packs what of `bytes` lies from `start` on.
fn pack(
    bytes: &[u8],
    start: usize,
    reach: usize,
    table: &mut Table,
    block: &mut Block<'_>,
) -> Option<()> {
    let end = bytes.len();
    // Literals from here on wait to be written.
    let mut waiting = start;
    let mut at = start;
    while let Some((mut here, mut there)) = next_match(bytes, at, reach, table) {
        let mut length = MIN_MATCH;
        while here > waiting && there > 0 && bytes[here - 1] == bytes[there - 1] {
            here -= 1;
            there -= 1;
            length += 1;
        }
        let tail = &bytes[here + length..end - LAST_LITERALS];
        length += common(tail, &bytes[there + length..]);
        block.sequence(&bytes[waiting..here], here - there, length)?;
        at = here + length;
        waiting = at;
        // What repeats with a short period is found at once by this.
        remember(bytes, at - 2, table);
    }
    block.literals(&bytes[waiting..], 0)
}

/// The next position from `at` on whose four bytes were seen before, and where.
fn next_match(
    bytes: &[u8],
    mut at: usize,
    reach: usize,
    table: &mut Table,
) -> Option<(usize, usize)> {
    let last = bytes.len().checked_sub(MATCH_LIMIT)?;
    let mut tries = 1_usize << PATIENCE_LOG;
    while at <= last {
        let there = remember(bytes, at, table);
        if there < at && at - there <= reach && four(bytes, there) == four(bytes, at) {
            return Some((at, there));
        }
        at += tries >> PATIENCE_LOG;
        tries += 1;
    }
    None
}

/// Notes that the four bytes at `at` are there; where they were, perhaps, before.
#[inline]
fn remember(bytes: &[u8], at: usize, table: &mut Table) -> usize {
    /// Knuth's multiplicative hash: 2^32 divided by the golden ratio.
    const SPREAD: u32 = 2_654_435_761;
    let hash = four(bytes, at).wrapping_mul(SPREAD) >> (u32::BITS - TABLE_LOG);
    let now = u32::try_from(at).unwrap_or(0);
    let before = std::mem::replace(&mut table[hash as usize], now);
    before as usize
}

#[inline]
fn four(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .copied()
        .map_or(0, u32::from_le_bytes)
}

/// How many bytes two slices have in common at their fronts.
#[inline]
fn common(one: &[u8], other: &[u8]) -> usize {
    let (eights, _) = one.as_chunks::<8>();
    let (others, _) = other.as_chunks::<8>();
    let mut same = 0;
    for (a, b) in eights.iter().zip(others) {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return same + differ.trailing_zeros() as usize / 8;
        }
        same += 8;
    }
    let rest = one[same..].iter().zip(&other[same..]);
    same + rest.take_while(|(a, b)| a == b).count()
}

/// A block as it is written; whatever does not fit ends it.
struct Block<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Block<'_> {
    /// Some literals, and then a match of `length` bytes, `offset` bytes back.
    fn sequence(&mut self, literals: &[u8], offset: usize, length: usize) -> Option<()> {
        let length = length - MIN_MATCH;
        self.literals(literals, length.min(NIBBLE))?;
        let offset = u16::try_from(offset).ok()?;
        self.push(&offset.to_le_bytes())?;
        self.long(length)
    }

    /// A token with the low four bits of a match's length, and its literals.
    fn literals(&mut self, literals: &[u8], low: usize) -> Option<()> {
        let token = literals.len().min(NIBBLE) << 4 | low;
        self.push(&[u8::try_from(token).ok()?])?;
        self.long(literals.len())?;
        self.push(literals)
    }

    /// What of a length did not fit into its four bits.
    fn long(&mut self, length: usize) -> Option<()> {
        let Some(mut rest) = length.checked_sub(NIBBLE) else {
            return Some(());
        };
        while rest >= 255 {
            self.push(&[255])?;
            rest -= 255;
        }
        self.push(&[u8::try_from(rest).ok()?])
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.out.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }
}
