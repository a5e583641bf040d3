//! A kernel that loses what a set-up told it.

use srv6pipes::netlink::monitor::Monitor;
use srv6pipes::setup::{CaptureWay, plan};

use crate::harness::wait_for;
use crate::lab::{Folder, apply, config, in_namespace, picture, run, without_numbers};

/// What takes away how many things.
const LOSSES: [(&str, &str); 6] = [
    ("the ruleset", "nft flush ruleset"),
    ("a rule of it", "nft flush chain ip6 srv6pipes prerouting"),
    ("a sysctl", "sysctl -qw net.ipv6.conf.p0.seg6_enabled=0"),
    ("a routing rule", "ip -6 rule delete pref 1001"),
    ("local routes", "ip link set lo down"),
    ("our device and its routes", "ip link delete nfv0"),
];

#[test]
fn what_is_lost_comes_back_and_nothing_else_is_touched() {
    in_namespace(|| {
        for way in [CaptureWay::SavedSyn, CaptureWay::Nfqueue] {
            let folder = Folder::new();
            let before = picture();
            let mut setup = apply(&config(), &folder);
            setup.transition(plan(&config(), way)).unwrap();
            let whole = without_numbers(&picture());
            let monitor = Monitor::open().unwrap();
            for (lost, loss) in LOSSES {
                run(loss);
                run("ip link set lo up");
                assert!(monitor.drain() || lost == "a sysctl", "{lost}: not heard");
                assert_ne!(without_numbers(&picture()), whole, "{lost}: not lost");
                assert!(setup.repair().unwrap() > 0, "{lost}: not missed");
                assert_eq!(without_numbers(&picture()), whole, "{lost}");
                // The kernel speaks of a new device in its own time.
                wait_for("a repair that changes nothing", || {
                    monitor.drain();
                    assert_eq!(setup.repair().unwrap(), 0, "{lost}: missed twice");
                    (!monitor.drain()).then_some(())
                });
            }
            assert!(setup.revert().is_empty());
            assert_eq!(picture(), before);
            assert!(folder.is_empty());
        }
    });
}

#[test]
fn what_cannot_come_back_is_named_and_the_rest_comes_back() {
    in_namespace(|| {
        let folder = Folder::new();
        let mut setup = apply(&config(), &folder);
        run("ip link set lo down");
        run("nft flush ruleset");
        let error = setup.repair().unwrap_err().to_string();
        assert!(error.contains("device lo is down"), "{error}");
        assert!(run("nft list ruleset").contains("table ip6 srv6pipes"));
        run("ip link delete p0");
        let error = setup.repair().unwrap_err().to_string();
        assert!(error.contains("there is no device p0"), "{error}");
        run("ip link set lo up");
        run("ip link add p0 type veth peer name q0");
        run("ip -6 addr add fd00:1::1/64 dev p0 nodad");
        let error = setup.repair().unwrap_err().to_string();
        assert!(error.contains("add route ::/0 via fd00:1::2"), "{error}");
        run("ip link set p0 up");
        assert!(setup.repair().unwrap() > 0);
        assert_eq!(run("sysctl -n net.ipv6.conf.p0.seg6_enabled").trim(), "1");
        assert!(setup.revert().is_empty());
        assert_eq!(run("sysctl -n net.ipv6.conf.p0.seg6_enabled").trim(), "0");
        assert!(folder.is_empty());
    });
}
