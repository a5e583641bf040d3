//! A stock nginx for the demo: one process, in the server's namespace, with a configuration and
//! files of its own; the system's nginx, if there is one, is not touched.

use std::fs;
use std::io;
use std::net::{SocketAddrV6, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::demo::lab::SERVER;
use crate::demo::namespace::{self, Namespace};
use crate::demo::workdir::Workdir;
use crate::demo::{program, workdir};

/// Where it listens.
pub const ADDRESS: SocketAddrV6 = SocketAddrV6::new(SERVER, 80, 0, 0);

/// A running nginx; dropping it ends it.
#[derive(Debug)]
pub struct Webserver {
    child: Child,
    root: PathBuf,
    log: PathBuf,
}

/// Why there is no web server.
#[derive(Debug)]
pub enum Error {
    /// Its files could not be written.
    Files(workdir::Error),
    /// It could not be started, or ended by itself.
    Program(program::Error),
    /// Its namespace could not be entered.
    Namespace(namespace::Error),
    /// It could not be waited for.
    Process(io::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Files(error) => error.fmt(f),
            Self::Program(error) => error.fmt(f),
            Self::Namespace(error) => error.fmt(f),
            Self::Process(_) => f.write_str("cannot wait for nginx"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Files(error) => error.source(),
            Self::Program(error) => error.source(),
            Self::Namespace(error) => error.source(),
            Self::Process(source) => Some(source),
        }
    }
}

impl Webserver {
    /// Starts nginx in `namespace` to serve what will be in [`root`](Self::root).
    ///
    /// # Errors
    /// When it is not installed, or `workdir` is full.
    pub fn start(namespace: &Namespace, workdir: &Workdir) -> Result<Self, Error> {
        let dir = workdir.path().display();
        let config = workdir.write("nginx.conf", &configuration(workdir.path()));
        let config = config.map_err(Error::Files)?;
        let root = workdir.path().join("www");
        // -e: else the compiled-in error log is opened before the configuration is read.
        let mut command = namespace.command("nginx");
        command.arg("-e").arg(format!("{dir}/nginx-error.log"));
        command.arg("-p").arg(workdir.path()).arg("-c").arg(config);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        fs::create_dir(&root).map_err(Error::Process)?;
        let child = command
            .spawn()
            .map_err(|source| Error::Program(program::not_started(&command, source)))?;
        Ok(Self {
            child,
            root,
            log: workdir.path().join("nginx-access.log"),
        })
    }

    /// The folder it serves.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it takes connections.
    ///
    /// # Errors
    /// When it has ended, with what it said.
    pub fn is_ready(&mut self, namespace: &Namespace) -> Result<bool, Error> {
        if let Some(status) = self.child.try_wait().map_err(Error::Process)? {
            let mut stderr = String::new();
            if let Some(pipe) = self.child.stderr.as_mut() {
                io::Read::read_to_string(pipe, &mut stderr).map_err(Error::Process)?;
            }
            return Err(Error::Program(program::Error::Failed {
                command: "nginx".to_owned(),
                status,
                stderr,
            }));
        }
        let answer = namespace.run(|| TcpStream::connect(ADDRESS));
        Ok(answer.map_err(Error::Namespace)?.is_ok())
    }

    /// The client's address of every request so far, oldest first. nginx logs a request once the
    /// answer is sent, so the last one may be a moment late.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn clients(&self) -> io::Result<Vec<String>> {
        let log = fs::read_to_string(&self.log)?;
        Ok(log
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }
}

impl Drop for Webserver {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// All paths lie in `dir`. No master: one process to start and to end.
fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("    {what}_temp_path {dir}/nginx-temp-{what};\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {dir}/nginx.pid;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n{temporary}\
         \x20   access_log {dir}/nginx-access.log;\n\
         \x20   sendfile on;\n\
         \x20   default_type text/plain;\n\
         \x20   server {{ listen {ADDRESS}; root {dir}/www; }}\n}}\n"
    )
}
