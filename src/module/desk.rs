//! Where a call's input and output lie: plain memory, or memory that ends with them.

use std::io;

use srv6pipes_vnf::abi::MAX_WINDOW;

use crate::sys::guarded::{Edge, Input, Output};

/// The most room a call is given, bytes.
pub const ROOM: usize = MAX_WINDOW;

/// Buffers for one call at a time.
#[derive(Debug)]
pub enum Desk {
    /// As the daemon's: the input where it is, and room that keeps what was in it.
    Plain(Vec<u8>),
    /// The input cannot be written, and neither it nor the room be left.
    Guarded(Box<Guarded>),
}

/// Buffers between unreadable pages.
#[derive(Debug)]
pub struct Guarded {
    input: Input,
    output: Output,
    /// Which of their ends is watched to the byte.
    edge: Edge,
    /// What the room holds before the call; another byte each time, so that whoever reads it, or
    /// leaves it as output, gives other bytes in each run.
    filling: u8,
}

impl Desk {
    /// As the daemon's.
    pub fn plain() -> Self {
        Self::Plain(vec![0; ROOM])
    }

    /// Between unreadable pages.
    ///
    /// # Errors
    /// When the kernel has no memory for us.
    pub fn guarded(edge: Edge) -> io::Result<Self> {
        Ok(Self::Guarded(Box::new(Guarded {
            input: Input::new(MAX_WINDOW)?,
            output: Output::new(ROOM)?,
            edge,
            filling: 0x55,
        })))
    }

    /// The buffers of one call: this input, and so much room.
    pub(super) fn lay<'a>(
        &'a mut self,
        input: &'a [u8],
        room: usize,
    ) -> io::Result<(&'a [u8], &'a mut [u8])> {
        match self {
            Self::Plain(output) => Ok((input, &mut output[..room])),
            Self::Guarded(guarded) => {
                let output = guarded.output.room(room, guarded.edge);
                guarded.filling = guarded.filling.wrapping_mul(5).wrapping_add(1);
                output.fill(guarded.filling);
                Ok((guarded.input.put(input, guarded.edge)?, output))
            }
        }
    }
}
