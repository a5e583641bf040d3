//! What reloads mean to live flows: nothing.

use std::fs;
use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};

use crate::harness::lab;
use crate::harness::noise::{bytes, sha256};
use crate::harness::peer::{Habit, Server, connect, exchange};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::talk::{Talk, xored};
use crate::modules::compile;
use crate::{CAPTURES, counter, edit, end_all, hang_up, reload, xor};
use srv6pipes::demo::lab::{CLIENT, Lab, locator, sid};

#[test]
fn a_hundred_flows_keep_their_function_and_argument_while_new_ones_get_others() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let proxy = Proxy::start_with(&lab, 1, capture, &xor());
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let mut flows = Vec::new();
        for key in [0x2a, 0x55] {
            lab.steer(&[sid(1, 1, key)]).unwrap();
            flows.push(Talk::several(&lab, &server, 50));
        }
        edit(&proxy, "libxor.so", "libcopy.so");
        edit(&proxy, "name 'xor'", "name 'copy'");
        assert_eq!(reload(&proxy).with(0).stdout, "reloaded\n");
        assert!(proxy.log().contains("reloaded"), "{}", proxy.log());
        let new = Talk::several(&lab, &server, 1);
        for talk in flows.iter_mut().flatten() {
            talk.say(b"the configuration has changed").unwrap();
        }
        assert_eq!(counter(&proxy, "live_flows"), 101);
        for (talks, key) in flows.into_iter().zip([0x2a, 0x55]) {
            end_all(talks, &server, key);
        }
        end_all(new, &server, 0);
        let status = proxy.json("status");
        assert_eq!(status["functions"][0]["name"], "copy");
        assert_eq!(status["counters"]["accepted_flows"], 101);
    }
}

#[test]
fn flows_outlive_their_function() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let sections = xor() + &function_config(2, "copy", "");
        let proxy = Proxy::start_with(&lab, 1, capture, &sections);
        let server = Server::start(lab.server(), 7, Habit::Echo);
        lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
        let mut talks = Talk::several(&lab, &server, 10);
        edit(&proxy, &xor(), "");
        hang_up(&proxy);
        for talk in &mut talks {
            talk.say(&bytes(3, 100_000)).unwrap();
        }
        lab.steer(&[sid(1, 2, 0)]).unwrap();
        end_all(Talk::several(&lab, &server, 1), &server, 0);
        end_all(talks, &server, 0x2a);
    }
}

#[test]
fn transfers_do_not_notice_reload_after_reload() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let proxy = Proxy::start_with(&lab, 1, capture, &xor());
        let server = Server::start(lab.server(), 7, Habit::Echo);
        lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
        let text = bytes(4, 1_000_000);
        let few = fs::read_to_string(proxy.config_path()).unwrap();
        let many = few.clone() + &more(&lab);
        let over = AtomicBool::new(false);
        let transfer = || {
            // Bounded, for the case that the reloads fail.
            for _ in 0..1000 {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let stream = connect(lab.client(), server.address()).unwrap();
                let echo = exchange(&stream, &text).unwrap();
                assert!(echo == text, "the echo differs");
                assert_eq!(server.report().sum, sha256(&xored(&text, 0x2a)));
            }
        };
        thread::scope(|scope| {
            let transfers = [(); 3].map(|()| scope.spawn(transfer));
            for config in [&many, &few].into_iter().cycle().take(8) {
                // A transfer that has failed says so below.
                if transfers.iter().any(ScopedJoinHandle::is_finished) {
                    break;
                }
                fs::write(proxy.config_path(), config).unwrap();
                hang_up(&proxy);
            }
            over.store(true, Ordering::Relaxed);
            for transfer in transfers {
                transfer.join().unwrap();
            }
        });
    }
}

/// Everything that a reload can add: a function, a locator, policies of both kinds and a return.
fn more(lab: &Lab) -> String {
    let device = lab.device_to_client(1);
    format!(
        "config locator\noption prefix '{}/80'\nlist device '{device}'\noption on_failure 'bypass'\n\n\
         config policy\nlist device '{device}'\nlist port '9001'\nlist segment '{}'\n\n\
         config policy\nlist device '{device}'\nlist port '9002'\nlist segment '{}'\n\n\
         config return\noption device '{device}'\noption gateway '{CLIENT}'\n\n",
        locator(8),
        sid(1, 1, 7),
        sid(9, 1, 7),
    ) + &function_config(3, "passes", "")
}

#[test]
fn flows_of_a_removed_locator_are_reset_and_not_left_to_wait() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let device = lab.device_to_client(1);
        let other = format!(
            "config locator
option prefix '{}/80'
list device '{device}'

",
            locator(8)
        );
        let proxy = Proxy::start_with(&lab, 1, capture, &(other + &xor()));
        let server = Server::start(lab.server(), 7, Habit::Echo);
        lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
        let mut go = Talk::several(&lab, &server, 3);
        // The client's route is asked for every packet: from here on all go by way of this SID.
        lab.steer(&[sid(8, 1, 0x88)]).unwrap();
        let stay = Talk::several(&lab, &server, 3);
        edit(&proxy, &locator(1).to_string(), &locator(9).to_string());
        reload(&proxy).with(0);
        for talk in &mut go {
            let error = talk.listen().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            let error = server.report().end.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        }
        end_all(stay, &server, 0x88);
        assert_eq!(counter(&proxy, "locator_gone_flows"), 3);
    }
}

#[test]
fn new_flows_run_a_replaced_module_and_old_ones_finish_on_the_old() {
    for in_place in [false, true] {
        let Some(lab) = lab(1) else { return };
        let section = function_config(1, "hot", "");
        let proxy = start_with_module(&lab, &section);
        lab.steer(&[sid(1, 1, 0)]).unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let old = connect(lab.client(), server.address()).unwrap();
        assert_eq!(ask(&old), *b"1111");
        let module = proxy.workdir().path().join("modules/libhot.so");
        let fresh = proxy.workdir().path().join("modules/fresh");
        compile("hot", &fresh, &["-DBUILD=\"2\""]);
        if in_place {
            fs::write(&module, fs::read(&fresh).unwrap()).unwrap();
        } else {
            fs::rename(&fresh, &module).unwrap();
        }
        // Nothing happens before the reload.
        let between = connect(lab.client(), server.address()).unwrap();
        assert_eq!(ask(&between), *b"1111");
        reload(&proxy).with(0);
        let new = connect(lab.client(), server.address()).unwrap();
        assert_eq!(ask(&new), *b"2222");
        assert_eq!(proxy.json("status")["functions"][0]["version"], "2");
        for (stream, letter) in [(old, b"1"), (between, b"1"), (new, b"2")] {
            assert_eq!(exchange(&stream, b"rest").unwrap(), letter.repeat(4));
        }
    }
}

/// A daemon whose only module is build 1 of `hot`.
fn start_with_module(lab: &Lab, section: &str) -> Proxy {
    let proxy = Proxy::start_with(lab, 1, "", &xor());
    let module = proxy.workdir().path().join("modules/libhot.so");
    compile("hot", &module, &["-DBUILD=\"1\""]);
    edit(&proxy, &xor(), section);
    reload(&proxy).with(0);
    proxy
}

/// Says four bytes; the next four that come back.
pub fn ask(mut stream: &std::net::TcpStream) -> [u8; 4] {
    use std::io::Write;
    stream.write_all(b"what").unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    answer
}
