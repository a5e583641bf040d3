//! What the daemon may do: asked before it begins, so that one line names what is missing instead
//! of the first system call that fails.

use crate::app::Told;
use crate::setup::plan::CaptureWay;
use crate::sys::capability::{Capability, NET_ADMIN, NET_BIND_SERVICE, NET_RAW};

/// Complains of capabilities that `run` cannot do without, and warns of one that only some
/// clients need.
pub fn require(way: CaptureWay) -> Result<(), Told> {
    let mut needed = vec![(NET_ADMIN, "run")];
    if way == CaptureWay::Nfqueue {
        needed.push((NET_RAW, "capture 'nfqueue'"));
    }
    let lacks = |capability: Capability| !capability.is_here();
    let mut done = Ok(());
    for (capability, who) in needed.into_iter().filter(|(c, _)| lacks(*c)) {
        log::error!(
            "{who} needs {}, which this process lacks: start it as root, or give it the capability \
             (systemd: CapabilityBoundingSet, procd: the jail's capabilities)",
            capability.name
        );
        done = Err(Told);
    }
    if done.is_ok() && lacks(NET_BIND_SERVICE) {
        log::warn!(
            "without {} clients whose own port is below 1024 (NFS, rsh) are reset",
            NET_BIND_SERVICE.name
        );
    }
    done
}
