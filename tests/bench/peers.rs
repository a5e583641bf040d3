//! The proxies that people would use instead, transparent both ways: their packets reach them by
//! TPROXY, and they go on from the client's address.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use srv6pipes::demo::lab::{Lab, SERVER};
use srv6pipes::demo::workdir::Workdir;

use crate::harness::{PREFIX, wait_for};

/// Where they listen.
const PORT: u16 = 5000;

/// A running peer, with its configuration.
#[derive(Debug)]
pub struct Peer {
    process: Child,
    _workdir: Workdir,
}

impl Peer {
    fn start(lab: &Lab, mut command: Command, workdir: Workdir) -> Self {
        tproxy(lab);
        let process = command.stdin(Stdio::null()).spawn();
        let process = process.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let peer = Self {
            process,
            _workdir: workdir,
        };
        wait_for("the peer to listen", || {
            let table = || std::fs::read_to_string("/proc/thread-self/net/tcp6");
            let table = lab.proxy(1).run(table).unwrap().unwrap();
            let listens = format!(":{PORT:04X} ");
            table
                .lines()
                .any(|line| line.contains(&listens) && line.contains(" 0A "))
                .then_some(())
        });
        peer
    }

    /// Its process and what it started.
    pub fn pids(&self) -> Vec<u32> {
        let own = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let children = children.unwrap_or_default();
        std::iter::once(own)
            .chain(children.split_whitespace().flat_map(str::parse))
            .collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Children end with their namespace.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the kernel documentation says of TPROXY (Documentation/networking/tproxy.rst), for IPv6.
fn tproxy(lab: &Lab) {
    let middle = lab.proxy(1);
    middle
        .ip("rule add fwmark 1 lookup 100\nroute add local ::/0 dev lo table 100\n")
        .unwrap();
    let rules = format!(
        "table ip6 peer {{ chain c {{ type filter hook prerouting priority mangle;\n\
         meta l4proto tcp socket transparent 1 meta mark set 1 accept\n\
         iifname \"{}\" tcp dport 80 tproxy to :{PORT} meta mark set 1 accept\n}}\n}}\n",
        lab.device_to_client(1)
    );
    let mut nft = middle.command("nft");
    srv6pipes::demo::program::run_with_input(nft.args(["-f", "-"]), &rules).unwrap();
}

/// haproxy, as many threads as the machine has cores; `splice-auto` is left out because it is
/// slower than either of these.
pub fn haproxy(lab: &Lab, splice: bool) -> Peer {
    let workdir = Workdir::new(PREFIX).unwrap();
    let options = if splice {
        "  option splice-request\n  option splice-response\n"
    } else {
        ""
    };
    let config = workdir
        .write(
            "haproxy.cfg",
            &format!(
                "global\n  maxconn {}\ndefaults\n  mode tcp\n  timeout connect 5s\n  \
                 timeout client 60s\n  timeout server 60s\n{options}\
                 frontend f\n  bind :::{PORT} transparent\n  default_backend b\n\
                 backend b\n  source :::0 usesrc client\n  server s [{SERVER}]:80\n",
                // It wants five descriptors for two connections, and some.
                descriptors() * 2 / 5 - 100
            ),
        )
        .unwrap();
    let mut command = lab.proxy(1).command("haproxy");
    command.args(["-db", "-f"]).arg(config);
    Peer::start(lab, command, workdir)
}

/// What each process may open.
pub fn descriptors() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).unwrap().1
}

/// nginx's stream module, one process for each core. It has no word that makes a listener
/// transparent; but it takes over listeners whose descriptors stand in `NGINX`, as it does from
/// itself when it is exchanged for a newer one.
pub fn nginx(lab: &Lab) -> Peer {
    let workdir = Workdir::new(PREFIX).unwrap();
    let folder = workdir.path().display();
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let config = workdir
        .write(
            "nginx.conf",
            &format!(
                "load_module {module};\nuser root; worker_processes auto; daemon off; pid {folder}/pid;\n\
                 error_log {folder}/error.log;\nevents {{ worker_connections 16384; }}\n\
                 stream {{ server {{ listen [::]:{PORT};\n\
                 proxy_bind $remote_addr:$remote_port transparent; proxy_half_close on;\n\
                 proxy_pass [{SERVER}]:80; }} }}\n"
            ),
        )
        .unwrap();
    let mut command = lab.proxy(1).command("nginx");
    command.arg("-e").arg(workdir.path().join("error.log"));
    command.arg("-c").arg(config);
    let listener = lab.proxy(1).run(transparent_listener).unwrap().unwrap();
    command.env("NGINX", format!("{};", listener.as_raw_fd()));
    Peer::start(lab, command, workdir)
}

fn transparent_listener() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.set_ip_transparent_v6(true)?;
    socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, PORT, 0, 0).into())?;
    socket.listen(16_384)?;
    socket.set_cloexec(false)?;
    Ok(socket)
}

/// The relay in `tests/bench/realm`, on the library realm_io.
pub fn realm(lab: &Lab) -> Peer {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let program = BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = root.join("target/realm");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--manifest-path",
        ]);
        cargo.arg(root.join("tests/bench/realm/Cargo.toml"));
        cargo.arg("--target-dir").arg(&target);
        let status = cargo.status().unwrap();
        assert!(status.success(), "the relay on realm_io does not build");
        target.join("release/realm-relay")
    });
    let mut command = lab.proxy(1).command(program);
    command.args([PORT.to_string(), format!("[{SERVER}]:80")]);
    Peer::start(lab, command, Workdir::new(PREFIX).unwrap())
}
