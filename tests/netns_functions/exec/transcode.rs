//! The transcoding function of the thesis, with ffmpeg: sound goes in as WAV and comes out as FLAC,
//! sample by sample the same.

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::path::Path;

use srv6pipes::demo::program;
use srv6pipes::demo::workdir::Workdir;

use super::{ID, command, exec};
use crate::harness::ended::to_end;
use crate::harness::ends::{Host, hear_out};
use crate::harness::status::counted;
use crate::harness::{PREFIX, lab};
use crate::own::counts;

/// The samples of a sound file, 16 bits each.
fn samples(file: &Path) -> Vec<u8> {
    let mut ffmpeg = program::command("ffmpeg");
    ffmpeg.args(["-v", "error", "-i"]).arg(file);
    program::run(ffmpeg.args(["-f", "s16le", "pipe:1"])).unwrap()
}

#[test]
fn ffmpeg_transcodes_on_the_way() {
    if program::require(&["ffmpeg", "ffprobe"]).is_err() {
        // Not eprintln!: of a test that passes, the runner would swallow it.
        let line = b"SKIPPED ffmpeg_transcodes_on_the_way: needs Debian's package ffmpeg\n";
        return std::io::stderr().write_all(line).unwrap();
    }
    let Some(lab) = lab(1) else { return };
    let words = [
        "ffmpeg", "-v", "error", "-f", "wav", "-i", "pipe:0", "-f", "flac", "pipe:1",
    ];
    let proxy = exec(&lab, 1, &command("downstream", &words));
    let workdir = Workdir::new(PREFIX).unwrap();
    let [wav, flac] = ["sound.wav", "sound.flac"].map(|name| workdir.path().join(name));
    let mut ffmpeg = program::command("ffmpeg");
    let sine = "sine=frequency=440:duration=20:sample_rate=44100";
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", sine]);
    to_end(ffmpeg.arg(&wav)).with(0);

    let host = Host::listen(lab.server(), 5001);
    let mut ends = host.meet(lab.client());
    let sound = fs::read(&wav).unwrap();
    let heard = std::thread::scope(|scope| {
        scope.spawn(|| {
            ends.server.write_all(&sound).unwrap();
            ends.server.shutdown(Shutdown::Write).unwrap();
        });
        hear_out(&ends.client).unwrap()
    });
    fs::write(&flac, &heard).unwrap();
    assert!(heard.len() < sound.len() / 2, "{}", heard.len());
    let mut ffprobe = program::command("ffprobe");
    ffprobe.args([
        "-v",
        "error",
        "-show_entries",
        "format=format_name",
        "-of",
        "csv=p=0",
    ]);
    assert_eq!(to_end(ffprobe.arg(&flac)).with(0).stdout.trim(), "flac");
    assert!(samples(&flac) == samples(&wav));
    drop(ends);
    counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]).assert_adds_up();
    counts(
        &proxy,
        ID,
        &[("started_children", "", 1), ("failed_children", "", 0)],
    );
}
