//! One direction on its way into the compressed stretch.
//!
//! What a call brings is packed and let go in that call, in records as large as it makes them: an
//! interactive session never waits, and under load the host brings 64 KiB at a time.

use srv6pipes_vnf::Progress;

use crate::codec::Encoder;
use crate::format::{
    CODEC_SLACK, HEADER, Kind, LEAST_SEEN, MAX_CLEAR, Mistake, RECORD_HEAD, Record, Terms, chained,
};

/// With less room than this nothing is begun: the host comes again with much more (the header,
/// `func_process`), and a record that has to be cut short for its room is a waste.
const LEAST_ROOM: usize = 2048;

/// One direction.
#[derive(Debug)]
pub struct Packer {
    terms: Terms,
    level: i32,
    /// Made for the first bytes that are worth it.
    encoder: Option<Encoder>,
    /// The last checksum; `None` until the stream header is out.
    checksum: Option<u32>,
}

impl Packer {
    /// Nothing was packed yet, and nothing is allocated.
    pub const fn new(terms: Terms, level: i32) -> Self {
        Self {
            terms,
            level,
            encoder: None,
            checksum: None,
        }
    }

    /// Whether it has memory of its own.
    #[cfg(test)]
    pub const fn allocates(&self) -> bool {
        self.encoder.is_some()
    }

    /// `process` of the direction.
    ///
    /// # Errors
    /// When the codec fails: it had no memory.
    pub fn process(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Mistake> {
        if (input.is_empty() && !end) || output.len() < LEAST_ROOM {
            return Ok(Progress::more(0, 0));
        }
        let mut produced = 0;
        let mut checksum = match self.checksum {
            Some(checksum) => checksum,
            None => {
                let header = self.terms.header();
                output[..HEADER].copy_from_slice(&header);
                produced = HEADER;
                chained(0, &header)
            }
        };
        let mut rest = input;
        while !rest.is_empty() && output.len() - produced >= LEAST_ROOM {
            let room = &mut output[produced..];
            let most = room.len() - RECORD_HEAD - CODEC_SLACK;
            let (clear, behind) = rest.split_at(rest.len().min(MAX_CLEAR).min(most));
            checksum = chained(checksum, clear);
            produced += self.record(clear, checksum, room)?;
            rest = behind;
        }
        let consumed = input.len() - rest.len();
        let ends = end && rest.is_empty() && output.len() - produced >= RECORD_HEAD;
        if ends {
            produced += Record {
                kind: Kind::End,
                clear: 0,
                checksum: chained(checksum, &[]),
            }
            .write(&mut output[produced..]);
            // The other direction may go on for long.
            self.encoder = None;
        }
        self.checksum = Some(checksum);
        Ok(if ends {
            Progress::finished(consumed, produced)
        } else {
            Progress::more(consumed, produced)
        })
    }

    /// Writes one record; its length.
    fn record(&mut self, clear: &[u8], checksum: u32, out: &mut [u8]) -> Result<usize, Mistake> {
        let mut record = Record {
            kind: Kind::Stored,
            clear: clear.len(),
            checksum,
        };
        if clear.len() >= LEAST_SEEN {
            let encoder = match &mut self.encoder {
                Some(encoder) => encoder,
                none => none.insert(Encoder::new(self.terms, self.level)?),
            };
            let room = &mut out[RECORD_HEAD..RECORD_HEAD + clear.len() + CODEC_SLACK];
            if let Some(packed) = encoder.encode(clear, room)? {
                record.kind = Kind::Packed(packed);
                return Ok(record.write(out) + packed);
            }
        }
        let head = record.write(out);
        out[head..head + clear.len()].copy_from_slice(clear);
        Ok(head + clear.len())
    }
}
