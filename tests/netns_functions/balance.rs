//! `balance` under real flows: curl and several servers of one nginx, and two identical proxies.

mod proxies;
mod servers;

use std::net::{Ipv6Addr, SocketAddrV6};
use std::process::{Child, Stdio};

use srv6pipes::demo::lab::{Lab, SERVER};
use srv6pipes::demo::workdir::Workdir;

use crate::harness::ended::to_end;
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::{PREFIX, wait_for};
use crate::own::own;

/// The function's id.
const ID: u16 = 6;
/// Where clients believe that the service is. Nobody has this address.
const SERVICE: Ipv6Addr = Ipv6Addr::new(0xfd00, 5, 0, 0, 0, 0, 0, 0x80);
const CAPTURES: [&str; 2] = ["option capture 'nfqueue'", "option capture 'saved_syn'"];

/// The `n`th server's address.
fn address(n: u16) -> Ipv6Addr {
    Ipv6Addr::from(SERVER.to_bits() + 0xf + u128::from(n))
}

/// Its label.
fn label(n: u16) -> String {
    format!("server={}", address(n))
}

/// A balancer of these servers, with more options.
fn balancer(lab: &Lab, options: &str, servers: &str, more: &str) -> Proxy {
    let section = function_config(ID, "balance", &format!("{servers}{more}"));
    Proxy::start_with(lab, 1, options, &section)
}

/// Lines of servers 1, 2, … with these weights.
fn servers(weights: &[u32]) -> String {
    let line = |(n, weight): (u16, &u32)| format!("list server '{} {weight}'\n", address(n));
    (1..).zip(weights).map(line).collect()
}

/// Flows to the service go through `segments`.
fn steer(lab: &Lab, segments: &[Ipv6Addr]) {
    let list: Vec<String> = segments.iter().map(Ipv6Addr::to_string).collect();
    let line = format!(
        "route replace {SERVICE}/128 encap seg6 mode inline segs {} via {}\n",
        list.join(","),
        lab.address(1, 0)
    );
    lab.client().ip(&line).unwrap();
}

/// What function `ID` has counted for a server, 0 before there is such a counter.
fn count(proxy: &Proxy, name: &str, label: &str) -> u64 {
    own(proxy, ID, name, label).unwrap_or(0)
}

/// What it has counted for servers 1 to `last`.
fn counts_of(proxy: &Proxy, name: &str, last: u16) -> Vec<u64> {
    (1..=last).map(|n| count(proxy, name, &label(n))).collect()
}

/// An nginx that listens on the addresses of several servers and says which one was asked: `/` is
/// that address, `/N` is so many bytes. One connection for each request.
#[derive(Debug)]
struct Nginx {
    child: Child,
    _workdir: Workdir,
}

impl Nginx {
    fn start(lab: &Lab, numbers: &[u16]) -> Self {
        let device = format!("to-p{}", lab.proxies());
        for n in numbers {
            let line = format!("address replace {}/64 dev {device} nodad\n", address(*n));
            lab.server().ip(&line).unwrap();
        }
        let workdir = Workdir::new(PREFIX).unwrap();
        let dir = workdir.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {dir}/temp-{what};\n"))
            .concat();
        let listen: String = numbers
            .iter()
            .map(|n| format!("listen [{}]:80;\n", address(*n)))
            .collect();
        let files: String = [100, 300_000]
            .map(|length: usize| {
                std::fs::write(workdir.path().join(length.to_string()), vec![b'x'; length])
                    .unwrap();
                format!("location /{length} {{ root {dir}; }}\n")
            })
            .concat();
        let config = format!(
            "daemon off;\nmaster_process off;\nuser root;\npid {dir}/nginx.pid;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n{temporary}access_log off;\nkeepalive_timeout 0;\n\
             server {{\n{listen}{files}\
             location / {{ default_type text/plain; return 200 \"$server_addr\\n\"; }}\n}}\n}}\n"
        );
        let config = workdir.write("nginx.conf", &config).unwrap();
        let mut command = lab.server().command("nginx");
        command.arg("-e").arg(workdir.path().join("error.log"));
        command.arg("-p").arg(workdir.path()).arg("-c").arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        let ask = |n| {
            let to = SocketAddrV6::new(address(n), 80, 0, 0);
            let connected = lab.server().run(|| std::net::TcpStream::connect(to));
            connected.unwrap().ok()
        };
        wait_for("nginx to listen", || ask(*numbers.last()?));
        Self {
            child,
            _workdir: workdir,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// So many requests of one curl, one after the other, each with a connection of its own; the
/// answers, line by line.
fn requests(lab: &Lab, count: usize) -> Vec<String> {
    let url = format!("http://[{SERVICE}]/who[1-{count}]");
    let mut curl = lab.client().command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
    // All URLs in one go, and the brackets of the address are no pattern.
    let url = url.replacen('[', "\\[", 1).replacen(']', "\\]", 1);
    let said = to_end(curl.arg(url)).with(0).stdout;
    said.lines().map(str::to_owned).collect()
}

/// How many of the answers came from server `n`.
fn from(answers: &[String], n: u16) -> usize {
    let address = address(n).to_string();
    answers.iter().filter(|answer| **answer == address).count()
}
