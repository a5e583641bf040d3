//! The scripts that make and try packages, before anybody runs them. (Those in files/ are
//! tests/openwrt's.)

use std::path::PathBuf;
use std::process::Command;

use crate::files::{below, root, text};
use crate::modules::run;

/// The shell scripts below these folders.
fn scripts(folders: &[&str]) -> Vec<PathBuf> {
    let files = folders
        .iter()
        .flat_map(|folder| below(&root().join(folder)));
    files
        .filter(|path| {
            let text = text(path);
            let first = text.lines().next().unwrap_or_default();
            first.starts_with("#!/bin/sh") || first.starts_with("#!/usr/bin/env bash")
        })
        .collect()
}

#[test]
fn shellcheck_finds_nothing() {
    let scripts = scripts(&["openwrt", "cross", "tests/packaging", "tests/arm"]);
    assert!(scripts.len() >= 3, "{scripts:?}");
    for script in scripts {
        run(Command::new("shellcheck").arg(script));
    }
}

/// As the feed's CI formats what ends up in a router.
#[test]
fn shfmt_changes_nothing() {
    let mut scripts = scripts(&["openwrt"]);
    scripts.push(root().join("cross/unpack.sh"));
    for script in scripts {
        run(Command::new("shfmt").args(["-d", "-sr", "-s"]).arg(script));
    }
}
