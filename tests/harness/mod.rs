//! What the tests that touch the kernel stand on: the laboratory of `src/demo/lab.rs`, the real
//! daemon in it, peers, packets by hand, and the state of the kernel before and after.
//!
//! A test begins with [`lab`], which skips loudly where nobody is root (and fails where `CI` is
//! set). Nothing sleeps for a fixed time: [`wait_for`] looks at a condition until a deadline that
//! a slow and loaded machine still keeps.

#![allow(dead_code, reason = "every test binary uses another part of this")]
#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

pub mod by_hand;
pub mod counters;
pub mod craft;
pub mod ended;
pub mod ends;
pub mod kernel;
pub mod noise;
pub mod overheard;
pub mod peer;
pub mod pipeline;
pub mod proxy;
pub mod routes;
pub mod sight;
pub mod status;
pub mod talk;
pub mod text;
pub mod wire;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use srv6pipes::demo::lab::{Lab, Options};

/// Begins the names of namespaces and folders of the tests.
pub const PREFIX: &str = "srv6p-test";
/// How long anything may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);

/// A laboratory with `proxies` proxies, or `None` where the test has to be skipped.
pub fn lab(proxies: u8) -> Option<Lab> {
    lab_with(&Options {
        proxies,
        ..Options::default()
    })
}

/// As [`lab`], with all options.
pub fn lab_with(options: &Options) -> Option<Lab> {
    is_root().then(|| Lab::new(PREFIX, options).unwrap_or_else(|error| panic!("{}", chain(&error))))
}

/// Whether this process may do what the tests need; says so loudly if not.
///
/// # Panics
/// Where `CI` is set: a test that is not run there is a test that does not exist.
pub fn is_root() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "tests in namespaces need root, and CI is set"
    );
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    // Not eprintln!: of a test that passes, the runner would swallow it.
    let line = format!("SKIPPED {name}: needs root for network namespaces\n");
    io::stderr().write_all(line.as_bytes()).unwrap();
    false
}

/// Looks at `condition` until it gives something.
///
/// # Panics
/// After [`PATIENCE`], with `what` was waited for.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(LOOK);
    }
}

/// How much a test does: `usually`, or what the environment says. On an emulated machine (tests/arm)
/// the ends of its first flow would lose patience while its last begins.
pub fn amount(variable: &str, usually: u64) -> u64 {
    std::env::var(variable).map_or(usually, |amount| amount.parse().unwrap())
}

/// An error and its reasons on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
