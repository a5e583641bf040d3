//! What the tests of modules share: a folder that passes the loader, a compiler for the fixtures,
//! cargo for the modules in Rust, and a log that can be read.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code outside of test functions"
)]

pub mod uci;

use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use srv6pipes::config::model::{Function, FunctionFailure, FunctionOption};
use srv6pipes::vnf::{FlowInfo, Registry, Transform};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder only we can write, gone when dropped. The target directory will not do: where the
/// umask is 002, as on many desktops, the group can write it.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("srv6pipes-vnf-{}-{n}", std::process::id()));
        fs::DirBuilder::new().mode(0o755).create(&path).unwrap();
        // On some systems /tmp is a symbolic link, and paths in errors are without any.
        Self(path.canonicalize().unwrap())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where `srv6pipes_vnf.h` is.
pub fn include_dir() -> PathBuf {
    Path::new(ROOT).join("vnf-modules/srv6pipes-vnf/include")
}

/// Runs a command that must succeed; its standard output.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{errors}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Compiles `tests/fixtures/modules/<name>.c` into `to`.
pub fn compile(name: &str, to: &Path, flags: &[&str]) {
    let source = Path::new(ROOT)
        .join("tests/fixtures/modules")
        .join(name)
        .with_extension("c");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    run(Command::new(compiler)
        .args(["-std=c99", "-Wall", "-Werror", "-fPIC", "-shared", "-o"])
        .arg(to)
        .arg("-I")
        .arg(include_dir())
        .args(flags)
        .arg(source));
    trustworthy(to);
}

/// The stock modules and the example `panics`, built by cargo and copied into `dir`.
///
/// Cargo itself says where it put them, so this does not depend on how the target directory was
/// chosen; run from within a test it finds nearly all of its work done.
pub fn copy_rust_modules(dir: &Path) {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let libraries = [
            "-p",
            "srv6pipes-copy",
            "-p",
            "srv6pipes-xor",
            "-p",
            "srv6pipes-passes",
        ];
        let mut built = build(&libraries);
        built.extend(build(&["-p", "srv6pipes-vnf", "--example", "panics"]));
        built
    });
    for module in built {
        let to = dir.join(module.file_name().unwrap());
        fs::copy(module, &to).unwrap();
        trustworthy(&to);
    }
}

fn build(what: &[&str]) -> Vec<PathBuf> {
    let messages = run(Command::new(env!("CARGO"))
        .current_dir(ROOT)
        .args(["build", "--offline", "--message-format=json"])
        .args(what));
    let messages = messages
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let files = messages.flat_map(|message: serde_json::Value| {
        message["filenames"].as_array().cloned().unwrap_or_default()
    });
    let paths = files.filter_map(|file| file.as_str().map(PathBuf::from));
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "so"))
        .collect()
}

/// Makes a file's permissions those of a module, whatever the umask is.
pub fn trustworthy(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// A `config function` section, with its options in the lines below it.
pub fn section(id: u16, module: &str, name: &str, options: &[(&str, &str)]) -> Function {
    Function {
        id,
        module: module.into(),
        name: name.into(),
        on_failure: FunctionFailure::Reset,
        options: (u32::from(id) * 10 + 1..)
            .zip(options)
            .map(|(line, (key, value))| FunctionOption {
                key: (*key).into(),
                value: (*value).into(),
                line,
            })
            .collect(),
        line: u32::from(id) * 10,
    }
}

/// A flow with this argument.
pub fn flow(argument: u32) -> FlowInfo {
    FlowInfo {
        argument,
        client: SocketAddrV6::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 40000, 0, 0),
        server: SocketAddrV6::new(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2), 80, 0, 0),
        id: 1,
        choice: 0,
    }
}

/// A flow of the only function of a module in `dir`.
pub fn transform(dir: &Path, module: &str, name: &str, argument: u32) -> Box<dyn Transform> {
    let registry = Registry::load(&[section(1, module, name, &[])], dir, None).unwrap();
    registry
        .function(1)
        .unwrap()
        .spawn(&flow(argument))
        .unwrap()
}

/// What was logged under a target so far: `LEVEL text`.
pub fn logged(target: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap();
    lines
        .iter()
        .filter(|(of, _)| of == target)
        .map(|(_, line)| line.clone())
        .collect()
}

/// Must be called before what logs.
pub fn keep_log() {
    // All tests of a file share the logger; only the first call sets it.
    let _ = log::set_logger(&Lines);
    log::set_max_level(log::LevelFilter::Trace);
}

static LINES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        LINES
            .lock()
            .unwrap()
            .push((record.target().to_owned(), line));
    }

    fn flush(&self) {}
}
