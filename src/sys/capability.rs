//! The privileges that we need, and whether this thread has them: capabilities(7).

use std::fs;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// As capabilities(7) calls it.
    pub name: &'static str,
    /// Its number in include/uapi/linux/capability.h.
    bit: u8,
}

/// To bind to a client's port below 1024, as NFS and rsh use them (`inet6_bind`,
/// net/ipv6/af_inet6.c).
pub const NET_BIND_SERVICE: Capability = Capability {
    name: "CAP_NET_BIND_SERVICE",
    bit: 10,
};
/// For everything: transparent sockets, devices, routes, rules, sysctls below net, nftables.
pub const NET_ADMIN: Capability = Capability {
    name: "CAP_NET_ADMIN",
    bit: 12,
};
/// For a raw socket, by which `capture 'nfqueue'` answers in the server's name.
pub const NET_RAW: Capability = Capability {
    name: "CAP_NET_RAW",
    bit: 13,
};

impl Capability {
    /// Whether this thread has it. Where /proc does not tell, the kernel's answers will: then yes.
    pub fn is_here(self) -> bool {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .unwrap_or(u64::MAX);
        effective & (1 << self.bit) != 0
    }
}
