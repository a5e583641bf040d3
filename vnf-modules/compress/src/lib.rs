//! The stock functions `compress` and `decompress`: between the two proxies that run them, the
//! flow takes less room on the wire.
//!
//! `compress` packs what goes upstream and unpacks what comes downstream; `decompress`, at the
//! proxy nearer to the server, does the reverse. `format.rs` says what lies between them.
#![deny(unsafe_code)]

mod codec;
mod format;
mod lz4;
mod options;
mod pack;
#[cfg(test)]
mod tests;
mod unpack;
#[cfg(feature = "zstd")]
mod zstd;

use std::ffi::CStr;
use std::sync::Arc;

use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, Setup};

use crate::options::Options;
use crate::pack::Packer;
use crate::unpack::Unpacker;

/// The function at the proxy nearer to the client.
#[derive(Debug)]
pub struct Compress(Arc<Options>);

/// The function at the proxy nearer to the server.
#[derive(Debug)]
pub struct Decompress(Arc<Options>);

/// One flow at one end of the compressed stretch.
#[derive(Debug)]
pub struct Stretch {
    /// The direction that enters the stretch here; the other one leaves it.
    enters: Direction,
    packer: Packer,
    unpacker: Unpacker,
    options: Arc<Options>,
}

impl Function for Compress {
    const NAME: &CStr = c"compress";
    const SUMMARY: &CStr = c"compresses upstream and decompresses downstream";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    const FAILS_CLOSED: bool = true;
    type Flow = Stretch;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        Ok(Self(Arc::new(Options::read(setup))))
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<Stretch, Reason> {
        Stretch::begin(&self.0, flow, Direction::Upstream)
    }
}

impl Function for Decompress {
    const NAME: &CStr = c"decompress";
    const SUMMARY: &CStr = c"decompresses upstream and compresses downstream";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    const FAILS_CLOSED: bool = true;
    type Flow = Stretch;

    fn init(setup: &Setup) -> Result<Self, Reason> {
        Ok(Self(Arc::new(Options::read(setup))))
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<Stretch, Reason> {
        Stretch::begin(&self.0, flow, Direction::Downstream)
    }
}

impl Stretch {
    fn begin(options: &Arc<Options>, flow: &FlowInfo, enters: Direction) -> Result<Self, Reason> {
        if flow.argument != 0 {
            return Err(format!("argument {:#x}: must be 0", flow.argument).into());
        }
        Ok(Self {
            enters,
            packer: Packer::new(options.terms, options.level),
            unpacker: Unpacker::new(options.terms),
            options: Arc::clone(options),
        })
    }
}

impl Flow for Stretch {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        let counted = self.options.counters(direction);
        if direction == self.enters {
            let done = self.packer.process(input, output, end)?;
            counted.clear.add(done.consumed as u64);
            counted.packed.add(done.produced as u64);
            return Ok(done);
        }
        match self.unpacker.process(input, output, end) {
            Ok(done) => {
                counted.packed.add(done.consumed as u64);
                counted.clear.add(done.produced as u64);
                Ok(done)
            }
            Err(mistake) => {
                self.options.tell(mistake);
                Err(mistake.into())
            }
        }
    }
}

srv6pipes_vnf::export_functions!(Compress, Decompress);
