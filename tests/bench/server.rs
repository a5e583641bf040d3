//! The server of all contenders: stock nginx, one process, with objects of all sizes. An object's
//! name is its size in bytes.

use std::fs;
use std::process::{Child, Stdio};

use srv6pipes::demo::lab::{Lab, SERVER};
use srv6pipes::demo::workdir::Workdir;

use crate::harness::{PREFIX, noise, wait_for};

/// The sizes there are, bytes.
pub const SIZES: [u64; 5] = [1000, 10_000, 100_000, 1_000_000, 10_000_000];

/// A running nginx.
#[derive(Debug)]
pub struct Server {
    nginx: Child,
    _workdir: Workdir,
}

impl Server {
    /// Starts it in the server's namespace, and waits until it answers.
    pub fn start(lab: &Lab) -> Self {
        let workdir = Workdir::new(PREFIX).unwrap();
        let folder = workdir.path().display();
        for size in SIZES {
            let bytes = noise::bytes(size, usize::try_from(size).unwrap());
            fs::write(workdir.path().join(size.to_string()), bytes).unwrap();
        }
        let config = workdir
            .write(
                "nginx.conf",
                &format!(
                    "user root; worker_processes 1; daemon off; master_process off; pid {folder}/pid;\n\
                     error_log {folder}/error.log;\n\
                     events {{ worker_connections 16384; }}\n\
                     http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
                     open_file_cache max=16;\n\
                     server {{ listen [{SERVER}]:80 backlog=16384; root {folder}; }} }}\n"
                ),
            )
            .unwrap();
        let mut nginx = lab.server().command("nginx");
        nginx.arg("-e").arg(workdir.path().join("error.log"));
        nginx.arg("-c").arg(config).stdin(Stdio::null());
        let nginx = nginx.spawn().unwrap();
        wait_for("nginx to answer", || {
            let connect = || std::net::TcpStream::connect((SERVER, 80));
            lab.server().run(connect).unwrap().ok()
        });
        Self {
            nginx,
            _workdir: workdir,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}
