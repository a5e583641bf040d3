//! Memory that the kernel has in TCP connections, of all namespaces together: whoever asks for one
//! contender's subtracts what the router's ends need.

use std::fs;

/// The slab caches that a connection has a part in: the sockets, the files behind them, what epoll
/// knows of them, their ports, and packets that wait. Not `dentry`, of which most are others'.
const CACHES: [&str; 12] = [
    "TCPv6",
    "request_sock_TCPv6",
    "tw_sock_TCPv6",
    "sock_inode_cache",
    "filp",
    "eventpoll_epi",
    "eventpoll_pwq",
    "tcp_bind_bucket",
    "tcp_bind2_bucket",
    "skbuff_head_cache",
    "skbuff_fclone_cache",
    "skbuff_small_head",
];
const MIB: f64 = 1024.0 * 1024.0;

/// MiB in the buffers of all TCP sockets: `mem` of /proc/net/sockstat, in pages
/// (`sockstat_seq_show`, net/ipv4/proc.c).
pub fn buffers() -> f64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("TCP:"));
    let mut words = line
        .unwrap_or("")
        .split(' ')
        .skip_while(|word| *word != "mem");
    let pages: f64 = words.nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0);
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    let page = page
        .ok()
        .flatten()
        .and_then(|bytes| u32::try_from(bytes).ok());
    pages * f64::from(page.unwrap_or(4096)) / MIB
}

/// MiB of [`CACHES`] in use (slabinfo(5)); `None` where it cannot be read.
pub fn slab() -> Option<f64> {
    let text = fs::read_to_string("/proc/slabinfo").ok()?;
    let bytes = |line: &str| -> Option<f64> {
        let mut words = line.split_whitespace();
        CACHES.contains(&words.next()?).then_some(())?;
        let active: f64 = words.next()?.parse().ok()?;
        let size: f64 = words.nth(1)?.parse().ok()?;
        Some(active * size)
    };
    Some(text.lines().filter_map(bytes).sum::<f64>() / MIB)
}
