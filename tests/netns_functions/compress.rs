//! `compress` and `decompress` between curl and nginx, and against peers that are not what they
//! should be.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use srv6pipes::demo::fetch::sha256;
use srv6pipes::demo::lab::{Lab, sid};
use srv6pipes::demo::webserver::{self, Webserver};
use srv6pipes::demo::workdir::Workdir;

use crate::harness::ended::to_end;
use crate::harness::ends::{Ends, Host, breaks, hear, hear_out};
use crate::harness::peer::{Habit, Server};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::status::{Status, counted};
use crate::harness::talk::Talk;
use crate::harness::text::Text;
use crate::harness::{PREFIX, lab, noise, wait_for};
use crate::own::{counts, own};
use crate::readme::example;

/// The number of the functions, as in the README.
const ID: u16 = 8;

fn section(name: &str, options: &str) -> String {
    format!(
        "config function\noption id '{ID}'\noption module 'libcompress.so'\n\
         option name '{name}'\n{options}\n\n"
    )
}

/// A proxy for each of these sections, and the client's flows through the functions [`ID`] of
/// them all.
fn chain(lab: &Lab, sections: &[String]) -> Vec<Proxy> {
    let path: Vec<_> = (1..=sections.len()).map(|i| sid(i, ID, 0)).collect();
    lab.steer(&path).unwrap();
    let start = |(i, section): (usize, &String)| Proxy::start_with(lab, i, "", section);
    (1..).zip(sections).map(start).collect()
}

fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Text::new(seed).read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn curl_fetches_a_text_that_was_half_as_long_between_the_proxies() {
    let Some(lab) = lab(2) else { return };
    let near = example("compress");
    let far = near.replace("'compress'", "'decompress'");
    let proxies = chain(&lab, &[near, far]);
    let workdir = Workdir::new(PREFIX).unwrap();
    let mut nginx = Webserver::start(lab.server(), &workdir).unwrap();
    let file = nginx.root().join("book.txt");
    fs::write(&file, text(1, 3_000_000)).unwrap();
    wait_for("nginx to listen", || {
        nginx.is_ready(lab.server()).unwrap().then_some(())
    });
    let fetched = workdir.path().join("fetched");
    let mut curl = lab.client().command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
    curl.args(["--write-out", "%{size_header} %{size_request}", "--output"]);
    curl.arg(&fetched)
        .arg(format!("http://{}/book.txt", webserver::ADDRESS));
    let said = to_end(&mut curl).with(0).stdout;
    assert_eq!(sha256(&fetched).unwrap(), sha256(&file).unwrap());

    let lengths: Vec<u64> = said.split(' ').map(|n| n.parse().unwrap()).collect();
    let (down, up) = (3_000_000 + lengths[0], lengths[1]);
    for proxy in &proxies {
        counted(proxy, &[("finished_flows", 1), ("live_flows", 0)]).assert_adds_up();
        counts(
            proxy,
            ID,
            &[
                ("clear_bytes", "direction=downstream", down),
                ("clear_bytes", "direction=upstream", up),
            ],
        );
    }
    let packed = |proxy: &Proxy, direction| {
        own(proxy, ID, "packed_bytes", &format!("direction={direction}")).unwrap()
    };
    let [near, far] = [&proxies[0], &proxies[1]];
    let [up_packed, down_packed] = ["upstream", "downstream"].map(|direction| {
        assert_eq!(packed(near, direction), packed(far, direction));
        packed(near, direction)
    });
    assert!(down_packed * 2 < down, "{down_packed} of {down}");
    // What each function read and gave, both directions together, as the host has counted.
    for (proxy, read, gave) in [
        (near, up + down_packed, up_packed + down),
        (far, up_packed + down, up + down_packed),
    ] {
        let status = Status::of(proxy);
        assert_eq!(status.function(ID, "in_bytes"), read);
        assert_eq!(status.function(ID, "out_bytes"), gave);
        assert_eq!(status.function(ID, "broken_flows"), 0);
    }
}

#[test]
fn a_session_of_small_messages_never_waits() {
    let Some(lab) = lab(2) else { return };
    for options in ["", "option algorithm 'zstd'"] {
        let sections = ["compress", "decompress"].map(|name| section(name, options));
        let _proxies = chain(&lab, &sections);
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let mut talk = Talk::begin(&lab, &server).unwrap();
        for round in 0..300 {
            talk.say(format!("{round}: how do you do?\n").as_bytes())
                .unwrap();
        }
        talk.end();
    }
}

/// The flow of `ends` breaks at both ends, and nothing comes out of it.
fn assert_breaks(ends: &Ends) {
    let heard = hear_out(&ends.server).unwrap_err();
    assert_eq!(heard.kind(), ErrorKind::ConnectionReset);
    assert_eq!(breaks(&ends.client), ErrorKind::ConnectionReset);
}

/// Waits until `proxy` has counted one flow that its function ended, and has told the operator.
fn assert_told(proxy: &Proxy, words: &str) {
    let status = counted(proxy, &[("live_flows", 0), ("broken_function_flows", 1)]);
    status.assert_adds_up();
    assert_eq!(status.function(ID, "broken_flows"), 1);
    let log = proxy.log();
    assert_eq!(log.matches(words).count(), 1, "{log}");
}

#[test]
fn what_is_garbled_between_the_proxies_ends_the_flow() {
    let Some(lab) = lab(3) else { return };
    let xor = function_config(1, "xor", "");
    let sections = [section("compress", ""), xor, section("decompress", "")];
    let proxies = chain(&lab, &sections);
    lab.steer(&[sid(1, ID, 0), sid(2, 1, 1), sid(3, ID, 0)])
        .unwrap();
    let host = Host::listen(lab.server(), 5001);
    let ends = host.meet(lab.client());
    (&ends.client).write_all(&text(2, 50_000)).unwrap();
    assert_breaks(&ends);
    assert_told(&proxies[2], "must pass `compress` at one proxy");
}

#[test]
fn ends_that_do_not_agree_and_peers_that_are_none_are_told_apart() {
    let zstd = "option algorithm 'zstd'";
    let wide = "option window_kb '64'";
    for (near, far, words) in [
        (
            section("compress", zstd),
            section("decompress", ""),
            "the other end compresses by zstd with a window of 32 KiB",
        ),
        (
            section("compress", wide),
            section("decompress", ""),
            "give both sections the same algorithm and window_kb",
        ),
        // A client whose flow meets no `compress`.
        (
            function_config(ID, "xor", ""),
            section("decompress", ""),
            "must pass `compress` at one proxy",
        ),
    ] {
        let Some(lab) = lab(2) else { return };
        let proxies = chain(&lab, &[near, far]);
        let host = Host::listen(lab.server(), 5001);
        let ends = host.meet(lab.client());
        // One byte is enough for a stranger, and the eight of the header for the others.
        (&ends.client).write_all(b"G").unwrap();
        assert_breaks(&ends);
        assert_told(&proxies[1], words);
    }
}

#[test]
fn a_server_that_answers_in_clear_ends_the_flow() {
    let Some(lab) = lab(2) else { return };
    let far = function_config(ID, "xor", "");
    let proxies = chain(&lab, &[section("compress", ""), far]);
    let host = Host::listen(lab.server(), 5001);
    let ends = host.meet(lab.client());
    (&ends.server).write_all(b"220 ready\r\n").unwrap();
    assert_breaks(&ends);
    assert_told(&proxies[0], "must pass `compress` at one proxy");
}

/// What the only proxy's function makes of `bytes`, to the end of the stream.
fn made_of(lab: &Lab, host: &Host, bytes: &[u8]) -> Vec<u8> {
    let ends = host.meet(lab.client());
    (&ends.client).write_all(bytes).unwrap();
    ends.client.shutdown(Shutdown::Write).unwrap();
    hear_out(&ends.server).unwrap()
}

/// All that arrives until the connection breaks, which must be by a reset.
fn until_reset(mut stream: &TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => panic!("an orderly end after {} bytes", heard.len()),
            Ok(n) => heard.extend(&piece[..n]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                return heard;
            }
        }
    }
}

#[test]
fn no_byte_behind_the_damage_reaches_the_server() {
    let clear = text(3, 60_000);
    for options in ["", "option algorithm 'zstd'"] {
        let Some(lab) = lab(1) else { return };
        let far = section("decompress", options).replace(&format!("'{ID}'"), "'9'");
        let proxies = chain(&lab, &[section("compress", options) + &far]);
        let host = Host::listen(lab.server(), 5001);
        // The test is the other proxy: it has the packed stream in its own hands. (It says nothing
        // itself, which is no way to end for a peer: that flow breaks, too.)
        let packed = made_of(&lab, &host, &clear);
        assert!(packed.len() * 2 < clear.len());
        lab.steer(&[sid(1, 9, 0)]).unwrap();
        assert!(made_of(&lab, &host, &packed) == clear);

        let broken = |stream: &[u8]| {
            let ends = host.meet(lab.client());
            // The reset may be faster than the client.
            let said = (&ends.client).write_all(stream);
            let _reset = said.and_then(|()| ends.client.shutdown(Shutdown::Write));
            let heard = until_reset(&ends.server);
            assert!(clear.starts_with(&heard), "{} bytes", heard.len());
        };
        let places: Vec<usize> = (0..packed.len()).step_by(packed.len() / 12).collect();
        for place in &places {
            let mut garbled = packed.clone();
            garbled[*place..(place + 4).min(packed.len())].fill(0xa5);
            broken(&garbled);
            broken(&packed[..*place]);
        }
        // Half of it goes on before the damage comes.
        let half = packed.len() / 2;
        let ends = host.meet(lab.client());
        (&ends.client).write_all(&packed[..half]).unwrap();
        assert_eq!(hear(&ends.server, 10_000).unwrap(), clear[..10_000]);
        let rubbish = noise::bytes(4, 20_000);
        let _reset = (&ends.client).write_all(&rubbish);
        let heard = until_reset(&ends.server);
        assert!(clear[10_000..].starts_with(&heard));

        let broken_flows = 2 * places.len() as u64 + 1;
        let expected = [
            ("broken_function_flows", broken_flows + 1),
            ("finished_flows", 1),
            ("live_flows", 0),
        ];
        let status = counted(&proxies[0], &expected);
        status.assert_adds_up();
        assert_eq!(status.function(9, "broken_flows"), broken_flows);
    }
}

#[test]
fn mistakes_in_the_options_are_told_with_their_lines() {
    let Some(lab) = lab(1) else { return };
    let proxy = Proxy::start_with(&lab, 1, "", &section("compress", ""));
    let good = fs::read_to_string(proxy.config_path()).unwrap();
    let bad = "option algorithm 'lzma'\noption window_kb '33'\noption level '0'\n\
               option on_failure 'pass'\n";
    let line = good.trim_end().lines().count() + 1;
    fs::write(proxy.config_path(), good.trim_end().to_owned() + "\n" + bad).unwrap();
    let said = to_end(&mut proxy.command("check")).with(1).stderr;
    for (line, words) in (line..).zip([
        "option 'algorithm': must be one of: lz4, zstd",
        "option 'window_kb': must be one of: 16, 32, 64",
        "option 'level': must be a number from 1 to 9",
    ]) {
        let place = format!("{}:{line}: ", proxy.config_path().display());
        let told = said
            .lines()
            .any(|text| text.starts_with(&place) && text.contains(words));
        assert!(told, "no {words:?} in line {line} of:\n{said}");
    }
    assert!(
        said.contains("option 'on_failure': must be 'reset'"),
        "{said}"
    );
}
