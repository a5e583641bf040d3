//! `exec` under real flows: the filters that people know, and what becomes of those that fail, stay
//! or are too many.

mod children;
mod transcode;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use srv6pipes::demo::lab::{Lab, sid};
use srv6pipes::demo::webserver::{self, Webserver};
use srv6pipes::demo::workdir::Workdir;

use crate::fixtures::TempDir;
use crate::harness::ended::{Ended, to_end};
use crate::harness::ends::{Host, trade};
use crate::harness::peer::{Habit, Server, connect, exchange};
use crate::harness::proxy::{PROGRAM, Proxy, base_config, function_config};
use crate::harness::status::{Status, counted};
use crate::harness::{PREFIX, lab, noise, wait_for};
use crate::own::counts;
use crate::readme::example;

/// The function's id.
const ID: u16 = 1;

/// Lines of a section: the words of a direction's command.
fn command(direction: &str, words: &[&str]) -> String {
    let word = |word: &&str| format!("\tlist {direction} '{word}'\n");
    words.iter().map(word).collect()
}

/// Proxy `i` with the function, and the way through it for the client.
fn exec(lab: &Lab, i: usize, options: &str) -> Proxy {
    let proxy = Proxy::start_with(lab, i, "", &function_config(ID, "exec", options));
    lab.steer(&[sid(i, ID, 42)]).unwrap();
    proxy
}

#[test]
fn what_one_proxy_packs_the_next_unpacks() {
    let Some(lab) = lab(2) else { return };
    let packs = exec(&lab, 1, &command("upstream", &["gzip", "-c"]));
    let unpacks = exec(&lab, 2, &command("upstream", &["gzip", "-dc"]));
    lab.steer(&[sid(1, ID, 0), sid(2, ID, 0)]).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let text = b"It is a long way to the server, and much of it is the same.\n".repeat(100_000);
    let stream = connect(lab.client(), server.address()).unwrap();
    assert!(exchange(&stream, &text).unwrap() == text);
    let report = server.report();
    report.end.unwrap();
    assert_eq!(report.sum, noise::sha256(&text));

    let first = counted(&packs, &[("finished_flows", 1), ("live_flows", 0)]);
    let second = counted(&unpacks, &[("finished_flows", 1), ("live_flows", 0)]);
    let length = text.len() as u64;
    assert_eq!(first.counter("upstream_in_bytes"), length);
    assert_eq!(second.counter("upstream_out_bytes"), length);
    let packed = first.counter("upstream_out_bytes");
    assert_eq!(second.counter("upstream_in_bytes"), packed);
    assert!(packed < length / 100, "{packed}");
    // Downstream has no program: the kernel moves it.
    assert_eq!(first.function(ID, "in_bytes"), length);
    assert!(second.counter("spliced_bytes") > length / 2);
    for proxy in [&packs, &unpacks] {
        let expected = [
            ("started_children", "", 1),
            ("failed_children", "", 0),
            ("ended_children", "", 1),
        ];
        counts(proxy, ID, &expected);
    }
}

#[test]
fn a_stream_editor_between_curl_and_nginx() {
    let Some(lab) = lab(1) else { return };
    let words = ["sed", "-u", "s/colour/COLOUR/g"];
    let proxy = exec(&lab, 1, &command("downstream", &words));
    let workdir = Workdir::new(PREFIX).unwrap();
    let mut nginx = Webserver::start(lab.server(), &workdir).unwrap();
    wait_for("nginx to listen", || {
        nginx.is_ready(lab.server()).unwrap().then_some(())
    });
    let text = "What colour is the sky?\nThe colour of a screen.\n".repeat(5000);
    fs::write(nginx.root().join("file"), &text).unwrap();
    // Both in one connection: the second request waits for the whole first answer.
    let url = format!("http://{}/file", webserver::ADDRESS);
    let mut curl = lab.client().command("curl");
    let curl = curl.args(["--silent", "--show-error", "--fail", &url, &url]);
    let fetched = to_end(curl).with(0);
    let edited = text.replace("colour", "COLOUR");
    assert!(fetched.stdout == edited.repeat(2));
    counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]).assert_adds_up();
    counts(
        &proxy,
        ID,
        &[("started_children", "", 1), ("ended_children", "", 1)],
    );
}

#[test]
fn megabytes_both_ways_at_once_and_each_direction_ends_by_itself() {
    let Some(lab) = lab(1) else { return };
    let both = command("upstream", &["cat"]) + &command("downstream", &["cat"]);
    let proxy = exec(&lab, 1, &both);
    let host = Host::listen(lab.server(), 5001);
    let ends = host.meet(lab.client());
    let length = 8 << 20;
    let [client, server] = std::thread::scope(|scope| {
        let client = scope.spawn(|| trade(&ends.client, 1, length).unwrap());
        let server = scope.spawn(|| trade(&ends.server, 2, length).unwrap());
        [client, server].map(|thread| thread.join().unwrap())
    });
    assert_eq!((client.length, client.heard), (length, server.said));
    assert_eq!((server.length, server.heard), (length, client.said));

    // The client has said all, and hears for as long as the server likes.
    let mut ends = host.meet(lab.client());
    ends.client.write_all(b"and now you").unwrap();
    ends.client.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    ends.server.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "and now you");
    for _ in 0..3 {
        ends.server.write_all(b"well, ").unwrap();
        let mut word = [0; 6];
        ends.client.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"well, ");
    }
    drop(ends.server);
    assert_eq!(ends.client.read(&mut [0]).unwrap(), 0);
    let status = counted(&proxy, &[("finished_flows", 2), ("live_flows", 0)]);
    status.assert_adds_up();
    assert_eq!(status.counter("spliced_bytes"), 0);
    counts(
        &proxy,
        ID,
        &[("started_children", "", 4), ("ended_children", "", 4)],
    );
}

#[test]
fn a_child_is_nobody_and_starts_clean() {
    let Some(lab) = lab(1) else { return };
    let script =
        "id -u; id -G; grep SigBlk /proc/self/status; ls /proc/$$/fd; echo $SRV6PIPES_ARGUMENT";
    let proxy = exec(&lab, 1, &command("upstream", &["sh", "-c", script]));
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let stream = connect(lab.client(), server.address()).unwrap();
    let said = String::from_utf8(exchange(&stream, b"?").unwrap()).unwrap();
    // The daemon has signals blocked, and dozens of descriptors.
    let expected = "65534\n65534\nSigBlk:\t0000000000000000\n0\n1\n2\n42\n";
    assert_eq!(without_handed_down(&proxy, &said), expected);
    counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]).assert_adds_up();
}

/// `said` without the descriptors that whoever started this test left open for all.
fn without_handed_down(proxy: &Proxy, said: &str) -> String {
    let kept = |line: &&str| {
        let Ok(fd) = line.parse::<u32>() else {
            return true;
        };
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", proxy.pid()));
        let info = info.unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        // O_CLOEXEC in octal.
        let flags = flags.map(|flags| i64::from_str_radix(flags.trim(), 8).unwrap());
        fd <= 2 || flags.is_none_or(|flags| flags & 0o200_0000 != 0)
    };
    let lines = said.lines().filter(kept);
    lines.map(|line| format!("{line}\n")).collect()
}

/// `srv6pipes check`, begun by the words of `before`, of a configuration with these options of the
/// function.
fn check(lab: &Lab, before: &[&str], options: &str) -> (Workdir, Ended) {
    let workdir = Workdir::new(PREFIX).unwrap();
    let modules = crate::harness::proxy::modules();
    workdir
        .copy_modules(&modules, |name| name == "libexec.so")
        .unwrap();
    let config = base_config(lab, 1, &workdir, "") + options;
    let config = workdir.write("proxy.conf", &config).unwrap();
    let words = [before, &[PROGRAM, "check", "-c"]].concat();
    let mut command = Command::new(words[0]);
    let ended = to_end(command.args(&words[1..]).arg(config));
    (workdir, ended)
}

#[test]
fn check_starts_no_program() {
    let Some(lab) = lab(1) else { return };
    let folder = TempDir::new();
    let (script, witness) = (folder.join("script"), folder.join("witness"));
    fs::write(&witness, "").unwrap();
    fs::write(
        &script,
        format!("#!/bin/sh\necho ran >{}\ncat\n", witness.display()),
    )
    .unwrap();
    for (path, mode) in [(&script, 0o755), (&witness, 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let options = command("upstream", &[script.to_str().unwrap()]);
    let config = function_config(ID, "exec", &options) + &example("exec");
    check(&lab, &[], &config).1.with(0);
    assert_eq!(fs::read_to_string(&witness).unwrap(), "");

    // The witness is one: it speaks when the program is started.
    let _proxy = exec(&lab, 1, &options);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let stream = connect(lab.client(), server.address()).unwrap();
    assert_eq!(exchange(&stream, b"go").unwrap(), b"go");
    assert_eq!(fs::read_to_string(&witness).unwrap(), "ran\n");
}

#[test]
fn check_says_with_the_line_what_cannot_be_started() {
    let Some(lab) = lab(1) else { return };
    let options = command("upstream", &["no-such-program"])
        + &command("downstream", &["/etc/passwd"])
        + "\toption user 'root'\n\toption nice '20'\n";
    let config = function_config(ID, "exec", &options);
    let (workdir, ended) = check(&lab, &[], &config);
    let ended = ended.with(1);
    let path = workdir.path().join("proxy.conf");
    let text = fs::read_to_string(&path).unwrap();
    for (option, reason) in [
        ("no-such-program", "there is no program no-such-program in"),
        ("/etc/passwd", "/etc/passwd is not an executable file"),
        ("user", "must not be root (uid 0)"),
        ("nice", "must be a number from 0 to 19"),
    ] {
        let line = text.lines().position(|line| line.contains(option));
        let place = format!("{}:{}", path.display(), line.unwrap() + 1);
        let told = |said: &str| said.starts_with(&place) && said.contains(reason);
        let told = ended.stderr.lines().any(told);
        assert!(told, "{place} {reason}: {ended:#?}");
    }
}

#[test]
fn a_daemon_that_cannot_change_its_user_says_so_at_once() {
    let Some(lab) = lab(1) else { return };
    let config = function_config(ID, "exec", &command("upstream", &["cat"]));
    let jail = ["setpriv", "--bounding-set", "-all,+net_admin,+net_raw"];
    let (_workdir, ended) = check(&lab, &jail, &config);
    let ended = ended.with(1);
    let reason = "cannot run programs as nobody (uid 65534): that takes root with CAP_SETUID";
    assert!(ended.stderr.contains(reason), "{ended:#?}");
}

#[test]
fn status_counts_who_is_refused() {
    let Some(lab) = lab(1) else { return };
    // It closes its stdout, and then takes a moment to end.
    let words = ["sh", "-c", "cat; exec >&-; sleep 0.05"];
    let options = command("upstream", &words) + "\toption max_children '8'\n";
    let proxy = exec(&lab, 1, &options);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut taken = Vec::new();
    let mut refused = 0;
    for _ in 0..50 {
        let word = |mut stream: std::net::TcpStream| {
            stream.write_all(b"hello")?;
            stream.read_exact(&mut [0; 5])?;
            Ok(stream)
        };
        match connect(lab.client(), server.address()).and_then(word) {
            Ok(stream) => taken.push(stream),
            Err(error) => {
                let kind = error.kind();
                let reset = [
                    std::io::ErrorKind::ConnectionReset,
                    std::io::ErrorKind::BrokenPipe,
                ];
                assert!(reset.contains(&kind), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!((taken.len(), refused), (8, 42));
    let expected = [("spawn_refused_flows", 42), ("live_flows", 8)];
    counted(&proxy, &expected).assert_adds_up();
    let expected = [
        ("refused_flows", "", 42),
        ("started_children", "", 8),
        ("ended_children", "", 0),
    ];
    counts(&proxy, ID, &expected);
    // Those who were there notice nothing, and their places are free afterwards. None waits for the
    // two seconds that an exit may take: it is heard of at once.
    let began = Instant::now();
    for mut stream in taken {
        assert_eq!(exchange(&stream, b"bye").unwrap(), b"bye");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    assert!(began.elapsed() < Duration::from_secs(8));
    counts(&proxy, ID, &[("ended_children", "", 8)]);
    let stream = connect(lab.client(), server.address()).unwrap();
    assert_eq!(exchange(&stream, b"me").unwrap(), b"me");
    assert_eq!(Status::of(&proxy).counter("finished_flows"), 9);
}
