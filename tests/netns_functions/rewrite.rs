//! `rewrite` between curl and nginx, and between ends that wait for each other.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use srv6pipes::demo::lab::{Lab, sid};
use srv6pipes::demo::webserver::{self, Webserver};
use srv6pipes::demo::workdir::Workdir;

use crate::harness::ended::to_end;
use crate::harness::ends::{Ends, Host, hear};
use crate::harness::peer::{Habit, Server, connect, exchange};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::status::{Status, counted};
use crate::harness::talk::Talk;
use crate::harness::{PREFIX, lab, wait_for};
use crate::own::counts;
use crate::readme::example;

/// The number of the function, as in the README.
const ID: u16 = 9;

fn proxy(lab: &Lab, section: &str) -> Proxy {
    lab.steer(&[sid(1, ID, 0)]).unwrap();
    Proxy::start_with(lab, 1, "", section)
}

#[test]
fn curl_fetches_what_nginx_never_said() {
    let Some(lab) = lab(1) else { return };
    let proxy = proxy(&lab, &example("rewrite"));
    let workdir = Workdir::new(PREFIX).unwrap();
    let mut nginx = Webserver::start(lab.server(), &workdir).unwrap();
    let line = "One colour, \0\x01two colours; a colander.\n";
    fs::write(nginx.root().join("page"), line.repeat(20_000)).unwrap();
    wait_for("nginx to listen", || {
        nginx.is_ready(lab.server()).unwrap().then_some(())
    });
    // The text gets shorter than its Content-Length says.
    let mut curl = lab.client().command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
    curl.args(["--http1.0", "--ignore-content-length", "--include"]);
    let url = format!("http://{}/page", webserver::ADDRESS);
    let said = to_end(curl.arg(url)).with(0).stdout;
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("\r\nServer: something else, not nginx/1."),
        "{head}"
    );
    assert!(body == "One color, two colors; a colander.\n".repeat(20_000));

    counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]).assert_adds_up();
    counts(
        &proxy,
        ID,
        &[
            ("replaced_strings", "rule=1", 40_000),
            ("replaced_strings", "rule=2", 1),
            ("replaced_strings", "rule=3", 20_000),
        ],
    );
    let status = Status::of(&proxy);
    let counter = |name| status.counter(name);
    let gone = counter("downstream_in_bytes") - counter("downstream_out_bytes");
    let longer = "something else, not ".len();
    assert_eq!(gone + longer as u64, 40_000 + 2 * 20_000);
    // The other direction passed.
    let seen = status.function(ID, "in_bytes");
    assert_eq!(seen, counter("downstream_in_bytes"));
    assert!(counter("upstream_in_bytes") > 0);
}

#[test]
fn strings_are_found_however_the_client_cuts_them() {
    let Some(lab) = lab(1) else { return };
    let options = "list replace 'password=>********'\nlist replace 'pass=>go'\n\
                   option direction 'upstream'";
    let proxy = proxy(&lab, &function_config(ID, "rewrite", options));
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let text = b"pass, password, passwort; past".repeat(400);
    let stream = connect(lab.client(), server.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in &text[..text.len() - 1] {
        (&stream).write_all(&[*byte]).unwrap();
    }
    let echo = exchange(&stream, &text[text.len() - 1..]).unwrap();
    assert!(echo == b"go, ********, gowort; past".repeat(400));
    counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]).assert_adds_up();
    counts(
        &proxy,
        ID,
        &[
            ("replaced_strings", "rule=1", 400),
            ("replaced_strings", "rule=2", 800),
        ],
    );
}

/// The server hears `text`, after how long.
fn after(ends: &Ends, said: &[u8], heard: &[u8]) -> Duration {
    let began = Instant::now();
    let mut client: &TcpStream = &ends.client;
    client.write_all(said).unwrap();
    assert_eq!(hear(&ends.server, heard.len()).unwrap(), heard);
    began.elapsed()
}

#[test]
fn who_waits_for_the_beginning_of_a_match_gets_it_in_the_end() {
    let Some(lab) = lab(1) else { return };
    let options = "list replace 'password=>********'\noption hold_ms '300'";
    let proxy = proxy(&lab, &function_config(ID, "rewrite", options));
    let host = Host::listen(lab.server(), 5001);
    let ends = host.meet(lab.client());
    let held = after(&ends, b"enter pass", b"enter pass");
    assert!(held >= Duration::from_millis(300), "{held:?}");
    // What follows is no match any more, and a new one is.
    after(&ends, b"word: password!", b"word: ********!");
    counts(
        &proxy,
        ID,
        &[("expired_holds", "", 1), ("replaced_strings", "rule=1", 1)],
    );
}

#[test]
fn a_session_whose_messages_begin_no_rule_is_never_held() {
    let Some(lab) = lab(1) else { return };
    // A minute: whoever is held fails the test.
    let options = "list replace 'password=>********'\noption hold_ms '60000'";
    let proxy = proxy(&lab, &function_config(ID, "rewrite", options));
    let server = Server::start(lab.server(), 7, Habit::Echo);
    let mut talk = Talk::begin(&lab, &server).unwrap();
    for round in 0..200 {
        talk.say(format!("pass {round}\n").as_bytes()).unwrap();
    }
    talk.end();
    counted(&proxy, &[("finished_flows", 1), ("live_flows", 0)]).assert_adds_up();
    counts(&proxy, ID, &[("expired_holds", "", 0)]);
}

#[test]
fn mistakes_in_the_rules_are_told_with_their_lines() {
    let Some(lab) = lab(1) else { return };
    let proxy = proxy(&lab, &function_config(ID, "rewrite", "list replace 'a=>b'"));
    let good = fs::read_to_string(proxy.config_path()).unwrap();
    let bad = "list replace 'a->b'\nlist replace 'a=>c'\noption hold_ms '0'\n";
    let line = good.trim_end().lines().count() + 1;
    fs::write(proxy.config_path(), good.trim_end().to_owned() + "\n" + bad).unwrap();
    let said = to_end(&mut proxy.command("check")).with(1).stderr;
    for (line, words) in (line..).zip([
        "option 'replace': must be 'from=>to'",
        "option 'replace': replaces what another one replaces already",
        "option 'hold_ms': must be a number from 1 to 60000",
    ]) {
        let place = format!("{}:{line}: ", proxy.config_path().display());
        let told = said
            .lines()
            .any(|text| text.starts_with(&place) && text.contains(words));
        assert!(told, "no {words:?} in line {line} of:\n{said}");
    }
}
