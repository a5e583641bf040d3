//! Files on a disk: their names, their number, their length, and a disk that does not take them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use srv6pipes_vnf::{Direction, FlowInfo, Function, Setup};

use crate::Record;
use crate::folder::Folder;
use crate::queue::{Batch, Comment, Event, Queue};
use crate::segment::{ACK, Header, PSH};
use crate::tests::blocks::{blocks, packets};
use crate::tests::play;
use crate::writer::{Counts, PAUSE, Writer};

/// A folder of our own, gone when dropped.
pub struct TestFolder(PathBuf);

impl TestFolder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("srv6pipes-record-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The names of all files, in order.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// The contents of all files, in the order of their names.
    pub fn files(&self) -> Vec<Vec<u8>> {
        let names = self.names();
        names
            .iter()
            .map(|name| fs::read(self.0.join(name)).unwrap())
            .collect()
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn event(sequence: u32, payload: usize) -> Event {
    Event {
        time_us: u64::from(sequence),
        header: Header {
            source: "[::1]:50000".parse().unwrap(),
            destination: "[::1]:80".parse().unwrap(),
            sequence,
            acknowledgment: 0,
            flags: PSH | ACK,
        },
        payload,
        comment: Comment::None,
    }
}

/// `count` events of `payload` bytes each, which say where they stand.
fn batch(first: u32, count: u32, payload: usize) -> Batch {
    let events: Vec<_> = (first..first + count).map(|n| event(n, payload)).collect();
    let bytes = events
        .iter()
        .flat_map(|e| vec![e.header.sequence.to_le_bytes()[0]; payload]);
    Batch {
        bytes: bytes.collect(),
        events,
    }
}

fn writer(folder: &TestFolder, file_bytes: usize, files: usize) -> Writer {
    let setup = Setup::detached(&[]);
    let place = Folder::new(&folder.0, 0x2a).unwrap();
    let counts = Counts::open(setup.counters());
    Writer::new(place, (file_bytes, files), 0x2a, counts, setup.log())
}

#[test]
fn files_rotate_between_blocks_and_the_oldest_go() {
    let folder = TestFolder::new();
    let other = folder.0.join("record-002b-00000001.pcapng");
    fs::write(&other, "of another function").unwrap();
    let mut writer = writer(&folder, 65_536, 3);
    for first in (0..100).step_by(10) {
        writer.write(&batch(first, 10, 5000), Instant::now());
    }
    let names = folder.names();
    // 12 packets of 5112 bytes and the preamble fit into a file.
    let expected = [7, 8, 9].map(|n| format!("record-002a-{n:08}.pcapng"));
    assert_eq!(names[..3], expected);
    assert_eq!(names[3], "record-002b-00000001.pcapng");
    let mut sequences = Vec::new();
    for file in &folder.files()[..3] {
        assert!(file.len() <= 65_536, "{}", file.len());
        sequences.extend(packets(file).iter().map(|packet| packet.sequence));
    }
    assert_eq!(sequences, (72..100).collect::<Vec<_>>());
    let mode = fs::metadata(folder.0.join(&names[0]))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_new_start_goes_on_with_the_next_number() {
    let folder = TestFolder::new();
    for name in [
        "record-002a-00000041.pcapng",
        "record-002a-x.pcapng",
        "record-002a-99.pcapng",
    ] {
        fs::write(folder.0.join(name), "").unwrap();
    }
    writer(&folder, 65_536, 10).write(&batch(0, 1, 10), Instant::now());
    let one = folder.0.join("record-002a-00000042.pcapng");
    assert_eq!(packets(&fs::read(one).unwrap()).len(), 1);
}

#[test]
fn payloads_of_a_window_become_several_segments() {
    let folder = TestFolder::new();
    writer(&folder, 1 << 20, 1).write(&batch(7, 1, 65_536), Instant::now());
    let packets = packets(&folder.files()[0]);
    let seen: Vec<_> = packets
        .iter()
        .map(|p| (p.sequence, p.payload.len()))
        .collect();
    assert_eq!(seen, [0, 1, 2, 3].map(|n| (7 + n * 16_384, 16_384)));
}

#[test]
fn a_folder_that_goes_costs_recordings_and_nothing_else() {
    let folder = TestFolder::new();
    let mut writer = writer(&folder, 65_536, 3);
    fs::remove_dir(&folder.0).unwrap();
    let now = Instant::now();
    writer.write(&batch(0, 20, 5000), now);
    fs::create_dir(&folder.0).unwrap();
    // Not tried before the pause is over.
    writer.write(&batch(20, 20, 5000), now + PAUSE / 2);
    assert_eq!(folder.names(), [""; 0]);
    writer.write(&batch(40, 1, 10), now + PAUSE);
    assert_eq!(packets(&folder.files()[0])[0].sequence, 40);
}

#[test]
fn a_full_queue_drops_and_does_not_wait() {
    let (queue, mut mine) = Queue::new(131_072);
    let piece = vec![1; 65_536];
    let pushed = (0..4)
        .filter(|n| queue.push(event(*n, piece.len()), &piece))
        .count();
    assert_eq!(pushed, 2);
    assert!(queue.take(&mut mine));
    assert_eq!((mine.events.len(), mine.bytes.len()), (2, 131_072));
    // The other batch has room for many small events, but not for ever more.
    let pushed = (0..100_000)
        .filter(|n| queue.push(event(*n, 0), &[]))
        .count();
    assert!((500..2000).contains(&pushed), "{pushed}");
    queue.close();
    assert!(queue.take(&mut mine));
    assert_eq!(mine.events.len(), pushed);
    assert!(!queue.take(&mut mine) && mine.events.is_empty());
}

#[test]
fn what_is_queued_at_the_end_is_written() {
    let folder = TestFolder::new();
    let record: Record = Setup::detached(&[("folder", folder.path())])
        .make()
        .unwrap();
    let mut flow = record.spawn(&FlowInfo::detached(0)).unwrap();
    play(
        &mut flow,
        Direction::Upstream,
        b"the last words",
        100,
        false,
    );
    assert_eq!(
        folder.names(),
        [""; 0],
        "nothing was recorded before it was queued"
    );
    drop(flow);
    drop(record);
    let packets = packets(&folder.files()[0]);
    assert!(
        packets
            .iter()
            .any(|packet| packet.payload == b"the last words")
    );
    assert_eq!(blocks(&folder.files()[0]).len(), packets.len() + 2);
}

fn complaints(options: &[(&str, &str)]) -> Vec<(Option<usize>, String)> {
    let complaints = Setup::detached(options).make::<Record>().unwrap_err();
    complaints.into_iter().map(|c| (c.option, c.text)).collect()
}

#[test]
fn options_out_of_range_are_told_all_at_once() {
    let told = complaints(&[
        ("file_bytes", "65535"),
        ("files", "0"),
        ("snap_bytes", "x"),
        ("queue_bytes", "67108865"),
    ]);
    let expected = [
        (Some(0), "must be a number from 65536 to 1073741824"),
        (Some(1), "must be a number from 1 to 10000"),
        (Some(3), "must be a number from 131072 to 67108864"),
        (Some(2), "must be a number from 0 to 1099511627776"),
        (None, "option 'folder' is missing: where the files go"),
    ];
    assert_eq!(
        told,
        expected.map(|(option, text)| (option, text.to_owned()))
    );
}

#[test]
fn a_folder_that_others_can_write_is_refused_with_the_way_out() {
    let folder = TestFolder::new();
    let inner = folder.0.join("inner");
    fs::create_dir(&inner).unwrap();
    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    let refused = |path: &Path| complaints(&[("folder", path.to_str().unwrap())])[0].clone();
    for open in [&inner, &folder.0] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
        let (option, text) = refused(&inner);
        assert_eq!(option, Some(0));
        assert!(
            text.ends_with(&format!("chmod go-w {}", open.display())),
            "{text}"
        );
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let text = |path: &Path| refused(path).1;
    assert!(text(&file).ends_with("is no folder"));
    assert_eq!(text(Path::new("tmp")), "the path must begin with /");
    let missing = text(&folder.0.join("missing"));
    assert!(missing.contains("No such file"), "{missing}");
}
