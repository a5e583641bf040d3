//! How many file descriptors this process may have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Makes room for `max_flows`: each flow has two sockets, and a pipe of two more while bytes are
/// in it. Root may raise the hard limit; where not, a warning says what will be missing.
pub fn raise_descriptors(max_flows: u32) {
    let wanted = u64::from(max_flows).saturating_mul(4).saturating_add(256);
    let limit = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if hard < soft.max(wanted) && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
            return Ok(wanted);
        }
        let new = wanted.max(soft).min(hard);
        setrlimit(Resource::RLIMIT_NOFILE, new, hard).map(|()| new)
    });
    match limit {
        Ok(limit) if limit < wanted => log::warn!(
            "{limit} file descriptors are fewer than the {wanted} that max_flows '{max_flows}' \
             may need: raise the limit (procd: limits nofile, systemd: LimitNOFILE)"
        ),
        Ok(_) => {}
        Err(errno) => log::warn!("raise the limit of file descriptors: {errno}"),
    }
}
