//! What a stopping daemon does to the kernel, also when its start fails half-way.

use crate::report::Chain;
use crate::setup::Setup;

/// A set-up kernel that is put back when this is dropped; every failure is logged, none stops the
/// rest.
#[derive(Debug)]
pub struct Undo(pub Option<Setup>);

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(setup) = self.0.take() {
            for error in setup.revert() {
                log::error!("put the kernel back: {}", Chain(&error));
            }
        }
    }
}
