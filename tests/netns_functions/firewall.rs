//! `firewall` between real TLS and HTTP clients and servers: who gets through, what is counted,
//! and what a reload changes.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddrV6, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use srv6pipes::demo::lab::{Lab, SERVER, sid};
use srv6pipes::demo::program;
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

/// `openssl s_server` in the server's namespace, with files out of a folder.
struct TlsServer(Child);

impl TlsServer {
    fn start(lab: &Lab, workdir: &Workdir) -> Self {
        let folder = workdir.path();
        let [key, certificate] = ["key.pem", "cert.pem"].map(|name| folder.join(name));
        let mut request = program::command("openssl");
        request.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes"]);
        request.args(["-subj", "/CN=srv6pipes test", "-keyout"]);
        request.arg(&key).arg("-out").arg(&certificate);
        program::run(&mut request).unwrap();
        let mut server = lab.server().command("openssl");
        server.args(["s_server", "-accept", &format!("[{SERVER}]:443"), "-WWW"]);
        server.arg("-key").arg(&key).arg("-cert").arg(&certificate);
        server.current_dir(folder).stdin(Stdio::null());
        server.stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self(server.spawn().unwrap());
        wait_for("s_server to listen", || {
            // proc_net(5): state 0A is a listener; 443 is 01BB.
            let sockets = lab
                .server()
                .run(|| fs::read_to_string("/proc/thread-self/net/tcp6"));
            let listens = |line: &str| line.contains(":01BB ") && line.contains(" 0A ");
            sockets.unwrap().unwrap().lines().any(listens).then_some(())
        });
        server
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// `openssl s_client` with more `options`: whether it shook hands.
fn shakes_hands(lab: &Lab, options: &[&str]) -> bool {
    let mut client = lab.client().command("openssl");
    client.args(["s_client", "-connect", &format!("[{SERVER}]:443")]);
    let ended = to_end(client.args(options));
    let done = ended.stdout.contains("BEGIN CERTIFICATE");
    assert_eq!(ended.code == Some(0), done, "{ended:#?}");
    done
}

/// The ClientHello that `openssl s_client` sends with these options.
fn client_hello(options: &[&str]) -> Vec<u8> {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let mut client = program::command("openssl");
    let address = listener.local_addr().unwrap().to_string();
    client
        .args(["s_client", "-connect", &address])
        .args(options);
    let silent = client.stdin(Stdio::null()).stdout(Stdio::null());
    let mut client = silent.stderr(Stdio::null()).spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let mut fragment = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    stream.read_exact(&mut fragment).unwrap();
    client.kill().unwrap();
    client.wait().unwrap();
    [&header[..], &fragment].concat()
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

#[test]
fn tls_is_judged_by_the_name_that_the_client_asks_for() {
    let Some(lab) = lab(1) else { return };
    let workdir = Workdir::new(PREFIX).unwrap();
    let _server = TlsServer::start(&lab, &workdir);
    let proxy = firewall(&lab, "list block_name 'ads.example'");
    // Many protocols to choose from make it longer than a segment.
    let protocols: Vec<_> = (0..120)
        .map(|n| format!("protocol-number-{n:03}"))
        .collect();
    let long = ["-alpn", &protocols.join(",")];
    for more in [&[][..], &["-tls1_2"], &long] {
        let with = |name| [&["-servername", name], more].concat();
        assert!(shakes_hands(&lab, &with("good.example")));
        assert!(!shakes_hands(&lab, &with("ads.example")));
        assert!(!shakes_hands(&lab, &with("x.ADS.example")));
    }
    assert!(client_hello(&long).len() > 2000);
    assert!(shakes_hands(&lab, &["-noservername"]));

    let mut good = client_hello(&["-servername", "good.example"]);
    assert_eq!(byte_by_byte(&prompt(&lab, 443), &good), Some(22));
    let bad = client_hello(&["-servername", "ads.example"]);
    assert_eq!(byte_by_byte(&prompt(&lab, 443), &bad), None);
    // OpenSSL minds neither an empty record nor one byte in each.
    let cut = |hello: &[u8]| -> Vec<u8> {
        let records = hello[5..].iter().map(|byte| [22, 3, 1, 0, 1, *byte]);
        let empty = [22, 3, 1, 0, 0];
        empty.into_iter().chain(records.flatten()).collect()
    };
    let mut whole = prompt(&lab, 443);
    whole.write_all(&cut(&good)).unwrap();
    let mut answer = [0];
    whole.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [22], "the hello of the server, and no alert");
    drop(whole);
    let mut stream = prompt(&lab, 443);
    stream.write_all(&cut(&bad)).unwrap();
    assert_reset(&stream);
    good.truncate(100);
    let mut stream = prompt(&lab, 443);
    stream.write_all(&good).unwrap();
    drop(stream);
    counts(
        &proxy,
        1,
        &[
            ("blocked_flows", "rule=name:ads.example", 8),
            ("unknown_flows", "kind=tls", 1),
            // The one that ended in the middle of its hello.
            ("unknown_flows", "kind=other", 1),
            ("passed_flows", "", 7),
        ],
    );
    counted(&proxy, &[("ended_by_function_flows", 8), ("live_flows", 0)]).assert_adds_up();
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
