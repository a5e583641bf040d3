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
    /// The value; of several numbers, with blanks between them.
    pub value: String,
    /// Whether a higher number is as good, each for itself; then a namespace that does not have
    /// the sysctl, or only to read, does without: it is the whole machine's.
    pub at_least: bool,
}

/// What the thesis names in section 3.4.4 and our flows profit from. Of its other words,
/// `net.core.wmem_*` and `rmem_default` are about sockets that are not TCP or that ask for a size,
/// `optmem_max` has room for dozens of SRHs, and `tcp_mem` is what keeps all TCP together from
/// eating the machine: the kernel chose it by the memory there is.
const TUNING: [(&str, &str); 4] = [
    // 1 Gb/s over 50 ms are 6 MB on the way, and a buffer holds about half of its size in payload
    // (`tcp_win_from_space`). Least and default are the kernel's own (`tcp_init`, net/ipv4/tcp.c).
    ("net/ipv4/tcp_rmem", "4096 131072 16777216"),
    // The same for what is sent and not acknowledged.
    ("net/ipv4/tcp_wmem", "4096 16384 16777216"),
    // A connection's window scale follows the larger of this and tcp_rmem
    // (`tcp_select_initial_window`, net/ipv4/tcp_output.c).
    ("net/core/rmem_max", "16777216"),
    // Packets that wait for a core which another one, or a device without a queue of its own,
    // gave them to (RPS, which OpenWrt calls packet steering): 1000 are 12 ms of 1 Gb/s.
    ("net/core/netdev_max_backlog", "4096"),
];

impl Sysctl {
    /// Lets a device, or `all`, take packets with an SRH (4.10).
    pub fn seg6_enabled(device: &str) -> Self {
        Self::on(&format!("net/ipv6/conf/{device}/seg6_enabled"))
    }

    /// Lets TCP try smaller segments when large ones vanish (4.1, per namespace). A connection with
    /// an SRH depends on it: Linux notes a path MTU under the connection's final destination
    /// (`__ip6_rt_update_pmtu`), and looks it up under the first segment
    /// (`inet6_csk_route_socket`).
    pub fn tcp_mtu_probing() -> Self {
        Self::on("net/ipv4/tcp_mtu_probing")
    }

    /// Lets accepted sockets carry the mark of their SYN (3.16).
    pub fn tcp_fwmark_accept() -> Self {
        Self::on("net/ipv4/tcp_fwmark_accept")
    }

    /// Those of `option tuning`.
    pub fn tuning() -> impl Iterator<Item = Self> {
        TUNING.into_iter().map(|(key, value)| Self {
            key: key.to_owned(),
            value: value.to_owned(),
            at_least: true,
        })
    }

    fn on(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            value: "1".to_owned(),
            at_least: false,
        }
    }

    /// What has to be written where `now` stands, as the kernel will print it; `None` if nothing.
    pub fn change(&self, now: &str) -> Option<String> {
        if !self.at_least {
            return (now != self.value).then(|| self.value.clone());
        }
        let numbers = |text: &str| -> Option<Vec<u64>> {
            text.split_whitespace().map(|n| n.parse().ok()).collect()
        };
        let (present, wanted) = (numbers(now)?, numbers(&self.value)?);
        if present.len() != wanted.len() || present.iter().zip(&wanted).all(|(p, w)| p >= w) {
            return None;
        }
        let higher = present
            .iter()
            .zip(&wanted)
            .map(|(p, w)| p.max(w).to_string());
        Some(higher.collect::<Vec<_>>().join("\t"))
    }

    /// The value there is; `None` if it is the whole machine's, and this one can do without.
    ///
    /// # Errors
    /// As [`read`].
    pub fn now(&self) -> io::Result<Option<String>> {
        let foreign = |path: &Path| fs::metadata(path).map(|meta| meta.permissions().readonly());
        match foreign(&path(&self.key)) {
            Ok(true) if self.at_least => Ok(None),
            Err(error) if self.at_least && error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => read(&self.key).map(Some),
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
        match self.at_least {
            true => write!(f, "='{}'", self.value),
            false => write!(f, "={}", self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_higher_stays() {
        let buffers = Sysctl::tuning().next().unwrap();
        assert_eq!(buffers.value, "4096 131072 16777216");
        let change = |now: &str| buffers.change(now);
        let raised = "8192\t131072\t16777216";
        assert_eq!(change("8192\t87380\t6291456").as_deref(), Some(raised));
        assert_eq!(change("4096\t131072\t33554432"), None);
        assert_eq!(change(raised), None);
        for strange in ["", "1 2", "many of them"] {
            assert_eq!(change(strange), None, "{strange}");
        }
        assert!(Sysctl::tcp_mtu_probing().change("2").is_some());
    }

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
