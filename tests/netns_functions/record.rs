//! `record` between real peers, its files read back by Wireshark's own eyes (tshark).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use srv6pipes::demo::lab::{Lab, sid};
use srv6pipes::demo::program;
use srv6pipes::demo::webserver::{self, Webserver};
use srv6pipes::demo::workdir::Workdir;

use crate::harness::ended::to_end;
use crate::harness::peer::{Habit, Server, connect, exchange};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::status::{COPIED, counted};
use crate::harness::{PREFIX, lab, noise, wait_for};
use crate::own::{counts, own};
use crate::readme::example;

/// Where recordings go, in a folder that only root writes.
fn folder(workdir: &Workdir) -> PathBuf {
    let folder = workdir.path().join("recordings");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

/// A proxy whose function 1 records into `folder`, and the client's flows through it.
fn record(lab: &Lab, folder: &Path, options: &str) -> Proxy {
    record_with(lab, folder, options, "")
}

/// The same, with more sections.
fn record_with(lab: &Lab, folder: &Path, options: &str, sections: &str) -> Proxy {
    let options = format!("option folder '{}'\n{options}", folder.display());
    let sections = function_config(1, "record", &options) + sections;
    let proxy = Proxy::start_with(lab, 1, "", &sections);
    lab.steer(&[sid(1, 1, 0)]).unwrap();
    proxy
}

/// The files in `folder`, oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What `tshark -r FILE` prints, with more arguments; it must find nothing wrong with the file.
fn tshark(file: &Path, arguments: &[&str]) -> String {
    let mut tshark = program::command("tshark");
    tshark
        .args(["-n", "-o", "tcp.check_checksum:TRUE", "-r"])
        .arg(file);
    let ended = to_end(tshark.args(arguments)).with(0);
    assert!(!ended.stderr.contains("cut short"), "{}", ended.stderr);
    ended.stdout
}

/// Port and direction (from the client?) of a stream.
type Side = (u16, bool);

/// The payloads of all streams of a file, joined, when they go to or come from `port`.
fn streams(file: &Path, port: u16, streams: &mut BTreeMap<Side, Vec<u8>>) {
    let fields = [
        "-T",
        "fields",
        "-e",
        "tcp.srcport",
        "-e",
        "tcp.dstport",
        "-e",
        "tcp.payload",
    ];
    for line in tshark(file, &fields).lines() {
        let mut words = line.split('\t');
        let mut number = || words.next().unwrap().parse::<u16>().unwrap();
        let (source, destination) = (number(), number());
        let side = if destination == port {
            (source, true)
        } else {
            (destination, false)
        };
        let payload = words.next().unwrap_or_default();
        streams.entry(side).or_default().extend(hex(payload));
    }
}

fn hex(text: &str) -> impl Iterator<Item = u8> {
    let digit = |c: &u8| char::from(*c).to_digit(16).unwrap();
    let byte = move |pair: &[u8]| u8::try_from(digit(&pair[0]) << 4 | digit(&pair[1])).unwrap();
    text.as_bytes().chunks(2).map(byte)
}

/// Wireshark sees neither a gap nor a repetition, nor a wrong checksum.
fn assert_flawless(file: &Path) {
    let filter = "tcp.analysis.flags or _ws.malformed or tcp.checksum.status == 0";
    assert_eq!(tshark(file, &["-Y", filter]), "");
}

#[test]
fn wireshark_follows_the_stream_and_finds_the_object() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let folder = folder(&workdir);
    let mut nginx = Webserver::start(lab.server(), &workdir).unwrap();
    wait_for("nginx", || {
        nginx.is_ready(lab.server()).unwrap().then_some(())
    });
    let object = noise::bytes(1, 5_000_000);
    fs::write(nginx.root().join("object"), &object).unwrap();
    let mut proxy = record(&lab, &folder, "option queue_bytes '16777216'");
    assert!(files(&folder).is_empty(), "no flow, no file");
    let mut curl = lab.client().command("curl");
    curl.args(["--silent", "--fail", "--noproxy", "*", "--output"]);
    curl.arg(workdir.path().join("copy"));
    to_end(curl.arg(format!("http://{}/object", webserver::ADDRESS))).with(0);
    assert!(fs::read(workdir.path().join("copy")).unwrap() == object);

    let status = counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]);
    let both = status.counter("upstream_in_bytes") + status.counter("downstream_in_bytes");
    counts(
        &proxy,
        1,
        &[
            ("recorded_flows", "", 1),
            ("recorded_bytes", "", both),
            ("dropped_bytes", "", 0),
            ("failed_writes", "", 0),
        ],
    );
    // The end of the flow carries no bytes, and may be written a moment later than the last.
    proxy.stop();
    let [file] = &files(&folder)[..] else {
        panic!("{:?}", files(&folder))
    };
    assert_eq!(file.file_name().unwrap(), "record-0001-00000001.pcapng");
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_flawless(file);
    let followed = tshark(file, &["-q", "-z", "follow,tcp,raw,0"]);
    let [mut request, mut answer] = [vec![], vec![]];
    for line in followed.lines() {
        // What the server said stands behind a tab; the rest of the frame is no hexadecimal.
        let (to, digits) = match line.strip_prefix('\t') {
            Some(digits) => (&mut answer, digits),
            None => (&mut request, line),
        };
        if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_hexdigit()) {
            to.extend(hex(digits));
        }
    }
    assert!(
        request.starts_with(b"GET /object HTTP/1.1\r\n"),
        "{}",
        request.escape_ascii()
    );
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert!(answer[body..] == object, "{} bytes", answer.len());
    let fields = ["-T", "fields", "-e", "tcp.flags.str", "-e", "frame.comment"];
    let packets = tshark(file, &fields);
    let first = packets.lines().next().unwrap();
    assert!(first.contains('S') && first.contains("function 0x0001, argument 0x0, flow "));
    let ends = packets.lines().filter(|line| line.contains('F')).count();
    assert_eq!(ends, 2, "{packets}");
}

#[test]
fn a_hundred_flows_at_once_are_told_apart() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let folder = folder(&workdir);
    let options = "option queue_bytes '33554432'\noption file_bytes '1000000'\noption files '100'";
    let mut proxy = record(&lab, &folder, options);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let said: HashMap<u16, Vec<u8>> = thread::scope(|scope| {
        let talk = |seed| {
            let (lab, server) = (&lab, &server);
            scope.spawn(move || {
                let bytes = noise::bytes(seed, 30_000);
                let stream = connect(lab.client(), server.address()).unwrap();
                assert!(exchange(&stream, &bytes).unwrap() == bytes);
                (stream.local_addr().unwrap().port(), bytes)
            })
        };
        let talks: Vec<_> = (0..100).map(talk).collect();
        talks.into_iter().map(|talk| talk.join().unwrap()).collect()
    });
    let expected = [
        ("recorded_flows", "", 100),
        ("recorded_bytes", "", 6_000_000),
    ];
    counts(&proxy, 1, &expected);
    counts(&proxy, 1, &[("dropped_bytes", "", 0)]);
    proxy.stop();
    let files = files(&folder);
    assert!(files.len() >= 6, "{files:?}");
    let mut heard = BTreeMap::new();
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= 1_000_000);
        streams(file, 7, &mut heard);
    }
    assert_eq!(heard.len(), 200);
    for ((port, _), bytes) in heard {
        assert!(bytes == said[&port], "port {port}");
    }
}

#[test]
fn old_files_go_and_a_killed_daemon_leaves_whole_blocks() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let folder = folder(&workdir);
    let options = "option queue_bytes '16777216'\noption file_bytes '200000'\noption files '3'";
    let mut proxy = record(&lab, &folder, options);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let bytes = noise::bytes(3, 1_000_000);
    let stream = connect(lab.client(), server.address()).unwrap();
    assert!(exchange(&stream, &bytes).unwrap() == bytes);
    counts(&proxy, 1, &[("recorded_bytes", "", 2_000_000)]);
    // One that is still at it when the daemon dies.
    let mut other = connect(lab.client(), server.address()).unwrap();
    other.write_all(b"the last words").unwrap();
    wait_for("it and its echo to be written", || {
        (own(&proxy, 1, "recorded_bytes", "") == Some(2_000_028)).then_some(())
    });
    proxy.kill_9();
    let left = files(&folder);
    assert_eq!(left.len(), 3);
    let mut heard = BTreeMap::new();
    for file in &left {
        assert!(fs::metadata(file).unwrap().len() <= 200_000);
        streams(file, 7, &mut heard);
    }
    let port = stream.local_addr().unwrap().port();
    // Most of what the client said was recorded before its echo, and may be gone.
    let tails = [true, false].map(|from_client| &heard[&(port, from_client)]);
    assert!(tails.iter().all(|tail| bytes.ends_with(tail)));
    let length = tails.iter().map(|tail| tail.len()).sum::<usize>();
    assert!((350_000..600_000).contains(&length), "{length}");
    let port = other.local_addr().unwrap().port();
    assert_eq!(heard[&(port, true)], b"the last words");

    drop(other);
    proxy.restart(&lab);
    let stream = connect(lab.client(), server.address()).unwrap();
    exchange(&stream, b"again").unwrap();
    counts(&proxy, 1, &[("recorded_bytes", "", 10)]);
    let now = files(&folder);
    assert_eq!(now[..2], left[1..], "the oldest one has gone");
    assert_eq!(now.len(), 3);
}

#[test]
fn after_snap_bytes_the_kernel_moves_the_rest() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let folder = folder(&workdir);
    let example = example("record").replace("/mnt/usb/recordings", &folder.to_string_lossy());
    let mut proxy = record_with(&lab, &folder, "option snap_bytes '1000'", &example);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let bytes = noise::bytes(4, 3_000_000);
    let stream = connect(lab.client(), server.address()).unwrap();
    assert!(exchange(&stream, &bytes).unwrap() == bytes);
    let status = counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]);
    assert!(status.counter("spliced_bytes") > 6_000_000 - 2 * COPIED - 2000);
    counts(&proxy, 1, &[("recorded_bytes", "", 2000)]);
    proxy.stop();
    let file = &files(&folder)[0];
    assert_flawless(file);
    let mut heard = BTreeMap::new();
    streams(file, 7, &mut heard);
    assert!(heard.values().all(|stream| stream[..] == bytes[..1000]));
}

/// A file system of its own, of 200 KiB, for this thread and the processes it starts.
fn tiny_disk(folder: &Path) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let (tmpfs, size) = (Some("tmpfs"), Some("size=200k,mode=700"));
    mount(tmpfs, folder, tmpfs, MsFlags::empty(), size).unwrap();
}

#[test]
fn a_full_disk_stops_the_recording_and_no_flow() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let folder = folder(&workdir);
    // The laboratory's namespaces are mounts, too, and stay where they are.
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            tiny_disk(&folder);
            full_and_free_again(&lab, &folder);
        });
        if let Err(panic) = inside.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn a_folder_that_is_gone_is_told_once() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let folder = folder(&workdir);
    let proxy = record(&lab, &folder, "");
    fs::remove_dir(&folder).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let failed = || own(&proxy, 1, "failed_writes", "").unwrap();
    wait_for("it to fail twice", || {
        let stream = connect(lab.client(), server.address()).unwrap();
        assert_eq!(exchange(&stream, b"word").unwrap(), b"word");
        (failed() >= 2).then_some(())
    });
    let log = proxy.log();
    let warnings = log.matches(folder.to_str().unwrap()).count();
    assert_eq!(warnings, 1, "{log}");
    fs::create_dir(&folder).unwrap();
    wait_for("it to go on", || {
        let stream = connect(lab.client(), server.address()).unwrap();
        assert_eq!(exchange(&stream, b"word").unwrap(), b"word");
        (!files(&folder).is_empty()).then_some(())
    });
}

fn full_and_free_again(lab: &Lab, folder: &Path) {
    let proxy = record(lab, folder, "");
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let talk = |bytes: &[u8]| {
        let stream = connect(lab.client(), server.address()).unwrap();
        assert!(exchange(&stream, bytes).unwrap() == bytes);
    };
    let own = |name| own(&proxy, 1, name, "").unwrap();
    let mut said = 0;
    let mut say = |length: usize| {
        talk(&noise::bytes(5, length));
        said += 2 * length as u64;
        wait_for("every byte to be counted", || {
            (own("recorded_bytes") + own("dropped_bytes") == said).then_some(())
        });
    };
    // The file grows, and in the middle of a write there is no more room.
    while own("failed_writes") == 0 {
        say(12_000);
    }
    for _ in 0..5 {
        say(100_000);
    }
    assert!(own("recorded_bytes") > 100_000 && own("dropped_bytes") > 500_000);
    let warnings = || {
        proxy
            .log()
            .matches("nothing is recorded until that works")
            .count()
    };
    assert_eq!(warnings(), 1, "{}", proxy.log());
    let mut heard = BTreeMap::new();
    for file in files(folder) {
        streams(&file, 7, &mut heard);
        fs::remove_file(file).unwrap();
    }
    let recorded: usize = heard.values().map(Vec::len).sum();
    assert_eq!(
        recorded as u64,
        own("recorded_bytes"),
        "what counts as recorded can be read"
    );

    wait_for("the log to say that it records again", || {
        for file in files(folder) {
            fs::remove_file(file).unwrap();
        }
        talk(b"is there room now?");
        proxy.log().contains("recording goes on").then_some(())
    });
    assert_eq!(warnings(), 1);
    // A file that was removed while it was being written is not written any longer.
    let file = wait_for("a file", || files(folder).pop());
    fs::remove_file(&file).unwrap();
    talk(b"into the next file");
    wait_for("it to be in another file", || {
        let bytes = fs::read(files(folder).pop()?).unwrap();
        let words = b"into the next file";
        bytes.windows(words.len()).any(|w| w == words).then_some(())
    });
    assert!(!file.exists());
    counted(&proxy, &[("live_flows", 0), ("broken_function_flows", 0)]).assert_adds_up();
}
