//! One sysctl: a file below `/proc/sys`, read and written as such.
//!
//! Device names may have dots in them, so the key is kept as a path; it is shown the way
//! sysctl(8) wants it, where a dot inside a name becomes a slash.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A sysctl and the value it shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// The path below `/proc/sys`.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Sysctl {
    /// Lets a device, or `all`, take packets with an SRH (4.10).
    pub fn seg6_enabled(device: &str) -> Self {
        Self {
            key: format!("net/ipv6/conf/{device}/seg6_enabled"),
            value: "1".to_owned(),
        }
    }

    /// Lets TCP try smaller segments when large ones vanish (4.1, per namespace). A connection with
    /// an SRH depends on it: Linux notes a path MTU under the connection's final destination
    /// (`__ip6_rt_update_pmtu`), and looks it up under the first segment
    /// (`inet6_csk_route_socket`).
    pub fn tcp_mtu_probing() -> Self {
        Self {
            key: "net/ipv4/tcp_mtu_probing".to_owned(),
            value: "1".to_owned(),
        }
    }

    /// Lets accepted sockets carry the mark of their SYN (3.16).
    pub fn tcp_fwmark_accept() -> Self {
        Self {
            key: "net/ipv4/tcp_fwmark_accept".to_owned(),
            value: "1".to_owned(),
        }
    }
}

/// The file of `key`. What is below `net/` belongs to the network namespace of the thread that
/// opens it (`net_ctl_header_lookup`, net/sysctl_net.c).
pub fn path(key: &str) -> PathBuf {
    Path::new("/proc/sys").join(key)
}

/// The value of `key`.
///
/// # Errors
/// That of the file: `NotFound` when the kernel, or a device, does not have it.
pub fn read(key: &str) -> io::Result<String> {
    fs::read_to_string(path(key)).map(|value| value.trim_end().to_owned())
}

/// Sets `key`.
///
/// # Errors
/// That of the file.
pub fn write(key: &str, value: &str) -> io::Result<()> {
    fs::write(path(key), value)
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.key.chars() {
            let shown = match c {
                '/' => '.',
                '.' => '/',
                c => c,
            };
            write!(f, "{shown}")?;
        }
        write!(f, "={}", self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_in_a_device_name_is_a_slash_to_sysctl() {
        assert_eq!(
            Sysctl::seg6_enabled("eth0.2").to_string(),
            "net.ipv6.conf.eth0/2.seg6_enabled=1"
        );
        assert_eq!(
            path(&Sysctl::seg6_enabled("eth0.2").key),
            Path::new("/proc/sys/net/ipv6/conf/eth0.2/seg6_enabled")
        );
    }
}
