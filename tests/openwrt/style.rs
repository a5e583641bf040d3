//! Shell scripts as OpenWrt's checks want them.

use std::process::Command;

use crate::files::{below, root, text};
use crate::harness::ended::to_end;

fn scripts() -> Vec<std::path::PathBuf> {
    let mut files = below(&root().join("files"));
    files.retain(|path| text(path).starts_with("#!/bin/sh"));
    assert!(!files.is_empty());
    files
}

/// As gh-action-sdk's entrypoint.sh calls it.
#[test]
fn shfmt_finds_nothing_to_change() {
    let mut shfmt = Command::new("shfmt");
    let ended = to_end(shfmt.args(["-d", "-sr", "-s"]).args(scripts()));
    assert_eq!(ended.with(0).stdout, "");
}

/// dash's dialect is the nearest to ash's that shellcheck 0.9 knows.
#[test]
fn shellcheck_finds_nothing() {
    let mut shellcheck = Command::new("shellcheck");
    to_end(shellcheck.args(["-s", "dash"]).args(scripts())).with(0);
}
