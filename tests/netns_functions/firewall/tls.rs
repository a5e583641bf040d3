//! `firewall` between OpenSSL's client and server.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use srv6pipes::demo::lab::{Lab, SERVER};
use srv6pipes::demo::program;
use srv6pipes::demo::workdir::Workdir;

use super::{byte_by_byte, firewall, prompt};
use crate::harness::ended::to_end;
use crate::harness::peer::assert_reset;
use crate::harness::status::counted;
use crate::harness::{PREFIX, lab, wait_for};
use crate::own::counts;

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
