//! Tells systemd how far we are, if it asked: sd_notify(3), `Type=notify` in systemd.service(5).

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The kernel is set up and flows are served.
pub const READY: &str = "READY=1";
/// It is being put back.
pub const STOPPING: &str = "STOPPING=1";

/// Sends `state` to whoever started us, if they gave us a socket for that.
pub fn tell(state: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let sent = || -> io::Result<()> {
        let address = match name.as_bytes() {
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
            _ => SocketAddr::from_pathname(&name)?,
        };
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
        Ok(())
    };
    if let Err(error) = sent() {
        log::warn!("tell NOTIFY_SOCKET {name:?} {state}: {error}");
    }
}
