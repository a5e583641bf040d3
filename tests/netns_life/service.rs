//! As systemd or procd start it: with few privileges or too few, and told when it is ready.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddrV6, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use crate::harness::ended::to_end;
use crate::harness::noise;
use crate::harness::peer::{Habit, Server, connect, exchange};
use crate::harness::proxy::{PROGRAM, Proxy, base_config, function_config, modules};
use crate::harness::{PATIENCE, PREFIX, kernel, lab, wait_for};
use crate::{CAPTURES, Idle, assert_as_before, everything, srv6pipes};
use srv6pipes::demo::lab::{CLIENT, Lab, sid};
use srv6pipes::demo::workdir::Workdir;

/// What files/systemd/srv6pipes.service leaves.
const UNIT: &str = include_str!("../../files/systemd/srv6pipes.service");

/// `CapabilityBoundingSet=` as setpriv(1) writes it.
fn units_capabilities() -> String {
    let line = UNIT
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="))
        .unwrap();
    let names = line.split(' ').map(|name| {
        let name = name.strip_prefix("CAP_").unwrap().to_lowercase();
        format!(",+{name}")
    });
    format!("-all{}", names.collect::<String>())
}

/// `srv6pipes run -c CONFIG` in proxy `i`, as root with the capabilities `set` only, none of which
/// its children get back.
fn run_with(lab: &Lab, i: usize, set: &str, config: &Path) -> Command {
    let mut command = lab.proxy(i).command("setpriv");
    command.args(["--bounding-set", set, "--inh-caps=-all", "--no-new-privs"]);
    command.arg(PROGRAM).arg("run").arg("-c").arg(config);
    command
}

/// A daemon with few capabilities; dropping it stops it.
struct Bound {
    child: Child,
    workdir: Workdir,
}

impl Bound {
    fn start(lab: &Lab, i: usize, set: &str, options: &str) -> Self {
        let workdir = Workdir::new(PREFIX).unwrap();
        let config = base_config(lab, i, &workdir, options) + &function_config(1, "xor", "");
        workdir
            .copy_modules(&modules(), |name| name == "libxor.so")
            .unwrap();
        let config = workdir.write("proxy.conf", &config).unwrap();
        let log = fs::File::create(workdir.path().join("log")).unwrap();
        let mut command = run_with(lab, i, set, &config);
        let child = command.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let mut bound = Self { child, workdir };
        wait_for("a daemon with few capabilities", || {
            assert_eq!(bound.child.try_wait().unwrap(), None, "{}", bound.log());
            let mut status = Command::new(PROGRAM);
            status.arg("status").arg("-c").arg(&config);
            let status = status.stdout(Stdio::null()).stderr(Stdio::null()).status();
            status.unwrap().success().then_some(())
        });
        bound
    }

    fn log(&self) -> String {
        fs::read_to_string(self.workdir.path().join("log")).unwrap()
    }

    /// `SIGTERM`; its exit code.
    fn stop(&mut self) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let ended = wait_for("its end", || self.child.try_wait().unwrap());
        ended.code()
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.stop();
        }
    }
}

/// Connects from a port that only root may use.
fn connect_from(lab: &Lab, port: u16, server: SocketAddrV6) -> io::Result<TcpStream> {
    let connected = lab.client().run(|| -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        socket.bind(&SocketAddrV6::new(CLIENT, port, 0, 0).into())?;
        socket.connect_timeout(&server.into(), PATIENCE)?;
        Ok(TcpStream::from(socket))
    });
    let stream = connected.unwrap()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

#[test]
fn the_units_capabilities_suffice_for_the_chain_and_leave_nothing() {
    for capture in CAPTURES {
        let Some(lab) = lab(2) else { return };
        let before = kernel::state(lab.proxy(1));
        let set = units_capabilities();
        let mut proxies = [1, 2].map(|i| Bound::start(&lab, i, &set, capture));
        lab.steer(&[1, 2].map(|i| sid(i, 1, 0x2a))).unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let bytes = noise::bytes(1, 1 << 20);
        for stream in [
            connect(lab.client(), server.address()).unwrap(),
            connect_from(&lab, 700, server.address()).unwrap(),
        ] {
            assert!(exchange(&stream, &bytes).unwrap() == bytes, "{capture}");
            let report = server.report();
            assert_eq!(report.client, stream.local_addr().unwrap());
        }
        for proxy in &mut proxies {
            assert_eq!(proxy.stop(), Some(0));
            let log = proxy.log();
            assert!(!log.contains("CAP_") && !log.contains("ERROR"), "{log}");
        }
        assert_as_before(&lab, &before);
    }
}

#[test]
fn without_the_right_to_low_ports_only_their_clients_are_reset() {
    let Some(lab) = lab(1) else { return };
    let proxy = Bound::start(&lab, 1, "-all,+net_admin", CAPTURES[0]);
    let log = proxy.log();
    assert!(log.contains("CAP_NET_BIND_SERVICE"), "{log}");
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let server = Server::start(lab.server(), 7, Habit::Echo);
    // The reset may come before connect(2) has looked.
    let low = connect_from(&lab, 700, server.address()).and_then(|low| exchange(&low, b"low"));
    let broken = low.unwrap_err().kind();
    let reset = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(reset.contains(&broken), "{broken}");
    let high = connect(lab.client(), server.address()).unwrap();
    assert_eq!(exchange(&high, b"high").unwrap(), b"high");
}

#[test]
fn missing_capabilities_are_named_before_anything_is_touched() {
    for (set, capture, lacks) in [
        ("-all", CAPTURES[0], &["CAP_NET_ADMIN"][..]),
        ("-all", CAPTURES[1], &["CAP_NET_ADMIN", "CAP_NET_RAW"]),
        ("-all,+net_raw", CAPTURES[0], &["CAP_NET_ADMIN"]),
        ("-all,+net_admin", CAPTURES[1], &["CAP_NET_RAW"]),
    ] {
        let Some(lab) = lab(1) else { return };
        let idle = Idle::new(&lab, capture, &everything(&lab, 1));
        let before = kernel::state(lab.proxy(1));
        let ended = to_end(&mut run_with(&lab, 1, set, &idle.config)).with(1);
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), lacks.len(), "{ended:?}");
        for (line, name) in lines.iter().zip(lacks) {
            assert!(line.contains(name) && line.contains("root"), "{line}");
        }
        assert_as_before(&lab, &before);
    }
}

#[test]
fn whoever_asks_by_notify_socket_is_told_when_it_is_ready_and_when_it_stops() {
    for is_abstract in [false, true] {
        let Some(lab) = lab(1) else { return };
        let idle = Idle::new(&lab, "", &everything(&lab, 1));
        let path = idle.workdir.path().join("notify");
        // A name without a file belongs to a network namespace, the proxy's.
        let bind = || {
            use std::os::linux::net::SocketAddrExt;
            if is_abstract {
                let name = path.to_str().unwrap();
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
                UnixDatagram::bind_addr(&address).unwrap()
            } else {
                UnixDatagram::bind(&path).unwrap()
            }
        };
        let socket = lab.proxy(1).run(bind).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let hear = || {
            let mut buffer = [0; 64];
            let n = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..n]).into_owned()
        };
        let at = if is_abstract { "@" } else { "" };
        let mut command = lab.proxy(1).command(PROGRAM);
        command.arg("run").arg("-c").arg(&idle.config);
        command.env("NOTIFY_SOCKET", format!("{at}{}", path.display()));
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let Idle { workdir, config } = idle;
        let mut daemon = Bound {
            child: child.unwrap(),
            workdir,
        };
        assert_eq!(hear(), "READY=1");
        assert_eq!(srv6pipes(&lab, "status", &config).code, Some(0));
        assert_eq!(daemon.stop(), Some(0));
        assert_eq!(hear(), "STOPPING=1");
    }
}

#[test]
fn a_killed_run_is_cleaned_up_after_though_its_configuration_is_broken_by_now() {
    let Some(lab) = lab(1) else { return };
    let before = kernel::state(lab.proxy(1));
    let mut proxy = Proxy::start(&lab, 1);
    proxy.kill_9();
    let config = proxy.config_path();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("option prefix", "option perfix")).unwrap();
    let ended = srv6pipes(&lab, "clean", &config).with(0);
    assert!(ended.stdout.ends_with(" things undone\n"), "{ended:?}");
    assert_as_before(&lab, &before);
}
