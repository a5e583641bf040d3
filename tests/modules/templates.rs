//! The templates of vnf-modules/, built where somebody has copied them to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ROOT, include_dir, run, trustworthy};

/// `template-c`, by its Makefile; the module.
pub fn in_c(dir: &Path) -> PathBuf {
    let copy = copied("template-c", &["Makefile", "upper.c"], dir);
    run(Command::new("make")
        .arg("-C")
        .arg(&copy)
        .arg("CFLAGS=-O2 -Werror")
        .arg(format!("INCLUDE={}", include_dir().display())));
    let module = copy.join("libupper.so");
    trustworthy(&module);
    module
}

/// `template-rust`, by cargo with these words; the module, if they make one.
pub fn in_rust(dir: &Path, words: &[&str]) -> PathBuf {
    let copy = copied("template-rust", &["Cargo.toml", "src/lib.rs"], dir);
    // As the comment there says.
    let manifest = fs::read_to_string(copy.join("Cargo.toml")).unwrap();
    let sdk = Path::new(ROOT).join("vnf-modules/srv6pipes-vnf");
    let moved = manifest.replace("\"../srv6pipes-vnf\"", &format!("{sdk:?}"));
    assert_ne!(moved, manifest);
    fs::write(copy.join("Cargo.toml"), moved).unwrap();
    run(Command::new(env!("CARGO"))
        .current_dir(&copy)
        .args(words)
        .args(["--offline", "--target-dir", "target"]));
    let module = copy.join("target/debug/libupper.so");
    if module.exists() {
        trustworthy(&module);
    }
    module
}

/// Files of a template, in a folder of its name.
fn copied(template: &str, files: &[&str], dir: &Path) -> PathBuf {
    let from = Path::new(ROOT).join("vnf-modules").join(template);
    let to = dir.join(template);
    for file in files {
        let copy = to.join(file);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(from.join(file), copy).unwrap();
    }
    to
}
