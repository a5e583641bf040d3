//! Programs that end by themselves, with what they said.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use super::PATIENCE;

/// What a program said, and its exit code.
#[derive(Debug)]
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ended {
    /// Fails the test unless it ended with `code`.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// Runs `command` to its end; whatever has not ended after [`PATIENCE`] is killed and fails the
/// test.
#[track_caller]
pub fn to_end(command: &mut Command) -> Ended {
    let pipes = command.stdin(Stdio::null());
    let mut child = pipes
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let [stdout, stderr] = [
        reader(child.stdout.take().unwrap()),
        reader(child.stderr.take().unwrap()),
    ];
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        thread::sleep(super::LOOK);
    };
    let [stdout, stderr] = [stdout, stderr].map(|thread| thread.join().unwrap());
    let Some(status) = status else {
        panic!("{command:?} does not end by itself; it said\n{stdout}{stderr}");
    };
    let code = status.code();
    Ended {
        code,
        stdout,
        stderr,
    }
}

fn reader(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
