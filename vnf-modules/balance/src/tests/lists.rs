//! Lists as operators write them.

use std::net::{Ipv6Addr, SocketAddrV6};

use srv6pipes_vnf::{Route, Setup};

use crate::Balance;
use crate::target::{Place, Target};

fn complaints(options: &[(&str, &str)]) -> Vec<(Option<usize>, String)> {
    let wrong = Setup::detached(options).make::<Balance>().unwrap_err();
    wrong.into_iter().map(|c| (c.option, c.text)).collect()
}

#[test]
fn places_and_weights_are_read() {
    let setup = Setup::detached(&[
        ("server", "2001:db8::1"),
        ("server", "[2001:db8::1]:8080  7"),
        ("server", "2001:db8::2 1000"),
    ]);
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap();
    let target = |place, weight| Target { place, weight };
    let expected = [
        target(Place::Server(address("2001:db8::1"), None), 1),
        target(Place::Server(address("2001:db8::1"), Some(8080)), 7),
        target(Place::Server(address("2001:db8::2"), None), 1000),
    ];
    assert_eq!(Target::listed(&setup), expected);
    let labels = expected.map(|target| target.place.label());
    let words = ["2001:db8::1", "[2001:db8::1]:8080", "2001:db8::2"];
    assert_eq!(labels, words.map(|word| format!("server={word}")));

    let setup = Setup::detached(&[("proxy", "2001:db8:99::/80 3")]);
    let [proxy] = Target::listed(&setup)[..] else {
        panic!("one line, one target")
    };
    assert_eq!(proxy.weight, 3);
    assert_eq!(proxy.place.label(), "proxy=2001:db8:99::/80");
}

#[test]
fn a_server_takes_the_place_of_the_server_and_a_proxy_that_of_the_locator() {
    let asked = Route {
        attempt: 0,
        server: "[fd00:5::1]:80".parse().unwrap(),
        next_segment: Some("fd00:99:1::7:dead:beef".parse().unwrap()),
        choice: 0,
    };
    let sent = |line: (&str, &str)| {
        let mut route = asked;
        let targets = Target::listed(&Setup::detached(&[line]));
        targets[0].place.send(&mut route).unwrap();
        (
            route.server.to_string(),
            route.next_segment.unwrap().to_string(),
        )
    };
    let [server, next] = ["[fd00:5::1]:80", "fd00:99:1::7:dead:beef"].map(str::to_owned);
    let chosen = |server: &str, next: &str| (server.to_owned(), next.to_owned());
    assert_eq!(
        sent(("server", "fd00:5::2")),
        chosen("[fd00:5::2]:80", &next)
    );
    assert_eq!(
        sent(("server", "[fd00:5::2]:81")),
        chosen("[fd00:5::2]:81", &next)
    );
    let proxy = sent(("proxy", "fd00:99:2:3:4::/80"));
    assert_eq!(proxy, chosen(&server, "fd00:99:2:3:4:7:dead:beef"));

    let targets = Target::listed(&Setup::detached(&[("proxy", "fd00:99:2::/80")]));
    let mut route = Route {
        next_segment: None,
        server: SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1, 0, 0),
        ..asked
    };
    let before = route;
    assert!(targets[0].place.send(&mut route).is_err());
    assert_eq!(route, before);
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let address = "must be an IPv6 address, or [address]:port with a port from 1 to 65535";
    let weight = "must have a weight from 1 to 1000";
    let host = "is no address of one other host";
    let lines = [
        ("192.0.2.1", address),
        ("2001:db8::1:", address),
        ("[2001:db8::1]", address),
        ("[2001:db8::1]:0", address),
        ("[2001:db8::1]:65536", address),
        ("", "must be an address, and perhaps a weight behind it"),
        (
            "2001:db8::1 1 1",
            "must be an address, and perhaps a weight behind it",
        ),
        ("2001:db8::1 0", weight),
        ("2001:db8::1 1001", weight),
        ("2001:db8::1 -1", weight),
        ("2001:db8::1 heavy", weight),
        ("::", host),
        ("::1", host),
        ("ff02::1", host),
        ("fe80::1", host),
        ("::ffff:192.0.2.1 5", host),
    ];
    let options = lines.map(|(line, _)| ("server", line));
    let expected: Vec<_> = (0..)
        .zip(lines)
        .map(|(n, (_, text))| (Some(n), text.to_owned()))
        .collect();
    assert_eq!(complaints(&options), expected);

    let locator = "must be a locator: a prefix of 80 bits, like 2001:db8:99::/80";
    let lines = [
        ("2001:db8:99::", locator),
        ("2001:db8:99::/64", locator),
        ("nothing/80", locator),
        (
            "2001:db8:99::1:0:2a/80",
            "has bits behind the 80 of a locator: they must be 0",
        ),
    ];
    let options = lines.map(|(line, _)| ("proxy", line));
    let expected: Vec<_> = (0..)
        .zip(lines)
        .map(|(n, (_, text))| (Some(n), text.to_owned()))
        .collect();
    assert_eq!(complaints(&options), expected);
}

#[test]
fn options_out_of_range_are_told_all_at_once() {
    let options = [
        ("server", "2001:db8::1"),
        ("server", "2001:db8::1 3"),
        ("proxy", "2001:db8:99::/80"),
        ("policy", "best"),
        ("retry", "0"),
        ("sever", "2001:db8::3"),
    ];
    let expected = [
        (
            2,
            "cannot stand beside list server: make it a function of its own",
        ),
        (1, "stands there twice: give one line the larger weight"),
        (3, "must be one of: weighted, drr, least_flows, client"),
        (4, "must be a number from 1 to 3600"),
        (5, "no such option"),
    ];
    let expected = expected.map(|(n, text)| (Some(n), text.to_owned()));
    assert_eq!(complaints(&options), expected);
}

#[test]
fn nothing_to_choose_is_a_mistake_and_so_is_too_much() {
    let nothing = "there is nothing to choose: add list server or list proxy";
    assert_eq!(complaints(&[]), [(None, nothing.to_owned())]);
    let servers: Vec<String> = (1..=33).map(|n| format!("2001:db8::{n:x}")).collect();
    let options: Vec<_> = servers.iter().map(|s| ("server", s.as_str())).collect();
    let too_many = "is one line too many: at most 32";
    assert_eq!(complaints(&options), [(Some(32), too_many.to_owned())]);
    assert!(Setup::detached(&options[..32]).make::<Balance>().is_ok());
}
