//! What the operator may write.

use srv6pipes_vnf::{FlowInfo, Function, Setup};

use crate::Rewrite;

fn complaints(options: &[(&str, &str)]) -> Vec<(Option<usize>, String)> {
    let complaints = Setup::detached(options).make::<Rewrite>().unwrap_err();
    let pairs = complaints.into_iter().map(|it| (it.option, it.text));
    pairs.collect()
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let said = complaints(&[
        ("replace", "a=>b"),
        ("replace", "no arrow"),
        ("replace", "a=>c"),
        ("direction", "up"),
        ("hold_ms", "0"),
        ("replace", "=>"),
        ("hold", "5"),
    ]);
    let said: Vec<_> = said.iter().map(|(at, text)| (*at, text.as_str())).collect();
    assert_eq!(
        said,
        [
            (Some(3), "must be one of: upstream, downstream, both"),
            (Some(4), "must be a number from 1 to 60000"),
            (Some(1), "must be 'from=>to'"),
            (Some(2), "replaces what another one replaces already"),
            (Some(5), "must have something before '=>'"),
            (Some(6), "no such option"),
        ]
    );
}

#[test]
fn there_is_at_least_one_rule_and_there_are_not_too_many() {
    assert_eq!(
        complaints(&[]),
        [(None, "needs a rule: list replace 'from=>to'".to_owned())]
    );
    let rules: Vec<String> = (0..66).map(|i| format!("rule {i}=>")).collect();
    let options: Vec<_> = rules
        .iter()
        .map(|rule| ("replace", rule.as_str()))
        .collect();
    assert_eq!(
        complaints(&options),
        [(Some(64), "is one too many: at most 64".to_owned())]
    );
    assert!(Setup::detached(&options[..64]).make::<Rewrite>().is_ok());
}

#[test]
fn an_argument_is_refused() {
    let function = Setup::detached(&[("replace", "a=>b")]).make::<Rewrite>();
    let refused = function.unwrap().spawn(&FlowInfo::detached(1)).unwrap_err();
    assert_eq!(refused.to_string(), "argument 0x1: must be 0");
}
