//! `firewall` between real TLS and HTTP clients and servers: who gets through, what is counted,
//! and what a reload changes.

mod tls;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddrV6, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use srv6pipes::demo::lab::{Lab, SERVER, sid};
use srv6pipes::demo::webserver::{self, Webserver};
use srv6pipes::demo::workdir::Workdir;

use crate::harness::ended::{Ended, to_end};
use crate::harness::peer::{Habit, Server, assert_reset, assert_reset_soon, connect, exchange};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::status::{COPIED, counted};
use crate::harness::talk::Talk;
use crate::harness::{PREFIX, lab, noise, wait_for};
use crate::own::counts;
use crate::readme::example;

/// A proxy whose function 1 is the firewall with these options, and the client's flows through it.
fn firewall(lab: &Lab, options: &str) -> Proxy {
    let proxy = Proxy::start_with(lab, 1, "", &function_config(1, "firewall", options));
    lab.steer(&[sid(1, 1, 0)]).unwrap();
    proxy
}

/// A connection to the server's `port` that sends what it is given at once.
fn prompt(lab: &Lab, port: u16) -> TcpStream {
    let stream = connect(lab.client(), SocketAddrV6::new(SERVER, port, 0, 0)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `bytes` one by one; the first byte of the answer, if there is one.
fn byte_by_byte(mut stream: &TcpStream, bytes: &[u8]) -> Option<u8> {
    for byte in bytes {
        // After a reset there is no more to send.
        if stream.write_all(&[*byte]).is_err() {
            return None;
        }
    }
    let mut answer = [0];
    stream.read_exact(&mut answer).ok()?;
    Some(answer[0])
}

/// curl in the client's namespace; it asks the laboratory's server whatever the URL says.
fn curl(lab: &Lab, arguments: &[&str]) -> Ended {
    let mut curl = lab.client().command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
    curl.args(["--insecure", "--max-time", "60"]);
    for (name, port) in [("good.example", 443), ("ads.example", 443)] {
        curl.args(["--resolve", &format!("{name}:{port}:[{SERVER}]")]);
    }
    to_end(curl.args(arguments))
}

/// curl(1): failure in receiving network data.
const RESET: i32 = 56;

#[test]
fn http_is_judged_by_its_host_and_what_passes_is_spliced() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let mut nginx = Webserver::start(lab.server(), &workdir).unwrap();
    wait_for("nginx", || {
        nginx.is_ready(lab.server()).unwrap().then_some(())
    });
    let object = noise::bytes(1, 20 << 20);
    fs::write(nginx.root().join("object"), &object).unwrap();
    let proxy = firewall(
        &lab,
        "list block_name 'ads.example'\nlist block_name '=exact.example'\n\
         list allow_name 'good.ads.example'\noption action 'reset'",
    );
    let url = format!("http://{}/object", webserver::ADDRESS);
    let copy = workdir.path().join("copy");
    let to = copy.to_str().unwrap();
    for host in ["good.example", "good.ads.example:8080", "x.exact.example"] {
        let field = format!("Host: {host}");
        curl(&lab, &["--output", to, "--header", &field, &url]).with(0);
        assert!(fs::read(&copy).unwrap() == object, "{host}");
    }
    for host in ["ads.example", "X.Ads.Example.:80", "exact.example"] {
        let field = format!("Host: {host}");
        let ended = curl(&lab, &["--header", &field, &url]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(RESET), ""),
            "{ended:#?}"
        );
    }
    // A proxy's client writes the host in the request line.
    let by_proxy = format!("http://{}", webserver::ADDRESS);
    let arguments = ["--proxy", &by_proxy, "--noproxy", "", "--output", to];
    let arguments = [&arguments[..], &["--header", "Host: good.example"]].concat();
    curl(
        &lab,
        &[&arguments[..], &["http://good.example/object"]].concat(),
    )
    .with(0);
    curl(
        &lab,
        &[&arguments[..], &["http://ads.example/object"]].concat(),
    )
    .with(RESET);

    let spliced = || counted(&proxy, &[("live_flows", 0)]).counter("spliced_bytes");
    // Of four answers all but their beginnings.
    let (least, all) = (
        4 * (20 << 20),
        counted(&proxy, &[]).counter("downstream_out_bytes"),
    );
    assert!(
        all > least && spliced() > least - 4 * COPIED,
        "{} of {all}",
        spliced()
    );
    counts(
        &proxy,
        1,
        &[
            ("blocked_flows", "rule=name:ads.example", 3),
            ("blocked_flows", "rule=name:=exact.example", 1),
            ("passed_flows", "", 4),
        ],
    );
    // nginx has seen nothing of what was blocked.
    assert_eq!(nginx.clients().unwrap().len(), 4);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_known_and_one_that_stops_holds_up_nobody() {
    let Some(lab) = lab(1) else { return };
    let options = "list block_name 'ads.example'";
    let proxy = firewall(&lab, options);
    let server = Server::start(lab.server(), 80, Habit::Echo);
    let mut stopped = prompt(&lab, 80);
    stopped
        .write_all(b"GET / HTTP/1.1\r\nHost: good.exa")
        .unwrap();
    let request = |host| format!("GET / HTTP/1.1\r\nAccept: */*\r\nHost: {host}\r\n\r\n");
    assert_eq!(
        byte_by_byte(&prompt(&lab, 80), request("good.example").as_bytes()),
        Some(b'G')
    );
    assert_eq!(
        byte_by_byte(&prompt(&lab, 80), request("ads.example").as_bytes()),
        None
    );
    counts(
        &proxy,
        1,
        &[
            ("blocked_flows", "rule=name:ads.example", 1),
            ("passed_flows", "", 1),
        ],
    );
    // In whatever order the server has heard of them.
    let mut received = [server.report(), server.report()].map(|report| report.received);
    received.sort_unstable();
    assert_eq!(received, [0, request("good.example").len() as u64]);
    assert_eq!(exchange(&stopped, b"mple\r\n\r\n").unwrap().len(), 38);
    counts(&proxy, 1, &[("passed_flows", "", 2)]);
}

#[test]
fn who_speaks_neither_tls_nor_http_passes_or_not_as_the_operator_says() {
    let Some(lab) = lab(1) else { return };
    let server = Server::start(lab.server(), 22, Habit::Echo);
    let proxy = firewall(&lab, "list block_name '*'");
    let mut stream = prompt(&lab, 22);
    stream.write_all(b"SSH-2.0-test\r\n").unwrap();
    let mut banner = [0; 14];
    stream.read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"SSH-2.0-test\r\n");
    assert_eq!(exchange(&stream, b"and so on").unwrap(), b"and so on");
    counts(
        &proxy,
        1,
        &[("unknown_flows", "kind=other", 1), ("passed_flows", "", 1)],
    );
    drop(proxy);
    server.report().end.unwrap();

    let proxy = firewall(&lab, "option unknown 'block'\noption action 'close'");
    let mut stream = prompt(&lab, 22);
    stream.write_all(b"SSH-2.0-test\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"");
    let report = server.report();
    report.end.unwrap();
    assert_eq!(report.received, 0);
    counts(
        &proxy,
        1,
        &[
            ("blocked_flows", "rule=unknown", 1),
            ("unknown_flows", "kind=other", 1),
            ("passed_flows", "", 0),
        ],
    );
    counted(&proxy, &[("ended_by_function_flows", 1), ("live_flows", 0)]).assert_adds_up();
}

#[test]
fn a_word_that_waits_for_its_answer_gets_it_late_and_hides_no_name() {
    let Some(lab) = lab(1) else { return };
    let proxy = firewall(
        &lab,
        "list block_name 'ads.example'\noption patience '1'\noption action 'close'",
    );
    let server = Server::start(lab.server(), 80, Habit::Echo);
    let mut stream = prompt(&lab, 80);
    let mut echo = [0; 4];
    let began = Instant::now();
    stream.write_all(b"HELO").unwrap();
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"HELO");
    assert!(began.elapsed() >= Duration::from_secs(1));
    // Nothing waits any more, and what the word becomes part of is known all the same.
    let mut echo = [0; 24];
    stream.write_all(b" / HTTP/1.1\r\nHost: ads.e").unwrap();
    stream.read_exact(&mut echo).unwrap();
    assert!(began.elapsed() < Duration::from_secs(60));
    stream.write_all(b"xample\r\n\r\n").unwrap();
    assert_reset(&stream);
    assert_eq!(server.report().received, 28);
    counts(
        &proxy,
        1,
        &[
            ("blocked_flows", "rule=name:ads.example", 1),
            ("passed_flows", "", 0),
        ],
    );
}

#[test]
fn patterns_are_found_in_either_direction_and_counted_by_rule() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let file = workdir
        .write("bad-bytes", "# test\nvirus\n\\x00\\xffboom\n")
        .unwrap();
    let options = format!(
        "list block_pattern 'GET /evil'\nlist block_answer_patterns_file '{}'\n\
         option inspect_bytes '1000'",
        file.display()
    );
    let proxy = firewall(&lab, &options);
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut evil = prompt(&lab, 7);
    for piece in [&b"GET /"[..], b"ev", b"il"] {
        evil.write_all(piece).unwrap();
    }
    assert_reset(&evil);
    assert_eq!(server.report().received, 0);
    for answer in [&b"a virus"[..], b"\x00\xffboom"] {
        let mut stream = prompt(&lab, 7);
        stream.write_all(answer).unwrap();
        assert_reset(&stream);
        assert_eq!(server.report().received, answer.len() as u64);
    }
    // Behind the first thousand bytes nobody looks.
    let late = [
        vec![b'.'; 1000],
        b"GET /evil virus".to_vec(),
        noise::bytes(2, 3 << 20),
    ]
    .concat();
    assert!(exchange(&prompt(&lab, 7), &late).unwrap() == late);
    // The argument leaves the client's patterns out.
    lab.steer(&[sid(1, 1, 4)]).unwrap();
    assert_eq!(
        exchange(&prompt(&lab, 7), b"GET /evil").unwrap(),
        b"GET /evil"
    );
    counts(
        &proxy,
        1,
        &[
            ("blocked_flows", "rule=pattern:GET /evil", 1),
            ("blocked_flows", "rule=file:bad-bytes", 2),
            ("passed_flows", "", 2),
        ],
    );
    let status = counted(&proxy, &[("finished_flows", 2), ("live_flows", 0)]);
    let spliced = status.counter("spliced_bytes");
    assert!(spliced > 2 * (3 << 20) - 2 * COPIED, "{spliced}");
    // An argument with other bits is a mistake of who steers.
    lab.steer(&[sid(1, 1, 8)]).unwrap();
    assert_reset_soon(connect(lab.client(), server.address()));
    counted(&proxy, &[("spawn_refused_flows", 1)]).assert_adds_up();
}

fn reload(proxy: &Proxy) -> Ended {
    let mut command: Command = proxy.command("reload");
    to_end(&mut command)
}

#[test]
fn a_reload_reads_the_lists_again_and_refuses_those_it_cannot_read() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let list = workdir.write("blocklist", "old.example\n").unwrap();
    let option = format!("list block_names_file '{}'", list.display());
    let example = example("firewall").replace("/etc/srv6pipes/blocklist", &list.to_string_lossy());
    let sections = function_config(1, "firewall", &option) + &example;
    let proxy = Proxy::start_with(&lab, 1, "", &sections);
    lab.steer(&[sid(1, 1, 0)]).unwrap();
    let server = Server::start(lab.server(), 80, Habit::Echo);
    let passes = |host: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        exchange(&prompt(&lab, 80), request.as_bytes()).is_ok_and(|echo| echo == request.as_bytes())
    };
    let mut live = Talk::begin(&lab, &server).unwrap();
    live.say(b"GET / HTTP/1.1\r\nHost: new.example\r\n\r\n")
        .unwrap();
    assert!(!passes("old.example") && passes("new.example"));

    // In the middle of its head when the rules change: it keeps those it began with.
    let mut between = prompt(&lab, 80);
    between
        .write_all(b"GET / HTTP/1.1\r\nHost: new.exam")
        .unwrap();
    wait_for("it to be there", || {
        let flows = proxy.json("flows");
        let flows = flows["flows"].as_array()?.len();
        (flows == 2).then_some(())
    });
    workdir.write("blocklist", "0.0.0.0 new.example\n").unwrap();
    assert!(passes("new.example"), "nothing happens before the reload");
    reload(&proxy).with(0);
    assert!(passes("old.example") && !passes("new.example"));
    live.say(b"and the live one goes on").unwrap();
    assert_eq!(exchange(&between, b"ple\r\n\r\n").unwrap().len(), 37);
    counts(&proxy, 1, &[("blocked_flows", "rule=file:blocklist", 2)]);

    let config = fs::read_to_string(proxy.config_path()).unwrap();
    let line = config.lines().position(|line| line == option).unwrap() + 1;
    let place = format!("{}:{line}: function 0x0001", proxy.config_path().display());
    let refuse = |what: &str| {
        let refused = reload(&proxy).with(1).stderr;
        let said = |line: &str| line.contains(&place) && line.contains(what);
        assert!(refused.lines().any(said), "no {what:?} in\n{refused}");
        assert!(passes("old.example") && !passes("new.example"));
    };
    workdir
        .write("blocklist", "fine.example\n||bad^\n")
        .unwrap();
    refuse(&format!(
        "{}:2: '||bad^': a name has no '|'",
        list.display()
    ));
    fs::remove_file(&list).unwrap();
    refuse(&format!(
        "cannot read {}: No such file or directory",
        list.display()
    ));
    live.say(b"to the end").unwrap();
    live.end();
    counts(&proxy, 1, &[("blocked_flows", "rule=file:blocklist", 4)]);
}
