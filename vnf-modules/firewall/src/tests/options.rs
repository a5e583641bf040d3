//! Options and files: what is taken, and how mistakes are told.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use srv6pipes_vnf::{Direction, Setup, Verdict};

use crate::Firewall;
use crate::tests::{End, RESET, flow, get, play};

/// A file of its own, gone when dropped.
struct TestFile(PathBuf);

impl TestFile {
    fn new(text: &[u8]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("srv6pipes-firewall-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}

fn complaints(options: &[(&str, &str)]) -> Vec<(Option<usize>, String)> {
    let complaints = Setup::detached(options).make::<Firewall>().unwrap_err();
    let told = complaints.into_iter().map(|c| (c.option, c.text));
    told.collect()
}

#[test]
fn files_of_names_and_patterns_are_read() {
    let names = TestFile::new(b"0.0.0.0 ads.example\n");
    let patterns = TestFile::new(b"# two of them\nevil\r\n\n\\x00\\x01\n");
    let options = [
        ("block_names_file", names.path()),
        ("block_patterns_file", patterns.path()),
        ("block_answer_patterns_file", patterns.path()),
    ];
    let (up, down) = (Direction::Upstream, Direction::Downstream);
    let cases: [(Direction, &[u8]); 4] = [
        (up, &get("x.ads.example")),
        (up, b"( evil"),
        (up, b"\x00\x01"),
        (down, b"200 evil"),
    ];
    for (direction, stream) in cases {
        let how = play(&mut flow(&options), direction, &[stream], 9000, false);
        assert_eq!(how, RESET, "{}", stream.escape_ascii());
    }
    let good = get("good.example");
    let how = play(&mut flow(&options), up, &[&good], 9000, true);
    assert_eq!(how, End::Passes(good.len()));
}

#[test]
fn a_blocked_flow_ends_as_the_action_says() {
    for (action, verdict) in [("reset", Verdict::Reset), ("close", Verdict::Close)] {
        let mut flow = flow(&[("action", action), ("block_name", "ads.example")]);
        let how = play(
            &mut flow,
            Direction::Upstream,
            &[&get("ads.example")],
            9000,
            false,
        );
        assert_eq!(how, End::Blocked(verdict));
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let told = complaints(&[
        ("inspect_bytes", "65537"),
        ("action", "drop"),
        ("unknown", "maybe"),
        ("block_name", "http://ads.example/"),
        ("allow_name", "a..b"),
        ("block_pattern", r"\x"),
        ("block_answer_pattern", ""),
        ("block_names_file", "blocklist"),
        ("block_patterns_file", "/"),
        ("block_names_file", "/no/such/file"),
    ]);
    let expected = [
        (0, "must be a number from 64 to 65536"),
        (1, "must be one of: reset, close"),
        (2, "must be one of: pass, block"),
        (3, "a name has no ':'"),
        (4, "there is nothing between two dots"),
        (5, r"the escapes are \xNN, \r, \n, \t and \\"),
        (6, "there is no byte"),
        (7, "cannot read blocklist: the path must begin with /"),
        (8, "cannot read /: it is no regular file"),
        (
            9,
            "cannot read /no/such/file: No such file or directory (os error 2)",
        ),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (option, text) in expected {
        assert!(
            told.contains(&(Some(option), text.to_owned())),
            "{text}: {told:?}"
        );
    }
}

#[test]
fn mistakes_in_a_file_are_told_with_its_lines_and_not_by_the_thousand() {
    let names = TestFile::new("good.example\nbad one\n".repeat(100).as_bytes());
    let patterns = TestFile::new(b"fine\n\\wrong\n");
    let options = [
        ("block_names_file", names.path()),
        ("block_patterns_file", patterns.path()),
    ];
    let told = complaints(&options);
    assert_eq!(told.len(), 7, "{told:?}");
    let line_2 = format!("{}:2: one name in a line", names.path());
    assert!(told[0].1.starts_with(&line_2), "{told:?}");
    assert_eq!(
        told[5],
        (Some(0), format!("{}: and 95 more lines", names.path()))
    );
    let escape = format!(
        r"{}:2: the escapes are \xNN, \r, \n, \t and \\",
        patterns.path()
    );
    assert_eq!(told[6], (Some(1), escape));
}
