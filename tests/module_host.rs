//! What a function in C and its host have to say to each other beside the bytes: complaints,
//! counters, routes, reports.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod modules;

use std::path::Path;
use std::time::Duration;

use modules::{TempDir, compile, flow, keep_log, logged, section};
use srv6pipes::config::model::{Function, FunctionFailure};
use srv6pipes::vnf::{Direction, Registry, Report, Route, RouteFault, Routed};

/// What a load says against the sections, each with its line.
fn mistakes(dir: &Path, sections: &[Function]) -> Vec<(u32, String)> {
    let errors = Registry::load(sections, dir, None).unwrap_err();
    let text = |error: String| error.split_once(".so: ").map(|(_, text)| text.to_owned());
    let mistakes = errors.iter();
    mistakes
        .map(|error| (error.line, text(error.to_string()).unwrap()))
        .collect()
}

fn mistake(line: u32, text: &str) -> (u32, String) {
    (line, text.to_owned())
}

#[test]
fn complaints_come_with_the_line_of_their_option() {
    keep_log();
    let dir = TempDir::new();
    compile("complains", &dir.join("complains.so"), &[]);
    let told = |id, options: &[(&str, &str)]| {
        mistakes(
            dir.path(),
            &[section(id, "complains.so", "complains", options)],
        )
    };
    let each = told(1, &[("how", "each"), ("a", "1"), ("a", "2")]);
    let expected = [
        mistake(11, "option 'how': is one of them"),
        mistake(12, "option 'a': is one of them"),
        mistake(13, "option 'a': is one of them"),
    ];
    assert_eq!(each, expected);
    assert_eq!(told(2, &[("how", "section")]), [mistake(20, "lacks a key")]);
    let odd = mistake(31, "option 'how': is odd");
    assert_eq!(told(3, &[("how", "twice")]), [odd.clone(), odd]);
    assert_eq!(told(4, &[("how", "id")]), [mistake(40, "has the id 4")]);
    let silent = "func_init refused its options (7); the log says why";
    assert_eq!(told(5, &[("how", "silent")]), [mistake(50, silent)]);

    let both = [
        section(7, "complains.so", "complains", &[("how", "section")]),
        section(6, "complains.so", "complains", &[("how", "fine")]),
        section(5, "complains.so", "complains", &[("how", "id")]),
    ];
    let expected = [mistake(50, "has the id 5"), mistake(70, "lacks a key")];
    assert_eq!(mistakes(dir.path(), &both), expected);
    // The one that was fine was given up again.
    assert_eq!(logged("complains"), ["INFO deinit"]);
    // Whoever complains does not run, and is given up if its func_init succeeded.
    let against_itself = told(8, &[("how", "all right")]);
    assert_eq!(against_itself, [mistake(80, "is not, after all")]);
    assert_eq!(logged("complains"), ["INFO deinit"; 2]);
}

#[test]
fn what_is_wrong_with_a_complaint_stays_within_bounds() {
    let dir = TempDir::new();
    compile("complains", &dir.join("complains.so"), &[]);
    let told = |how: &str| {
        let options = [("how", how)];
        mistakes(
            dir.path(),
            &[section(1, "complains.so", "complains", &options)],
        )
    };
    let hundred = told("hundred");
    assert_eq!(hundred.len(), 65);
    assert_eq!(hundred[63], mistake(10, "number 63"));
    assert_eq!(hundred[64], mistake(10, "36 more complaints are left out"));
    let control = mistake(10, "two lines,  [31mred, \u{fffd}");
    assert_eq!(told("control"), [control]);
    assert_eq!(told("long"), [mistake(10, &"x".repeat(1024))]);
    assert_eq!(told("null"), vec![mistake(10, "is not accepted"); 2]);
    let section = ["of a copy", "of the one behind the last", "of none"];
    assert_eq!(told("wild"), section.map(|text| mistake(10, text)));
}

#[test]
fn a_function_that_fails_closed_does_not_let_flows_pass() {
    let dir = TempDir::new();
    compile("insists", &dir.join("insists.so"), &[]);
    let insists = section(1, "insists.so", "insists", &[]);
    assert!(Registry::load(std::slice::from_ref(&insists), dir.path(), None).is_ok());
    let lenient = Function {
        on_failure: FunctionFailure::Pass,
        ..insists
    };
    let expected = "option 'on_failure': must be 'reset': no flow may go on without this function";
    assert_eq!(mistakes(dir.path(), &[lenient]), [mistake(10, expected)]);
}

/// The counters of function 1: name, label, value.
fn counters(registry: &Registry) -> Vec<(String, String, u64)> {
    let counters = registry.function(1).unwrap().counters();
    let counters = counters.into_iter();
    counters.map(|c| (c.name, c.label, c.value)).collect()
}

fn counter(name: &str, label: &str, value: u64) -> (String, String, u64) {
    (name.to_owned(), label.to_owned(), value)
}

#[test]
fn counters_outlive_what_counts_as_long_as_somebody_holds_them() {
    let dir = TempDir::new();
    compile("counts", &dir.join("counts.so"), &[]);
    let load = |options: &[(&str, &str)], previous: Option<&Registry>| {
        let sections = [section(1, "counts.so", "counts", options)];
        Registry::load(&sections, dir.path(), previous).unwrap()
    };
    let spawn = |registry: &Registry| registry.function(1).unwrap().spawn(&flow(3)).unwrap();
    let first = load(&[("a_flows", "x"), ("b_flows", ""), ("a_flows", "x")], None);
    let old_flow = spawn(&first);
    let expected = [counter("a_flows", "x", 6), counter("b_flows", "", 3)];
    assert_eq!(counters(&first), expected);

    // Other options: another func_init, but the same counters, and one more.
    let second = load(&[("a_flows", "x"), ("a_flows", "w")], Some(&first));
    drop(first);
    drop(spawn(&second));
    let expected = [
        counter("a_flows", "w", 3),
        counter("a_flows", "x", 9),
        counter("b_flows", "", 3),
    ];
    assert_eq!(counters(&second), expected, "its old flow holds b_flows");
    drop(old_flow);
    assert_eq!(counters(&second), expected[..2]);

    let elsewhere = [section(2, "counts.so", "counts", &[("a_flows", "x")])];
    let elsewhere = Registry::load(&elsewhere, dir.path(), None).unwrap();
    let of_another = elsewhere.function(2).unwrap().counters();
    assert_eq!((of_another.len(), of_another[0].value), (1, 0));
    drop(second);
    let anew = load(&[("a_flows", "x")], None);
    assert_eq!(counters(&anew), [counter("a_flows", "x", 0)]);
}

#[test]
fn a_counter_that_is_misused_spoils_nothing() {
    keep_log();
    let dir = TempDir::new();
    compile("counts", &dir.join("counts.so"), &[]);
    let load = |options: &[(&str, &str)]| {
        Registry::load(
            &[section(9, "counts.so", "counts", options)],
            dir.path(),
            None,
        )
    };
    let bad = [("Bad Name", ""), ("a_flows", "a\tb"), ("a_flows", "")];
    let errors = load(&bad).unwrap_err();
    let lines: Vec<u32> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [91, 92]);
    let label = "x".repeat(256);
    load(&[("a_flows", &label)]).unwrap_err();
    load(&[("a_flows", &label[1..])]).unwrap();

    drop(load(&[("misuse", ""), ("a_flows", ""), ("b_flows", "")]).unwrap());
    let stale = "DEBUG closes a counter that nobody holds";
    assert_eq!(logged("counts"), [stale; 2]);
    let registry = load(&[("c_flows", ""), ("d_flows", "")]).unwrap();
    let shown = registry.function(9).unwrap().counters();
    assert!(shown.iter().all(|counter| counter.value == 0), "{shown:?}");
}

#[test]
fn a_route_is_what_the_function_made_of_it_if_it_may() {
    keep_log();
    let dir = TempDir::new();
    compile("routes", &dir.join("routes.so"), &[]);
    compile("good", &dir.join("good.so"), &[]);
    let sections = [
        section(1, "routes.so", "routes", &[]),
        section(2, "good.so", "zoo", &[]),
    ];
    let registry = Registry::load(&sections, dir.path(), None).unwrap();
    let [routes, good] = [1, 2].map(|id| registry.function(id).unwrap());
    let asked = Route {
        attempt: 2,
        server: "[2001:db8::1]:80".parse().unwrap(),
        next_segment: Some("fc00::1".parse().unwrap()),
        choice: 0,
    };
    let route = |argument| {
        let mut route = asked;
        let done = routes.route(&flow(argument), &mut route);
        done.map(|()| route).map_err(|error| {
            assert_eq!(route, asked, "an error changes nothing");
            (error.to_string(), error.fault)
        })
    };
    assert!(routes.routes() && !good.routes());
    assert_eq!(route(0), Ok(asked));
    let chosen = Route {
        attempt: 2,
        server: "[2001:db8::9]:99".parse().unwrap(),
        next_segment: Some("fc00::9".parse().unwrap()),
        choice: 5,
    };
    assert_eq!(route(1), Ok(chosen));
    routes.routed(5, Routed::Connected);
    routes.routed(5, Routed::Ended);
    let (text, fault) = route(2).unwrap_err();
    assert!(matches!(fault, RouteFault::Server(_)), "{fault:?}");
    let group = "function 'routes' chose the server [ff01:db8::1]:80, which is none";
    assert_eq!(text, group);
    assert_eq!(route(3).unwrap_err().1, RouteFault::ReadOnly);
    assert_eq!(route(4).unwrap_err().1, RouteFault::Refused(9));
    let asked_of = "INFO route 2 80 1";
    assert_eq!(
        logged("routes"),
        [
            asked_of,
            asked_of,
            "INFO routed 5 0",
            "INFO routed 5 3",
            asked_of,
            "INFO routed 6 2",
            asked_of,
            "INFO routed 7 2",
            asked_of,
        ]
    );
    let mut untouched = asked;
    good.route(&flow(0), &mut untouched).unwrap();
    good.routed(1, Routed::Failed);
    assert_eq!(untouched, asked);
}

#[test]
fn reports_reach_the_flow_until_it_fails() {
    keep_log();
    let dir = TempDir::new();
    compile("reports", &dir.join("reports.so"), &[]);
    let mut transform = modules::transform(dir.path(), "reports.so", "reports", 0);
    assert!(transform.reports());
    let mut report = Report {
        last: false,
        upstream_in: 1,
        upstream_out: 2,
        downstream_in: 3,
        downstream_out: u64::MAX,
        age: Duration::from_secs(5),
        client_rtt: None,
        connect: Some(Duration::ZERO),
        first_byte: Some(Duration::from_micros(8)),
    };
    transform.report(&report);
    report.last = true;
    transform.report(&report);
    let mut output = [0];
    let passed = transform.process(Direction::Downstream, b"x", &mut output, false);
    passed.unwrap();
    transform.report(&report);
    let failed = transform.process(Direction::Upstream, b"x", &mut output, false);
    failed.unwrap_err();
    transform.report(&report);
    let last = "INFO report 1: 1 2 3 18446744073709551615, 5000000 0 1 8";
    let first = last.replace("report 1", "report 0");
    assert_eq!(logged("reports"), [&first, last, last]);
}
