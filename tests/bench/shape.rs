//! Links of a rate: a token bucket at each end (tc-tbf(8)), which the kernel of any machine has.

use srv6pipes::demo::lab::Lab;
use srv6pipes::demo::program;

/// A gigabit, of frames with their Ethernet header.
pub const GIGABIT: u64 = 1_000_000_000;
/// What may leave at once: two of the kernel's aggregates, 1 ms. An aggregate larger than this is
/// taken apart in software (`tbf_enqueue`, net/sched/sch_tbf.c), for whoever sent it.
const BURST: u32 = 128 << 10;
/// How long a packet may wait: a switch's queue of a megabyte.
const LATENCY: &str = "10ms";

/// Shapes both directions of every link.
pub fn shape(lab: &Lab, rate: u64) {
    let mut ends = Vec::new();
    for i in 1..=lab.proxies() {
        ends.push((lab.proxy(i), lab.device_to_client(i)));
        ends.push((lab.proxy(i), lab.device_to_server(i)));
    }
    let (client, device) = lab.wire(0);
    ends.push((client, device));
    ends.push((lab.server(), format!("to-p{}", lab.proxies())));
    for (node, device) in ends {
        let mut tc = node.command("tc");
        tc.args(["qdisc", "replace", "dev", &device, "root", "tbf"]);
        tc.args(["rate", &format!("{rate}bit"), "burst", &BURST.to_string()]);
        program::run(tc.args(["latency", LATENCY])).unwrap();
    }
}
