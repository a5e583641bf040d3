//! Make with the stand-ins for OpenWrt, and packages of files that are no programs: what is in a
//! package does not depend on what its programs do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::files::root;
use crate::modules::{TempDir, run};

/// What the packages are made for.
pub const ARCH: &str = "x86_64";

/// What openwrt/Makefile says to a goal of cross/openwrt/include/package.mk.
pub fn make(goal: &str) -> String {
    let stand_in = root().join("cross/openwrt");
    let mut command = Command::new("make");
    command
        .args(["--silent", "--no-print-directory", "-f"])
        .arg(root().join("openwrt/Makefile"))
        .arg("-I")
        .arg(stand_in.join("lang/rust"))
        .arg(format!("TOPDIR={}", stand_in.display()))
        .arg(format!(
            "INCLUDE_DIR={}",
            stand_in.join("include").display()
        ))
        .arg("PKG_BUILD_DIR=/source")
        .arg(goal)
        .env_remove("MAKEFLAGS");
    run(&mut command).trim_end().to_owned()
}

/// The value of one of its variables.
pub fn variable(name: &str) -> String {
    make(&format!("print-{name}"))
}

/// The packages that it describes.
pub fn names() -> Vec<String> {
    let names = make("show-packages");
    names.split_whitespace().map(str::to_owned).collect()
}

/// The stock modules, as the source tree has them.
pub fn modules() -> BTreeSet<String> {
    let folder = root().join("vnf-modules");
    let mut modules = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let Ok(manifest) = fs::read_to_string(entry.path().join("Cargo.toml")) else {
            continue;
        };
        let is_module =
            manifest.contains("\n[lib]\n") && manifest.contains("\ncrate-type = [\"cdylib\"");
        if is_module && !name.starts_with("template-") {
            modules.insert(name);
        }
    }
    modules
}

/// A folder with what a build leaves for the packages, as far as they look at it.
pub fn built(folder: &Path) {
    let source = folder.join("empty.c");
    fs::write(&source, "int nothing;\n").unwrap();
    let program = folder.join("srv6pipes");
    // Of no libc, so that it asks for no library that a router lacks.
    run(Command::new("cc")
        .args(["-shared", "-nostdlib", "-o"])
        .arg(&program)
        .arg(&source));
    fs::remove_file(source).unwrap();
    for module in modules() {
        fs::copy(&program, folder.join(format!("lib{module}.so"))).unwrap();
    }
}

/// `cross/ipk.sh TARGET FROM TO`, with everything of the same age.
pub fn ipk(target: &str, from: &Path, to: &Path) -> Command {
    let mut command = Command::new(root().join("cross/ipk.sh"));
    command
        .arg(target)
        .args([from, to])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env_remove("MAKEFLAGS");
    command
}

/// The folder of the packages, made once for all tests of this file.
pub fn packages() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        // A static is never dropped: below cargo's own folder nobody minds.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        let _ = fs::remove_dir_all(&folder);
        let from = TempDir::new();
        built(from.path());
        run(&mut ipk(ARCH, from.path(), &folder));
        folder
    })
}

/// One of them.
pub fn package(name: &str) -> PathBuf {
    packages().join(file_name(name))
}

/// How its file is called.
pub fn file_name(name: &str) -> String {
    format!("{name}_{}_{ARCH}.ipk", variable("VERSION"))
}

/// `cross/unpack.sh`, by busybox and nothing else, as on a router.
pub fn unpack() -> Command {
    let mut command = Command::new(applets().join("sh"));
    command
        .arg(root().join("cross/unpack.sh"))
        .env("PATH", applets());
    command
}

/// The folder with busybox's programs.
pub fn applets() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("applets");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        run(Command::new("busybox")
            .args(["--install", "-s"])
            .arg(&folder));
        folder
    })
}

/// Runs a command that must fail; what it says then.
pub fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} does not fail");
    String::from_utf8(output.stderr).unwrap()
}

/// A file of a package: `data` or `control`, and its path there.
pub fn member(package: &Path, part: &str, path: &str) -> String {
    let line = format!(r#"tar -xzOf "$1" "./{part}.tar.gz" | tar -xzO "./{path}""#);
    run(Command::new("bash")
        .args(["-o", "pipefail", "-c", &line, "bash"])
        .arg(package))
}

/// The list of a package's files: mode and path.
pub fn list(package: &Path) -> Vec<(String, String)> {
    let line = r#"tar -xzOf "$1" ./data.tar.gz | tar -tvz"#;
    let list = run(Command::new("bash")
        .args(["-o", "pipefail", "-c", line, "bash"])
        .arg(package));
    list.lines()
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            (words[0].to_owned(), words[5].to_owned())
        })
        .collect()
}
