//! The function as the host calls it.

use srv6pipes_vnf::{
    Direction, Flow, FlowInfo, Function, Progress, Reason, Report, Route, Routed, Setup,
};

use crate::Balance;

const SERVERS: [(&str, &str); 3] = [
    ("server", "2001:db8::1"),
    ("server", "2001:db8::2"),
    ("server", "2001:db8::3"),
];

fn balance(more: &[(&str, &str)]) -> Balance {
    let options = [&SERVERS, more].concat();
    Setup::detached(&options).make().unwrap()
}

/// Asks for a flow; the server's last number and the choice.
fn route(balance: &Balance, argument: u32, attempt: u32) -> Result<(u16, u64), Reason> {
    let flow = FlowInfo::detached(argument);
    let mut route = Route {
        attempt,
        server: flow.server,
        next_segment: None,
        choice: 0,
    };
    balance.route(&flow, &mut route)?;
    assert_eq!(route.server.port(), flow.server.port());
    Ok((route.server.ip().segments()[7], route.choice))
}

#[test]
fn who_fails_is_passed_over() {
    let balance = balance(&[]);
    let (first, choice) = route(&balance, 0, 0).unwrap();
    balance.routed(choice, Routed::Failed);
    let (second, choice) = route(&balance, 0, 1).unwrap();
    assert_ne!(first, second);
    balance.routed(choice, Routed::Connected);
    balance.routed(choice, Routed::Ended);
    for _ in 0..10 {
        let (other, choice) = route(&balance, 0, 0).unwrap();
        assert_ne!(other, first);
        balance.routed(choice, Routed::Dropped);
    }
    let none = route(&balance, 0, 3).unwrap_err();
    assert_eq!(none.to_string(), "none of them answers");
    // The host hands back what it was given; other numbers are nobody's.
    balance.routed(0, Routed::Ended);
    balance.routed(u64::MAX, Routed::Failed);
}

#[test]
fn the_argument_says_which() {
    let balance = balance(&[]);
    for _ in 0..6 {
        assert_eq!(route(&balance, 0b010, 0).unwrap().0, 2);
        assert_ne!(route(&balance, 0b101, 0).unwrap().0, 2);
    }
    for argument in [0b1000, 0b1001, u32::MAX] {
        let refused = route(&balance, argument, 0).unwrap_err();
        let text = format!("argument {argument:#x}: only 3 lines are there to choose");
        assert_eq!(refused.to_string(), text);
    }
    let all: Vec<(&str, String)> = (1..=32)
        .map(|n| ("server", format!("fd00::{n:x}")))
        .collect();
    let all: Vec<(&str, &str)> = all
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let balance = Setup::detached(&all).make::<Balance>().unwrap();
    assert_eq!(route(&balance, 1 << 31, 0).unwrap().0, 32);
    assert!(route(&balance, u32::MAX, 0).is_ok());
}

#[test]
fn a_flow_passes_from_the_first_call_in_both_directions() {
    let balance = balance(&[]);
    let (_, choice) = route(&balance, 0, 0).unwrap();
    let info = FlowInfo {
        choice,
        ..FlowInfo::detached(0)
    };
    let mut flow = balance.spawn(&info).unwrap();
    for direction in [Direction::Upstream, Direction::Downstream] {
        for (input, room, end) in [(&b""[..], 1, true), (b"hello", 1, false), (b"x", 9, true)] {
            let done = flow.process(direction, input, &mut vec![0; room], end);
            assert_eq!(done.unwrap(), Progress::pass(0, 0));
        }
    }
    // A host that asks nobody where it goes: the flow passes, and is nobody's.
    let mut unasked = balance.spawn(&FlowInfo::detached(0)).unwrap();
    let done = unasked.process(Direction::Upstream, b"x", &mut [0; 1], true);
    assert_eq!(done.unwrap(), Progress::pass(0, 0));
    unasked.report(&report(1000, true));
    let odd = FlowInfo {
        choice: u64::MAX,
        ..FlowInfo::detached(0)
    };
    balance.spawn(&odd).unwrap().report(&report(1000, true));
}

/// A flow that has moved so many bytes.
fn report(bytes: u64, last: bool) -> Report {
    Report {
        last,
        upstream_in: bytes,
        upstream_out: bytes,
        ..Report::default()
    }
}

#[test]
fn what_a_flow_has_moved_counts_once_however_often_it_is_reported() {
    let balance = balance(&[("policy", "drr")]);
    let begin = || {
        let (server, choice) = route(&balance, 0, 0).unwrap();
        let info = FlowInfo {
            choice,
            ..FlowInfo::detached(0)
        };
        (server, balance.spawn(&info).unwrap())
    };
    let (first, mut large) = begin();
    for bytes in [0, 10_000, 5_000_000, 5_000_000] {
        large.report(&report(bytes, false));
    }
    // As much as that one has had so far the two others get now, and then the turn comes round.
    let mut others = 0;
    loop {
        let (server, mut flow) = begin();
        flow.report(&report(100_000, true));
        if server == first {
            break;
        }
        others += 1;
        assert!(others < 200, "the turn never comes round");
    }
    assert!((90..=130).contains(&others), "{others}");
    large.report(&report(5_000_000, true));
}
