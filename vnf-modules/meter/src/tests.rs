//! The function as a host calls it, and its options.

use std::time::Duration;

use super::*;

fn make(options: &[(&str, &str)]) -> Result<Meter, Vec<(usize, String)>> {
    let made = Setup::detached(options).make::<Meter>();
    made.map_err(|complaints| {
        let complaints = complaints.into_iter();
        complaints.map(|c| (c.option.unwrap(), c.text)).collect()
    })
}

#[test]
fn both_directions_pass_whatever_is_shown() {
    let mut flow = make(&[]).unwrap().spawn(&FlowInfo::detached(0)).unwrap();
    for direction in [Direction::Upstream, Direction::Downstream] {
        for (input, end) in [(&b""[..], false), (b"x", false), (b"x", true), (b"", true)] {
            let done = flow.process(direction, input, &mut [0; 1], end);
            assert_eq!(done.unwrap(), Progress::pass(0, 0));
        }
    }
}

#[test]
fn each_side_is_counted_as_it_saw_the_flow() {
    let meter = make(&[("prefix", "64")]).unwrap();
    let mut flow = meter.spawn(&FlowInfo::detached(0)).unwrap();
    let us = Duration::from_micros;
    flow.report(&Report {
        last: true,
        upstream_in: 1,
        upstream_out: 2,
        downstream_in: 3,
        downstream_out: 4,
        age: us(5),
        client_rtt: Some(us(6)),
        connect: Some(us(7)),
        first_byte: Some(us(8)),
    });
    let clients = format!("{:?}", meter.books.clients());
    let servers = format!("{:?}", meter.books.servers());
    assert!(
        clients.contains("[1, 1, 1, 4, 1, 6, 6, 1, 8, 8]"),
        "{clients}"
    );
    assert!(
        servers.contains("[1, 1, 2, 3, 1, 7, 7, 1, 8, 8]"),
        "{servers}"
    );
    // The detached flow's addresses.
    assert!(clients.contains("{::: Party"), "{clients}");
    assert!(servers.contains("{[::1]:80: Party"), "{servers}");
    drop(flow);
    let clients = format!("{:?}", meter.books.clients());
    assert!(
        clients.contains("[1, 0, 1, 4, 1, 6, 6, 1, 8, 8]"),
        "{clients}"
    );
}

#[test]
fn a_prefix_makes_one_of_many() {
    let address: Ipv6Addr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
    for (bits, expected) in [
        (128, "2001:db8:1:2:3:4:5:6"),
        (64, "2001:db8:1:2::"),
        (56, "2001:db8:1::"),
        (1, "::"),
    ] {
        assert_eq!(network(address, bits).to_string(), expected);
    }
}

#[test]
fn options_out_of_range_are_complained_of_all_at_once() {
    let wrong = [
        ("prefix", "0"),
        ("max_clients", "401"),
        ("max_servers", "-1"),
    ];
    let range = "must be a number from 0 to 400".to_owned();
    assert_eq!(
        make(&wrong).unwrap_err(),
        [
            (0, "must be a number from 1 to 128".to_owned()),
            (1, range.clone()),
            (2, range),
        ]
    );
    let together = make(&[("max_clients", "300")]).unwrap_err();
    let text = "300 clients and 128 servers are more than 400";
    assert_eq!(together, [(0, text.to_owned())]);
    let together = make(&[("max_clients", "1"), ("max_servers", "400")]).unwrap_err();
    let text = "1 clients and 400 servers are more than 400";
    assert_eq!(together, [(1, text.to_owned())]);
    assert!(make(&[("max_clients", "0"), ("max_servers", "400")]).is_ok());
}

#[test]
fn there_is_only_one_argument() {
    let refused = make(&[]).unwrap().spawn(&FlowInfo::detached(1));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "argument 1: there is only 0"
    );
}
