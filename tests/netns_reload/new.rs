//! What reloads mean to new flows.

use std::io::ErrorKind;

use crate::harness::peer::{Habit, Server, connect};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::talk::Talk;
use crate::harness::{kernel, lab, wait_for};
use crate::{CAPTURES, counter, edit, end_all, hang_up, reload, xor};
use srv6pipes::demo::lab::{locator, sid};

#[test]
fn a_removed_function_is_unknown_to_them() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let sections = xor() + &function_config(2, "copy", "");
        let proxy = Proxy::start_with(&lab, 1, capture, &sections);
        let server = Server::start(lab.server(), 7, Habit::Echo);
        lab.steer(&[sid(1, 2, 0)]).unwrap();
        end_all(Talk::several(&lab, &server, 1), &server, 0);
        edit(&proxy, &function_config(2, "copy", ""), "");
        reload(&proxy).with(0);
        turned_away(&lab, &server);
        assert_eq!(counter(&proxy, "unknown_function_flows"), 1);
        assert_eq!(
            proxy.json("status")["functions"].as_array().unwrap().len(),
            1
        );
        lab.steer(&[sid(1, 1, 9)]).unwrap();
        end_all(Talk::several(&lab, &server, 1), &server, 9);
    }
}

/// Refused at once, or reset: with `saved_syn` the kernel has answered before we are asked.
#[track_caller]
fn turned_away(lab: &srv6pipes::demo::lab::Lab, server: &Server) {
    let error = connect(lab.client(), server.address())
        .and_then(|stream| std::io::Read::read(&mut &stream, &mut [0]))
        .unwrap_err();
    let kinds = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
    assert!(kinds.contains(&error.kind()), "{error}");
}

#[test]
fn an_added_locator_serves_them_and_a_removed_one_does_not() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let proxy = Proxy::start_with(&lab, 1, capture, &xor());
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let device = lab.device_to_client(1);
        let second = format!(
            "config locator 'second'\noption prefix '{}/80'\nlist device '{device}'\n\n",
            locator(8)
        );
        let first = format!(
            "config locator 'p1'\noption prefix '{}/80'\nlist device '{device}'\n\n",
            locator(1)
        );
        edit(&proxy, &first, &(first.clone() + &second));
        reload(&proxy).with(0);
        assert_eq!(
            proxy.json("status")["locators"].as_array().unwrap().len(),
            2
        );
        for (i, key) in [(1, 0x11), (8, 0x88)] {
            lab.steer(&[sid(i, 1, u32::from(key))]).unwrap();
            end_all(Talk::several(&lab, &server, 2), &server, key);
        }
        // Several of ours in a row, of different locators.
        lab.steer(&[sid(1, 1, 0x11), sid(8, 1, 0x88)]).unwrap();
        end_all(Talk::several(&lab, &server, 2), &server, 0x99);
        edit(&proxy, &first, "");
        hang_up(&proxy);
        lab.steer(&[sid(8, 1, 0x88)]).unwrap();
        end_all(Talk::several(&lab, &server, 2), &server, 0x88);
        let removed = format!("{}/80", locator(1));
        let kernel = kernel::state(lab.proxy(1));
        let heirs = kernel
            .iter()
            .filter(|(_, answer)| answer.contains(&removed));
        assert_eq!(heirs.collect::<Vec<_>>(), []);
        assert_eq!(counter(&proxy, "accepted_flows"), 8);
    }
}

#[test]
fn a_lowered_max_flows_refuses_them_and_spares_the_others_and_a_raised_one_lets_them_in() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let options = format!("{capture}\noption max_flows '4'");
        let proxy = Proxy::start_with(&lab, 1, &options, &xor());
        let server = Server::start(lab.server(), 7, Habit::Echo);
        lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
        let mut talks = Talk::several(&lab, &server, 3);
        edit(&proxy, "max_flows '4'", "max_flows '2'");
        reload(&proxy).with(0);
        turned_away(&lab, &server);
        assert_eq!(counter(&proxy, "max_flows_refused_flows"), 1);
        for talk in &mut talks {
            talk.say(b"still here").unwrap();
        }
        edit(&proxy, "max_flows '2'", "max_flows '10'");
        hang_up(&proxy);
        let more = Talk::several(&lab, &server, 7);
        assert_eq!(counter(&proxy, "live_flows"), 10);
        turned_away(&lab, &server);
        end_all(talks, &server, 0x2a);
        wait_for("places to be free again", || {
            (counter(&proxy, "live_flows") == 7).then_some(())
        });
        end_all(Talk::several(&lab, &server, 3), &server, 0x2a);
        end_all(more, &server, 0x2a);
        assert_eq!(counter(&proxy, "max_flows_refused_flows"), 2);
        assert_eq!(counter(&proxy, "unheld_syn_packets"), 0);
    }
}
