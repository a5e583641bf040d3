//! Every choice has one end, whatever happens in the middle.

use std::thread;

use nix::sys::signal::Signal;

use crate::harness::counters::wait_until_nothing_is_left;
use crate::harness::ends::abort;
use crate::harness::peer::{Habit, Server, connect};
use crate::harness::routes::{CONNECTED, DROPPED, ENDED, FAILED, events, lines, wait_events};
use crate::harness::sight::{Attempt, Sight};
use crate::harness::status::{counted, descriptors};
use crate::harness::{lab, wait_for};
use crate::{
    CAPTURES, Router, SECOND, SERVICE, behind, hole, house, sockets, to_servers, wait_sockets,
};

#[test]
fn a_client_that_goes_in_the_middle_leaves_nothing() {
    for capture in CAPTURES {
        let Some(lab) = hole() else { return };
        let _server = Server::start_at(lab.server(), behind(2, 7), Habit::Echo);
        let choices = to_servers(&[behind(1, 7), behind(2, 7)]);
        let router = Router::start(lab, capture, SECOND, &choices);
        let before = descriptors(&router.proxy).len();
        let attempt = Attempt::begin(router.lab.client(), SERVICE);
        wait_for("the first choice", || {
            (events(&router.proxy).len() == 1).then_some(())
        });
        if capture == "saved_syn" {
            abort(attempt.connected().unwrap());
            wait_events(&router.proxy, &[&[DROPPED]]);
            counted(&router.proxy, &[("reset_by_client_flows", 1)]).assert_adds_up();
        } else {
            // Nobody hears of a client that gives up a SYN, until it is answered.
            drop(attempt);
            wait_events(&router.proxy, &[&[FAILED], &[CONNECTED, ENDED]]);
            counted(
                &router.proxy,
                &[("abandoned_flows", 1), ("accepted_flows", 0)],
            );
        }
        wait_until_nothing_is_left(&router.proxy, before);
    }
}

#[test]
fn a_daemon_that_stops_in_the_middle_says_what_becomes_of_all() {
    for capture in CAPTURES {
        let Some(lab) = hole() else { return };
        let _server = Server::start_at(lab.server(), behind(2, 7), Habit::Echo);
        let choices = to_servers(&[behind(2, 7), behind(1, 7)]) + "option turns '1'\n";
        let patient = "option connect_timeout '60'";
        let mut router = Router::start(lab, capture, patient, &choices);
        let live = connect(router.lab.client(), SERVICE).unwrap();
        wait_events(&router.proxy, &[&[CONNECTED]]);
        let _attempt = Attempt::begin(router.lab.client(), SERVICE);
        wait_events(&router.proxy, &[&[CONNECTED], &[]]);
        assert!(router.proxy.stop().success());
        wait_events(&router.proxy, &[&[CONNECTED, ENDED], &[DROPPED]]);
        assert_eq!(lines(&router.proxy, "deinit").len(), 1);
        drop(live);
    }
}

#[test]
fn a_choice_belongs_to_the_function_that_made_it() {
    for capture in CAPTURES {
        let Some(lab) = hole() else { return };
        let _server = Server::start_at(lab.server(), behind(2, 7), Habit::Echo);
        let choices = to_servers(&[behind(1, 7), behind(2, 7)]);
        let router = Router::start(lab, capture, SECOND, &choices);
        let attempt = Attempt::begin(router.lab.client(), SERVICE);
        wait_events(&router.proxy, &[&[]]);
        // The new one goes nowhere: whoever asks it would see.
        let path = router.proxy.config_path();
        let config = std::fs::read_to_string(&path).unwrap();
        let (head, _) = config.split_once("list server").unwrap();
        std::fs::write(&path, head).unwrap();
        router.proxy.signal(Signal::SIGHUP);
        assert_eq!(attempt.sight(|| false), Sight::Echo, "{capture}");
        wait_events(&router.proxy, &[&[FAILED], &[CONNECTED, ENDED]]);
        wait_for(
            "the old one to be deinitialised after its last flow",
            || (lines(&router.proxy, "deinit") == [["0"]]).then_some(()),
        );
        let log = router.proxy.log();
        let at = |word: &str| log.find(word).unwrap_or_else(|| panic!("no {word}"));
        assert!(at("routed 2 3") < at("deinit 0"), "{log}");
        assert_ne!(router.sight(), Sight::Echo, "the new one is asked now");
        counted(&router.proxy, &[("route_refused_flows", 1)]);
    }
}

#[test]
fn of_two_hundred_flows_every_choice_adds_up() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        house(&lab, 3);
        let servers = [1, 2].map(|n| Server::start_at(lab.server(), behind(n, 7), Habit::Echo));
        let choices = to_servers(&[behind(1, 7), behind(2, 7), behind(3, 7)]);
        let router = Router::start(lab, capture, "", &(choices + "option turns '1'\n"));
        let before = sockets(&router.proxy);
        thread::scope(|scope| {
            for n in 0..8_u8 {
                let router = &router;
                scope.spawn(move || (0..25).for_each(|_| router.echoes(&[n; 100])));
            }
        });
        let expected = [
            ("accepted_flows", 200),
            ("piped_flows", 200),
            ("finished_flows", 200),
            ("live_flows", 0),
        ];
        let status = counted(&router.proxy, &expected);
        status.assert_adds_up();
        wait_sockets(&router.proxy, before);
        let events: Vec<_> = events(&router.proxy).into_values().collect();
        let count = |wanted: &[u32]| {
            let found = events.iter().filter(|events| events[..] == *wanted);
            u64::try_from(found.count()).unwrap()
        };
        // Every third flow began with the server that is not there.
        assert_eq!(count(&[CONNECTED, ENDED]), 200, "{capture}");
        assert_eq!(count(&[FAILED]), 66, "{capture}");
        assert_eq!(events.len(), 266, "{capture}");
        assert_eq!(status.counter("rerouted_flows"), 66);
        drop(servers);
    }
}
