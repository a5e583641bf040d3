//! Configurations and what `run` would tell the kernel for each: `*.uci` with its `*.plan`, the
//! capture as the file asks for it. To write the plans anew, run with `UPDATE_EXPECTED=1` and
//! read the difference.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that can't be read fails the test"
)]

use std::fs;
use std::path::PathBuf;

use srv6pipes::config;
use srv6pipes::config::model::Capture;
use srv6pipes::setup::plan::Step;
use srv6pipes::setup::{CaptureWay, Plan, plan};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/plans");

fn fixtures() -> Vec<(PathBuf, Plan)> {
    let mut files: Vec<PathBuf> = fs::read_dir(FIXTURES)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "uci"))
        .collect();
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    files
        .into_iter()
        .map(|file| {
            let config = config::load(&file).unwrap_or_else(|problems| panic!("{problems}"));
            let way = match config.main.capture {
                Capture::Nfqueue => CaptureWay::Nfqueue,
                Capture::Auto | Capture::SavedSyn => CaptureWay::SavedSyn,
            };
            (file, plan(&config, way))
        })
        .collect()
}

#[test]
fn plans_are_as_expected() {
    for (file, plan) in fixtures() {
        let golden = file.with_extension("plan");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&golden, plan.to_string()).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap();
        assert_eq!(plan.to_string(), expected, "{}", golden.display());
    }
}

#[test]
fn routes_and_rules_read_back_from_the_journal() {
    for (file, plan) in fixtures() {
        for step in &plan.steps {
            match step {
                Step::Route(route) => assert_eq!(route.to_string().parse(), Ok(route.clone())),
                Step::Rule(rule) => assert_eq!(rule.to_string().parse(), Ok(rule.clone())),
                Step::Sysctl(_) | Step::Link(_) | Step::Ruleset(_) => {}
            }
        }
        let rules = plan.steps.iter().filter(|s| matches!(s, Step::Rule(_)));
        assert!(rules.count() >= 3, "{}", file.display());
    }
}

#[test]
fn jumps_lead_to_a_rule_of_ours() {
    use srv6pipes::netlink::rule::Action;
    for (file, plan) in fixtures() {
        let rules: Vec<_> = plan
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Rule(rule) => Some(rule),
                _ => None,
            })
            .collect();
        for rule in &rules {
            if let Action::Goto(target) = rule.action {
                let there = rules.iter().filter(|r| r.preference == target).count();
                assert_eq!(there, 1, "{}: {rule}", file.display());
            }
        }
    }
}
