//! The types and defaults that the init script tells procd are those of the table of options.

use std::collections::HashMap;

use srv6pipes::config::schema::{Absent, Allowed, SectionKind, Spec, TABLE};

use crate::config;
use crate::harness::lab;
use crate::router::{Router, SHELLS};

/// A type of libvalidate (ubox, validate/validate.c) for it: as narrow as there is one.
fn expected(spec: &Spec) -> String {
    let kind = match spec.allowed {
        Allowed::Switch => "bool".to_owned(),
        // Its ranges are of int: one with a larger end refuses everything.
        Allowed::Number(_, most) if i32::try_from(most).is_err() => "uinteger".to_owned(),
        Allowed::Number(least, most) => format!("range({least},{most})"),
        Allowed::Word(words) => format!("or(\"{}\")", words.join("\",\"")),
        Allowed::Prefix | Allowed::Network => "cidr6".to_owned(),
        Allowed::Segment | Allowed::Gateway => "ip6addr".to_owned(),
        Allowed::Device => "maxlength(15)".to_owned(),
        Allowed::Ports => "portrange".to_owned(),
        Allowed::HexNumber(..)
        | Allowed::Path(_)
        | Allowed::Mask
        | Allowed::Module
        | Allowed::Text => "string".to_owned(),
    };
    let kind = if spec.list {
        format!("list({kind})")
    } else {
        kind
    };
    match spec.absent {
        Absent::Default(default) => format!("{}:{kind}:{default}", spec.name),
        Absent::Empty | Absent::Refused => format!("{}:{kind}", spec.name),
    }
}

#[test]
fn every_option_has_its_type_and_its_default() {
    let Some(lab) = lab(1) else { return };
    let (_, record) = Router::new(&lab, 1, SHELLS[0]).service("start");
    let mut told: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in record.iter().filter_map(|l| l.strip_prefix("validate ")) {
        let line = line.trim_start_matches('[').trim_end_matches(']');
        let mut words = line.split("] [");
        told.insert(words.next().unwrap(), words.collect());
    }
    for kind in SectionKind::ALL {
        let of_kind = TABLE.iter().filter(|spec| spec.section == kind);
        let expected: Vec<String> = of_kind.map(|spec| expected(spec)).collect();
        assert_eq!(told[kind.word()], expected, "{kind}");
    }
}

#[test]
fn procd_refuses_what_we_refuse_in_main() {
    let Some(lab) = lab(1) else { return };
    let router = Router::new(&lab, 1, SHELLS[0]);
    let wrong = [
        ("threads", "257"),
        ("threads", "-1"),
        ("threads", "two"),
        ("capture", "all"),
        ("max_flows", "0"),
        ("port", "65536"),
        ("preference", "0"),
    ];
    for (option, value) in wrong {
        router.configure(&config(&format!("option {option} '{value}'"), ""));
        let (ended, record) = router.service("start");
        let starts = record.contains(&"procd_open_instance".to_owned());
        assert!(!starts, "{option} '{value}': {ended:#?}");
        let named = ended.stderr.contains(&format!("option '{option}'"));
        assert!(named, "{ended:#?}");
    }
}
