//! What a function counts itself, as `status --json` tells it.

use crate::harness::proxy::Proxy;
use crate::harness::status::Status;
use crate::harness::wait_for;

/// The counter of this name and label of function `id`; `None` if it is not shown.
pub fn own(proxy: &Proxy, id: u16, name: &str, label: &str) -> Option<u64> {
    Status::of(proxy).own(id, name, label)
}

/// Waits until function `id` has counted each of `expected`, by name and label.
#[track_caller]
pub fn counts(proxy: &Proxy, id: u16, expected: &[(&str, &str, u64)]) {
    for (name, label, value) in expected {
        wait_for(&format!("{name} {label} to be {value}"), || {
            (own(proxy, id, name, label) == Some(*value)).then_some(())
        });
    }
}
