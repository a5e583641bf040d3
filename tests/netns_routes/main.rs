//! Functions that choose the way: another server or next segment, another one if that does not
//! answer, and what they hear of it. Each in both captures.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../modules/mod.rs"]
mod modules;

mod again;
mod end;
mod way;

use std::net::{Ipv6Addr, SocketAddrV6};

use harness::peer::{connect, exchange};
use harness::proxy::Proxy;
use harness::sight::{Attempt, Sight};
use harness::status::descriptors;
use harness::{lab, wait_for};
use modules::TempDir;
use modules::uci::section;
use srv6pipes::demo::lab::{Lab, SERVER, sid};

const CAPTURES: [&str; 2] = ["nfqueue", "saved_syn"];
/// Where clients believe that the service is; nobody listens there.
const SERVICE: SocketAddrV6 = SocketAddrV6::new(SERVER, 7, 0, 0);

/// The `n`th server behind the service's address, on `port`.
fn behind(n: u16, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(
        Ipv6Addr::from(SERVER.to_bits() + 0xf + u128::from(n)),
        port,
        0,
        0,
    )
}

/// Gives the server's namespace the addresses of `count` servers.
fn house(lab: &Lab, count: u16) {
    for n in 1..=count {
        let line = format!(
            "address add {}/64 dev to-p{} nodad\n",
            behind(n, 0).ip(),
            lab.proxies()
        );
        lab.server().ip(&line).unwrap();
    }
}

fn to_servers(servers: &[SocketAddrV6]) -> String {
    let line = |server: &SocketAddrV6| format!("list server '{} {}'\n", server.ip(), server.port());
    servers.iter().map(line).collect()
}

fn to_segments(segments: &[Ipv6Addr]) -> String {
    let line = |segment: &Ipv6Addr| format!("list next '{segment}'\n");
    segments.iter().map(line).collect()
}

/// Proxy 1 with function 1 `choices`, and the client's flows to the service by it.
struct Router {
    lab: Lab,
    folder: TempDir,
    proxy: Proxy,
}

impl Router {
    fn start(lab: Lab, capture: &str, options: &str, choices: &str) -> Self {
        let folder = TempDir::new();
        modules::compile("choices", &folder.join("choices.so"), &[]);
        let sections = section(1, &folder, "choices.so", "choices", choices);
        let options = format!("option capture '{capture}'\n{options}");
        let proxy = Proxy::start_with(&lab, 1, &options, &sections);
        lab.steer(&[sid(1, 1, 0)]).unwrap();
        Self { lab, folder, proxy }
    }

    fn echoes(&self, bytes: &[u8]) {
        let stream = connect(self.lab.client(), SERVICE).unwrap();
        assert_eq!(exchange(&stream, bytes).unwrap(), bytes);
    }

    fn sight(&self) -> Sight {
        Attempt::begin(self.lab.client(), SERVICE).sight(|| false)
    }
}

/// How many sockets the daemon has open. Its workers keep pipes of flows that were spliced.
fn sockets(proxy: &Proxy) -> usize {
    let is_socket = |fd: &usize| {
        let link = format!("/proc/{}/fd/{fd}", proxy.pid());
        std::fs::read_link(link).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    descriptors(proxy).iter().filter(|fd| is_socket(fd)).count()
}

fn wait_sockets(proxy: &Proxy, before: usize) {
    wait_for(&format!("sockets to be {before} again"), || {
        (sockets(proxy) == before).then_some(())
    });
}

/// A laboratory where packets to the first server behind the service vanish.
fn hole() -> Option<Lab> {
    let lab = lab(2)?;
    house(&lab, 2);
    let line = format!("route add blackhole {}/128\n", behind(1, 0).ip());
    lab.proxy(2).ip(&line).unwrap();
    Some(lab)
}

const SECOND: &str = "option connect_timeout '1'";

/// Adds `sections` to what the proxy has, and has it take them.
fn reconfigure(router: &Router, sections: &str) {
    let path = router.proxy.config_path();
    let config = std::fs::read_to_string(&path).unwrap() + sections;
    std::fs::write(&path, config).unwrap();
    let output = router.proxy.command("reload").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
