//! Choices that do not serve: the next one, and what the client sees when there is none.

use std::net::SocketAddrV6;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::harness::counters::wait_until_nothing_is_left;
use crate::harness::lab;
use crate::harness::peer::{Habit, Server};
use crate::harness::proxy::Proxy;
use crate::harness::routes::{CONNECTED, DROPPED, ENDED, FAILED, lines, wait_events};
use crate::harness::sight::Sight;
use crate::harness::status::{Status, counted, descriptors};
use crate::{CAPTURES, Router, SECOND, SERVICE, behind, hole, house, to_segments, to_servers};
use srv6pipes::demo::lab::sid;

#[test]
fn who_refuses_is_passed_over_and_the_client_sees_nothing_of_it() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        house(&lab, 2);
        let _server = Server::start_at(lab.server(), behind(2, 7), Habit::Echo);
        let choices = to_servers(&[behind(1, 7), behind(2, 7)]);
        let router = Router::start(lab, capture, "", &choices);
        assert_eq!(router.sight(), Sight::Echo, "{capture}");
        wait_events(&router.proxy, &[&[FAILED], &[CONNECTED, ENDED]]);
        assert_eq!(lines(&router.proxy, "spawn"), [["2", "fd00:5::12", "7"]]);
        let expected = [
            ("rerouted_flows", 1),
            ("next_refused_flows", 0),
            ("live_flows", 0),
        ];
        counted(&router.proxy, &expected).assert_adds_up();
    }
}

#[test]
fn a_next_segment_that_is_not_there_is_passed_over() {
    for capture in CAPTURES {
        let Some(lab) = lab(3) else { return };
        let _server = Server::start_at(lab.server(), SERVICE, Habit::Echo);
        // No daemon in P2: it has no route to its own locator.
        let p3 = Proxy::start(&lab, 3);
        let choices = to_segments(&[sid(2, 1, 0x11), sid(3, 1, 0x11)]);
        let router = Router::start(lab, capture, "", &choices);
        let segments = [sid(1, 1, 0), sid(2, 1, 0x11)];
        router.lab.steer(&segments).unwrap();
        router.echoes(b"by the third");
        wait_events(&router.proxy, &[&[FAILED], &[CONNECTED, ENDED]]);
        counted(&p3, &[("finished_flows", 1)]);
        counted(
            &router.proxy,
            &[("rerouted_flows", 1), ("finished_flows", 1)],
        );
    }
}

#[test]
fn who_is_silent_is_passed_over_before_long() {
    for capture in CAPTURES {
        for (options, patience) in [(SECOND, 1), ("option connect_timeout '60'", 3)] {
            let Some(lab) = hole() else { return };
            let _server = Server::start_at(lab.server(), behind(2, 7), Habit::Echo);
            let choices = to_servers(&[behind(1, 7), behind(2, 7)]);
            let router = Router::start(lab, capture, options, &choices);
            let began = Instant::now();
            router.echoes(b"patience");
            let took = began.elapsed();
            assert!(took >= Duration::from_secs(patience), "{capture}: {took:?}");
            wait_events(&router.proxy, &[&[FAILED], &[CONNECTED, ENDED]]);
            let expected = [("rerouted_flows", 1), ("next_timeout_flows", 0)];
            counted(&router.proxy, &expected);
        }
    }
}

#[test]
fn when_all_refuse_the_client_sees_the_last_refusal() {
    let refused = Sight::Fails(Errno::ECONNREFUSED);
    for (capture, sight) in CAPTURES
        .into_iter()
        .zip([refused, Sight::ConnectsThenReset])
    {
        let Some(lab) = lab(1) else { return };
        house(&lab, 2);
        let choices = to_servers(&[behind(1, 7), behind(2, 7)]);
        let router = Router::start(lab, capture, "", &choices);
        let before = descriptors(&router.proxy).len();
        assert_eq!(router.sight(), sight, "{capture}");
        wait_events(&router.proxy, &[&[FAILED], &[FAILED]]);
        let attempts: Vec<_> = lines(&router.proxy, "route");
        let attempts: Vec<&str> = attempts.iter().map(|line| line[1].as_str()).collect();
        assert_eq!(attempts, ["0", "1", "2"]);
        let expected = [("next_refused_flows", 1), ("rerouted_flows", 1)];
        counted(&router.proxy, &expected);
        wait_until_nothing_is_left(&router.proxy, before);
        assert_eq!(lines(&router.proxy, "spawn").len(), 0);
    }
}

#[test]
fn a_function_is_asked_eight_times_and_not_more() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        house(&lab, 1);
        let choices = to_servers(&[behind(1, 7); 10]);
        let router = Router::start(lab, capture, "", &choices);
        assert_ne!(router.sight(), Sight::Echo, "{capture}");
        wait_events(&router.proxy, &[&[FAILED][..]; 8]);
        counted(
            &router.proxy,
            &[("next_refused_flows", 1), ("rerouted_flows", 1)],
        );
    }
}

#[test]
fn a_flow_with_nowhere_to_go_is_refused() {
    let refused = Sight::Fails(Errno::ECONNREFUSED);
    for (capture, sight) in CAPTURES
        .into_iter()
        .zip([refused, Sight::ConnectsThenReset])
    {
        let Some(lab) = lab(1) else { return };
        let router = Router::start(lab, capture, "", "");
        assert_eq!(router.sight(), sight, "{capture}");
        counted(
            &router.proxy,
            &[("route_refused_flows", 1), ("live_flows", 0)],
        );
        assert_eq!(Status::of(&router.proxy).function(1, "broken_flows"), 0);
    }
}

#[test]
fn no_function_sends_a_flow_to_the_router_itself() {
    let refused = Sight::Fails(Errno::ECONNREFUSED);
    for (capture, sight) in CAPTURES
        .into_iter()
        .zip([refused, Sight::ConnectsThenReset])
    {
        let own = SocketAddrV6::new("fd00:c::2".parse().unwrap(), 22, 0, 0);
        let own_sid = SocketAddrV6::new(sid(1, 1, 0), 7, 0, 0);
        let group = SocketAddrV6::new("ff02::1".parse().unwrap(), 7, 0, 0);
        for choices in [
            to_servers(&[own]),
            to_servers(&[own_sid]),
            to_servers(&[group]),
            to_servers(&[behind(1, 0)]),
            to_segments(&[sid(1, 1, 7)]),
            to_segments(&["fd00:c::2".parse().unwrap()]),
            to_segments(&["::1".parse().unwrap()]),
        ] {
            let Some(lab) = lab(2) else { return };
            let router = Router::start(lab, capture, "", &choices);
            let segments = [sid(1, 1, 0), sid(2, 1, 0)];
            router.lab.steer(&segments).unwrap();
            assert_eq!(router.sight(), sight, "{capture} {choices}");
            wait_events(&router.proxy, &[&[DROPPED]]);
            counted(&router.proxy, &[("bad_route_flows", 1), ("live_flows", 0)]);
            assert_eq!(Status::of(&router.proxy).function(1, "broken_flows"), 1);
        }
    }
}
