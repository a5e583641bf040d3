//! A stock curl in the client's namespace, piped into sha256sum: nothing is kept on disk.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::demo::error::Error;
use crate::demo::interrupt::Interrupt;
use crate::demo::namespace::Namespace;
use crate::demo::program;

/// How often the two are asked whether they have ended.
const LOOK: Duration = Duration::from_millis(5);

/// What curl fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// SHA-256 of the body, hexadecimal.
    pub sha256: String,
    /// Length of the body, bytes.
    pub bytes: u64,
    /// Bytes per second, from curl's first thought to the last byte.
    pub speed: f64,
}

/// A child that does not outlive its owner.
struct Mortal(Child);

impl Drop for Mortal {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// Fetches `url` from inside `namespace`.
///
/// # Errors
/// When curl fails or needs more than two minutes, or somebody interrupts.
pub fn fetch(namespace: &Namespace, url: &str, interrupt: &Interrupt) -> Result<Fetched, Error> {
    let mut curl = curl(namespace, url, "120");
    curl.args(["--write-out", "%{stderr}%{size_download} %{speed_download}"]);
    let mut curling = start(&mut curl)?;
    let body = curling
        .0
        .stdout
        .take()
        .map_or_else(Stdio::null, Stdio::from);
    let mut sum = program::command("sha256sum");
    sum.stdin(body).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut summing = start(&mut sum)?;

    let curled = wait(&mut curling, interrupt)?;
    let said = text(curling.0.stderr.as_mut())?;
    if !curled.success() {
        return Err(failed(&curl, curled, said));
    }
    let summed = wait(&mut summing, interrupt)?;
    let digest = text(summing.0.stdout.as_mut())?;
    let mut figures = said.split_whitespace();
    let bytes = figures.next().and_then(|word| word.parse().ok());
    let speed = figures.next().and_then(|word| word.parse().ok());
    match (
        summed.success(),
        digest.split_whitespace().next(),
        bytes,
        speed,
    ) {
        (true, Some(digest), Some(bytes), Some(speed)) => Ok(Fetched {
            sha256: digest.to_owned(),
            bytes,
            speed,
        }),
        (false, ..) => Err(failed(&sum, summed, String::new())),
        _ => Err(failed(&curl, curled, said)),
    }
}

/// Fetches `url` from inside `namespace`: the body, which must be small enough for a pipe.
///
/// # Errors
/// When curl fails or needs more than twenty seconds, or somebody interrupts.
pub fn body(namespace: &Namespace, url: &str, interrupt: &Interrupt) -> Result<String, Error> {
    let mut curl = curl(namespace, url, "20");
    let mut curling = start(&mut curl)?;
    let status = wait(&mut curling, interrupt)?;
    if !status.success() {
        let said = text(curling.0.stderr.as_mut())?;
        return Err(failed(&curl, status, said));
    }
    text(curling.0.stdout.as_mut())
}

/// A curl that gives up after so many `seconds`.
fn curl(namespace: &Namespace, url: &str, seconds: &str) -> Command {
    let mut curl = namespace.command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
    curl.args(["--max-time", seconds, url]);
    curl.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    curl
}

/// SHA-256 of a file, hexadecimal.
///
/// # Errors
/// When sha256sum cannot read it.
pub fn sha256(path: &Path) -> Result<String, program::Error> {
    let line = program::run(program::command("sha256sum").arg("--").arg(path))?;
    let line = String::from_utf8_lossy(&line);
    Ok(line
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned())
}

fn start(command: &mut Command) -> Result<Mortal, Error> {
    let child = command.spawn();
    let child = child.map_err(|source| program::not_started(command, source))?;
    Ok(Mortal(child))
}

fn wait(child: &mut Mortal, interrupt: &Interrupt) -> Result<ExitStatus, Error> {
    loop {
        if let Some(status) = child.0.try_wait().map_err(Error::Output)? {
            return Ok(status);
        }
        interrupt.pause(LOOK)?;
    }
}

fn text(pipe: Option<&mut impl Read>) -> Result<String, Error> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.read_to_end(&mut bytes).map_err(Error::Output)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn failed(command: &Command, status: ExitStatus, stderr: String) -> Error {
    Error::Program(program::Error::Failed {
        command: program::words(command),
        status,
        stderr,
    })
}
