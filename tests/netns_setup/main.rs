//! Set-up against the running kernel, in namespaces of its own. Needs root, `nft` and `ip`.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper fails by panicking, too"
)]

mod doctor;
#[path = "../harness/mod.rs"]
mod harness;
mod lab;
mod obstacles;
mod packets;
mod paths;
mod reload;
mod remains;
mod repair;

use harness::is_root;
use lab::{Folder, Namespace, apply, config, in_namespace, picture, run, saved_syn};
use srv6pipes::setup::{CaptureWay, Setup, clean, plan};

#[test]
fn what_apply_does_revert_undoes() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        for way in [CaptureWay::SavedSyn, CaptureWay::Nfqueue] {
            let plan = plan(&config(), way);
            let setup = Setup::apply(plan, &folder.journal()).unwrap_or_else(|e| panic!("{e}"));
            let during = picture();
            for made in [
                "table ip6 srv6pipes",
                "local fd00:99::/80 dev nfv0",
                "1300:\tfrom all nop",
                "net.ipv6.conf.p1/2.seg6_enabled = 1",
                "tcp_fwmark_accept = 1",
            ] {
                assert!(during.contains(made), "{made} is not in\n{during}");
            }
            let errors = setup.revert();
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(picture(), before);
            assert!(folder.is_empty());
        }
    });
}

#[test]
fn dropping_reverts() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        drop(apply(&config(), &folder));
        assert_eq!(picture(), before);
        assert!(folder.is_empty());
    });
}

#[test]
fn what_is_printed_does_the_same_by_hand() {
    if !is_root() {
        return;
    }
    let by_hand = Namespace::with_devices().within(|| {
        // The kernel that runs this may have no dummy; the script says what to take instead.
        let script = saved_syn(&config()).to_string();
        let (dummy, _) = lab::try_run("ip link add nfv1 type dummy");
        let script = if dummy {
            run("ip link delete nfv1");
            script
        } else {
            script.replace("type dummy", "type bridge")
        };
        let folder = Folder::new();
        let file = folder.journal();
        std::fs::write(&file, script).unwrap();
        run(&format!("sh -e {}", file.display()));
        picture()
    });
    let by_us = Namespace::with_devices().within(|| {
        let folder = Folder::new();
        let _setup = apply(&config(), &folder);
        picture()
    });
    assert_eq!(lab::without_numbers(&by_us), lab::without_numbers(&by_hand));
}

#[test]
fn two_namespaces_do_not_meet() {
    if !is_root() {
        return;
    }
    let namespaces = [Namespace::with_devices(), Namespace::with_devices()];
    let before = namespaces.each_ref().map(|n| n.within(picture));
    let setups = namespaces.each_ref().map(|n| {
        n.within(|| {
            let folder = Folder::new();
            (apply(&config(), &folder), folder)
        })
    });
    for ((namespace, (setup, folder)), before) in namespaces.iter().zip(setups).zip(before) {
        namespace.within(move || {
            assert!(picture().contains("table ip6 srv6pipes"));
            let errors = setup.revert();
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(picture(), before);
            assert!(folder.is_empty());
        });
    }
}

#[test]
fn tuning_raises_what_is_lower_and_puts_it_back() {
    in_namespace(|| {
        let read = |key: &str| run(&format!("sysctl -n net.ipv4.{key}"));
        std::fs::write("/proc/sys/net/ipv4/tcp_rmem", "4096 131072 6291456").unwrap();
        std::fs::write("/proc/sys/net/ipv4/tcp_wmem", "8192 16384 99999999").unwrap();
        let (folder, before) = (Folder::new(), [read("tcp_rmem"), read("tcp_wmem")]);
        let mut config = config();
        config.main.tuning = true;
        // What a namespace cannot set, like net.core.rmem_max, is no reason to fail.
        let mut setup = apply(&config, &folder);
        assert_eq!(read("tcp_rmem").trim(), "4096\t131072\t16777216");
        assert_eq!(read("tcp_wmem"), before[1]);
        assert_eq!(setup.repair().unwrap(), 0);
        config.main.tuning = false;
        setup.transition(saved_syn(&config)).unwrap();
        assert_eq!(read("tcp_rmem"), before[0]);
        config.main.tuning = true;
        setup.transition(saved_syn(&config)).unwrap();
        drop(setup);
        assert_eq!([read("tcp_rmem"), read("tcp_wmem")], before);
        assert!(folder.is_empty());
    });
}

#[test]
fn a_sysctl_somebody_else_has_changed_is_left_alone() {
    in_namespace(|| {
        let folder = Folder::new();
        run("sysctl -w net.ipv6.conf.p0.seg6_enabled=1");
        let setup = apply(&config(), &folder);
        // Was 0, we set 1, now it is theirs.
        run("sysctl -w net.ipv4.tcp_fwmark_accept=0");
        assert!(setup.revert().is_empty());
        let after = picture();
        assert!(after.contains("conf.p0.seg6_enabled = 1"));
        assert!(after.contains("conf.all.seg6_enabled = 0"));
        assert!(after.contains("tcp_fwmark_accept = 0"));
    });
}

#[test]
fn cleaning_where_nothing_is_left_does_nothing() {
    let folder = Folder::new();
    assert_eq!(clean(&folder.journal()).unwrap(), 0);
    assert!(folder.is_empty());
}
