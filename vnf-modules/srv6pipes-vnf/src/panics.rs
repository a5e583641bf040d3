//! Panics of a function: caught, told to the host's log, and never let out into the host.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::module::Reason;

/// Where and why a function panicked.
pub struct Panicked(String);

impl Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

thread_local! {
    /// Whether this thread runs a function now.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// What the hook was told of the last panic.
    static LAST_PANIC: Cell<String> = const { Cell::new(String::new()) };
}

/// Lets panics of functions go to the host's log alone: the usual hook would write some lines to
/// standard error for each flow that a client makes panic. Other panics are not concerned.
pub fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if INSIDE.get() {
                LAST_PANIC.set(info.to_string());
            } else {
                usual(info);
            }
        }));
    });
}

/// Runs `work`, and never unwinds.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    INSIDE.set(true);
    // What `work` leaves half done is not used again: after a refused init or spawn there is no
    // state, and after ERROR the host calls nothing but `func_despawn`.
    let done = catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let panicked = Panicked(LAST_PANIC.take());
        // What a panic carries may panic in turn when dropped, and only what that carries is
        // leaked: a client that makes a function panic must not cost memory each time.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(payload);
        }
        panicked
    });
    INSIDE.set(false);
    done
}

/// A reason as text, made where a panic of its author's code is caught.
#[expect(
    clippy::needless_pass_by_value,
    reason = "its Drop is its author's code too"
)]
pub fn text_of(reason: Reason) -> String {
    reason.to_string()
}
