//! `srv6pipes reload` and SIGHUP: new flows get the new configuration, live flows keep theirs, and
//! whatever cannot be taken over changes nothing.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../modules/mod.rs"]
mod modules;

mod live;
mod new;
mod own;
mod refused;

use std::fs;

use harness::ended::{Ended, to_end};
use harness::noise::sha256;
use harness::peer::Server;
use harness::proxy::{Proxy, function_config};
use harness::talk::{Talk, reports, xored};
use harness::wait_for;
use nix::sys::signal::Signal;

/// Both ways to learn a SYN's SRH.
const CAPTURES: [&str; 2] = ["option capture 'saved_syn'", "option capture 'nfqueue'"];

/// The function section that most tests begin with.
fn xor() -> String {
    function_config(1, "xor", "")
}

/// Replaces `old`, which must be there, in the configuration.
#[track_caller]
fn edit(proxy: &Proxy, old: &str, new: &str) {
    let text = fs::read_to_string(proxy.config_path()).unwrap();
    assert!(text.contains(old), "no {old:?} in\n{text}");
    fs::write(proxy.config_path(), text.replace(old, new)).unwrap();
}

/// `srv6pipes reload`, to its end.
fn reload(proxy: &Proxy) -> Ended {
    to_end(&mut proxy.command("reload"))
}

/// Sends SIGHUP and waits for what the log says about it.
fn hang_up(proxy: &Proxy) -> String {
    let before = proxy.log().len();
    proxy.signal(Signal::SIGHUP);
    wait_for("the log to speak of the reload", || {
        let log = proxy.log();
        let new = log.get(before..)?;
        new.contains("reloaded").then(|| new.to_owned())
    })
}

/// Ends all `talks` in order, and sees that the server got what they said through `xor` with
/// `key`.
#[track_caller]
fn end_all(talks: Vec<Talk>, server: &Server, key: u8) {
    let ended: Vec<_> = talks.into_iter().map(Talk::end).collect();
    let reports = reports(server, ended.len());
    for (client, said) in ended {
        let report = &reports[&client];
        report.end.as_ref().unwrap();
        assert_eq!(report.sum, sha256(&xored(&said, key)), "{client}");
    }
}

/// One of the counters.
fn counter(proxy: &Proxy, name: &str) -> u64 {
    let status = proxy.json("status");
    let value = status["counters"][name].as_u64();
    value.unwrap_or_else(|| panic!("no counter {name} in {status}"))
}
