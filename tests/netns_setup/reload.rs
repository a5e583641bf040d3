//! A new plan over a running one.

use srv6pipes::config::Config;
use srv6pipes::config::model::OnFailure;
use srv6pipes::setup::{CaptureWay, plan};

use crate::lab::{
    BACKWARDS, Folder, apply, config, device, in_namespace, locator, picture, policy, run,
    saved_syn, without_numbers,
};

/// One more locator, which bypasses, and one more policy in front, which moves all numbers.
fn more() -> Config {
    let mut config = config();
    config
        .locators
        .push(locator("fd00:98::", OnFailure::Bypass));
    config.policies.insert(0, policy("fd00:66::1:0:1"));
    config
}

#[test]
fn a_locator_and_a_policy_come_and_go() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        let mut setup = apply(&config(), &folder);
        let few = picture();
        let there = more().following(&config());
        setup.transition(saved_syn(&there)).unwrap();
        let many = picture();
        assert!(many.contains("local fd00:98::/80 dev nfv0"), "{many}");
        assert!(many.contains("segs 2 [ fd00:66::1:0:1 :: ]"), "{many}");
        assert!(many.contains("set bypassed"), "{many}");
        let back = config().following(&there);
        setup.transition(saved_syn(&back)).unwrap();
        assert_eq!(picture(), few);
        assert!(setup.revert().is_empty());
        assert_eq!(picture(), before);
        // The way there does not show.
        let setup = apply(&there, &folder);
        assert_eq!(without_numbers(&picture()), without_numbers(&many));
        assert!(setup.revert().is_empty());
        assert!(folder.is_empty());
    });
}

#[test]
fn bypassed_flows_stay_bypassed() {
    in_namespace(|| {
        let folder = Folder::new();
        let mut config = more();
        let mut setup = apply(&config, &folder);
        let flow = "fd00::1 . 1 . fd00:98::1:0:1 . 80";
        run(&format!(
            "nft add element ip6 srv6pipes bypassed {{ {flow} timeout 1h }}"
        ));
        let old = config.clone();
        config.main.idle_timeout *= 2;
        config.policies.clear();
        setup
            .transition(saved_syn(&config.following(&old)))
            .unwrap();
        let after = run("nft list table ip6 srv6pipes");
        assert!(after.contains(flow), "{after}");
        assert!(!after.contains("chain clamp"), "{after}");
    });
}

#[test]
fn the_way_of_capture_changes_there_and_back() {
    in_namespace(|| {
        let folder = Folder::new();
        let mut setup = apply(&config(), &folder);
        let saved = picture();
        setup
            .transition(plan(&config(), CaptureWay::Nfqueue))
            .unwrap();
        let table = run("nft list table ip6 srv6pipes");
        assert!(table.contains("chain hold"), "{table}");
        assert_eq!(table.matches("queue num 7 bypass").count(), queues(&table));
        let mut other = config();
        other.main.queue = 9;
        setup.transition(plan(&other, CaptureWay::Nfqueue)).unwrap();
        let table = run("nft list table ip6 srv6pipes");
        assert_eq!(table.matches("queue num 9 bypass").count(), queues(&table));
        assert!(!table.contains("queue num 7"), "{table}");
        setup.transition(saved_syn(&config())).unwrap();
        assert_eq!(picture(), saved);
    });
}

/// Through xtables one rule is enough, nft's own `queue` stands in each.
fn queues(table: &str) -> usize {
    if table.contains("xt_queue_") { 1 } else { 2 }
}

#[test]
fn what_is_as_it_should_be_is_not_touched() {
    in_namespace(|| {
        let folder = Folder::new();
        let mut setup = apply(&config(), &folder);
        let journal = std::fs::read_to_string(folder.journal()).unwrap();
        let index = run("ip -o link show nfv0");
        run("ip -6 rule delete pref 1300");
        setup.transition(saved_syn(&config())).unwrap();
        assert_eq!(std::fs::read_to_string(folder.journal()).unwrap(), journal);
        assert_eq!(run("ip -o link show nfv0"), index);
        // What somebody took away is put back.
        assert!(picture().contains("1300:\tfrom all nop"));
    });
}

#[test]
fn a_plan_that_fails_leaves_the_old_one() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        let mut setup = apply(&config(), &folder);
        let during = picture();
        let mut bad = more().following(&config());
        bad.policies[1].ports = vec![BACKWARDS];
        let error = setup.transition(saved_syn(&bad)).unwrap_err();
        assert!(error.to_string().starts_with("nft -f -: "), "{error}");
        assert_eq!(picture(), during);
        let mut missing = more().following(&config());
        missing.locators[0].devices.push(device("p9"));
        let error = setup.transition(saved_syn(&missing)).unwrap_err();
        assert_eq!(error.to_string(), "line 10: there is no device p9");
        assert_eq!(picture(), during);
        assert!(setup.revert().is_empty());
        assert_eq!(picture(), before);
    });
}
