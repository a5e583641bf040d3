//! The way that was chosen is the way that is gone.

use crate::harness::peer::{Habit, Server, connect, exchange};
use crate::harness::proxy::Proxy;
use crate::harness::routes::{CONNECTED, DROPPED, ENDED, FAILED, events, lines, wait_events};
use crate::harness::sight::Sight;
use crate::harness::status::{COPIED, Status, counted};
use crate::harness::{lab, noise, wait_for};
use crate::modules::uci::section;
use crate::{
    CAPTURES, Router, SERVICE, behind, house, reconfigure, sockets, to_segments, to_servers,
    wait_sockets,
};
use srv6pipes::demo::lab::sid;

#[test]
fn a_flow_goes_to_the_server_that_was_chosen_and_from_the_client() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        house(&lab, 1);
        let server = Server::start_at(lab.server(), behind(1, 7001), Habit::Echo);
        // One at a time: the second gets in only if nothing is left of the first.
        let limit = "option max_flows '1'";
        let router = Router::start(lab, capture, limit, &to_servers(&[behind(1, 7001)]));
        let before = sockets(&router.proxy);
        for n in 1..=2 {
            let stream = connect(router.lab.client(), SERVICE).unwrap();
            let flows = wait_for("the flow to stand", || {
                let flows = router.proxy.json("flows");
                (flows["flows"][0]["state"] == "piping").then_some(flows)
            });
            assert_eq!(flows["flows"][0]["server"], behind(1, 7001).to_string());
            assert_eq!(exchange(&stream, b"hello").unwrap(), b"hello");
            assert_eq!(server.report().client, stream.local_addr().unwrap());
            counted(&router.proxy, &[("finished_flows", n), ("live_flows", 0)]);
        }
        wait_sockets(&router.proxy, before);
        wait_events(&router.proxy, &[&[CONNECTED, ENDED][..]; 2]);
        assert_eq!(
            lines(&router.proxy, "spawn"),
            [["1", "fd00:5::11", "7001"], ["2", "fd00:5::11", "7001"]]
        );
        assert_eq!(lines(&router.proxy, "route")[0][2..], ["fd00:5::1", "7"]);
        let expected = [("finished_flows", 2), ("rerouted_flows", 0)];
        counted(&router.proxy, &expected).assert_adds_up();
    }
}

#[test]
fn a_flow_goes_by_the_next_segment_that_was_chosen() {
    for capture in CAPTURES {
        let Some(lab) = lab(3) else { return };
        let server = Server::start_at(lab.server(), SERVICE, Habit::Echo);
        let p2 = Proxy::start(&lab, 2);
        let p3 = Proxy::start(&lab, 3);
        let router = Router::start(lab, capture, "", &to_segments(&[sid(3, 1, 0x11)]));
        let segments = [sid(1, 1, 0), sid(2, 1, 0x22)];
        router.lab.steer(&segments).unwrap();
        router.echoes(b"by the third");
        let xored: Vec<u8> = b"by the third".iter().map(|byte| byte ^ 0x11).collect();
        assert_eq!(server.report().sum, noise::sha256(&xored));
        wait_events(&router.proxy, &[&[CONNECTED, ENDED]]);
        counted(&p3, &[("finished_flows", 1)]);
        counted(&p2, &[("accepted_flows", 0)]);
    }
}

#[test]
fn the_segments_behind_the_one_that_was_chosen_stay() {
    let Some(lab) = lab(4) else { return };
    let server = Server::start_at(lab.server(), SERVICE, Habit::Echo);
    let others = [2, 3, 4].map(|i| Proxy::start(&lab, i));
    let router = Router::start(lab, "saved_syn", "", &to_segments(&[sid(3, 1, 0x11)]));
    let segments = [sid(1, 1, 0), sid(2, 1, 0x22), sid(4, 1, 0x44)];
    router.lab.steer(&segments).unwrap();
    router.echoes(b"by the third and the fourth");
    let xored = b"by the third and the fourth"
        .map(|byte| byte ^ 0x11 ^ 0x44)
        .to_vec();
    assert_eq!(server.report().sum, noise::sha256(&xored));
    for (proxy, flows) in others.iter().zip([0, 1, 1]) {
        counted(proxy, &[("finished_flows", flows)]);
    }
}

#[test]
fn functions_in_a_row_see_what_those_before_them_chose() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        house(&lab, 3);
        let _server = Server::start_at(lab.server(), behind(3, 9), Habit::Echo);
        let router = Router::start(lab, capture, "", &to_servers(&[behind(1, 7), behind(2, 8)]));
        let so = "choices.so";
        let second = to_servers(&[behind(3, 8), behind(3, 9)]);
        let sections = section(2, &router.folder, so, "choices", &second)
            + &section(3, &router.folder, so, "choices", "");
        reconfigure(&router, &sections);
        router.lab.steer(&[sid(1, 1, 0), sid(1, 2, 0)]).unwrap();
        router.echoes(b"by both");
        // Choices of another function begin with another million.
        wait_for("both to hear of both attempts", || {
            let events: Vec<_> = events(&router.proxy).into_values().collect();
            let both = [vec![FAILED], vec![CONNECTED, ENDED]];
            (events == [both.clone(), both].concat()).then_some(())
        });
        let seen: Vec<_> = lines(&router.proxy, "route")
            .iter()
            .map(|line| line[1..].join(" "))
            .collect();
        let expected = [
            "0 fd00:5::1 7",
            "0 fd00:5::11 7",
            "1 fd00:5::1 7",
            "1 fd00:5::12 8",
        ];
        assert_eq!(seen, expected);
        let spawned = lines(&router.proxy, "spawn");
        for (line, choice) in spawned.iter().zip(["2", "1000002"]) {
            assert_eq!(line[..], [choice, "fd00:5::13", "9"]);
        }

        // The third has nowhere to go: what the first chose is dropped.
        router.lab.steer(&[sid(1, 1, 0), sid(1, 3, 0)]).unwrap();
        assert_ne!(router.sight(), Sight::Echo);
        wait_for("the first to hear that its choice is dropped", || {
            (events(&router.proxy).get(&3)? == &[DROPPED]).then_some(())
        });
        counted(&router.proxy, &[("route_refused_flows", 1)]);
    }
}

#[test]
fn a_function_that_passes_at_once_is_asked_all_the_same() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        house(&lab, 2);
        let server = Server::start_at(lab.server(), behind(2, 7), Habit::Echo);
        let choices = to_servers(&[behind(1, 7), behind(2, 7)]);
        let router = Router::start(lab, capture, "", "");
        let sections = section(4, &router.folder, "choices.so", "choices_unseen", &choices);
        reconfigure(&router, &sections);
        router.lab.steer(&[sid(1, 4, 0)]).unwrap();
        let bytes = noise::bytes(1, 1_000_000);
        router.echoes(&bytes);
        assert_eq!(server.report().received, 1_000_000);
        let status = counted(&router.proxy, &[("finished_flows", 1)]);
        status.assert_adds_up();
        assert!(status.counter("spliced_bytes") > 2_000_000 - 2 * COPIED);
        wait_events(&router.proxy, &[&[FAILED], &[CONNECTED, ENDED]]);
        assert_eq!(lines(&router.proxy, "spawn").len(), 0);
        assert_eq!(Status::of(&router.proxy).function(4, "flows"), 1);
    }
}
