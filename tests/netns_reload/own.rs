//! What reloads mean to what a function keeps itself: the files it has read, and its counters.

use std::fs;

use crate::harness::ended::to_end;
use crate::harness::lab;
use crate::harness::peer::{Habit, Server, connect, exchange};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::wait_for;
use crate::live::ask;
use crate::modules::compile;
use crate::{CAPTURES, edit, reload, xor};
use serde_json::{Value, json};
use srv6pipes::demo::lab::sid;

/// The counters of function 1.
fn counters(proxy: &Proxy) -> Value {
    proxy.json("status")["functions"][0]["counters"].clone()
}

fn counter(name: &str, label: &str, value: u64) -> Value {
    json!({ "name": name, "label": label, "value": value })
}

#[test]
fn files_are_read_anew_for_new_flows_and_counters_go_on() {
    for capture in CAPTURES {
        let Some(lab) = lab(1) else { return };
        let proxy = Proxy::start_with(&lab, 1, capture, &xor());
        let folder = proxy.workdir().path();
        let letter = folder.join("letter");
        compile("reader", &folder.join("modules/libreader.so"), &[]);
        fs::write(&letter, "A").unwrap();
        let option = format!("option file '{}'", letter.display());
        edit(&proxy, &xor(), &function_config(1, "reader", &option));
        reload(&proxy).with(0);
        lab.steer(&[sid(1, 1, 0)]).unwrap();
        let server = Server::start(lab.server(), 7, Habit::Echo);
        let old = connect(lab.client(), server.address()).unwrap();
        assert_eq!(ask(&old), *b"AAAA");

        fs::write(&letter, "B").unwrap();
        let between = connect(lab.client(), server.address()).unwrap();
        assert_eq!(ask(&between), *b"AAAA", "nothing happens before the reload");
        // Nor by one that another section makes fail.
        let absent = function_config(2, "absent", "");
        let good = fs::read_to_string(proxy.config_path()).unwrap();
        fs::write(proxy.config_path(), good.clone() + &absent).unwrap();
        reload(&proxy).with(1);
        fs::write(proxy.config_path(), &good).unwrap();
        let unmoved = connect(lab.client(), server.address()).unwrap();
        assert_eq!(ask(&unmoved), *b"AAAA");

        reload(&proxy).with(0);
        let new = connect(lab.client(), server.address()).unwrap();
        assert_eq!(ask(&new), *b"BBBB");
        let of_both = [
            counter("read_flows", "A", 3),
            counter("read_flows", "B", 1),
            counter("spawned_flows", "", 4),
        ];
        assert_eq!(counters(&proxy), json!(of_both));
        let shown = to_end(&mut proxy.command("status")).with(0).stdout;
        let lines = "                     3  read flows     A\n\
                     \x20                    1  read flows     B\n\
                     \x20                    4  spawned flows\n";
        assert!(shown.contains(lines), "{shown}");

        // The file is gone, and so are the old flows, but the one that has read it last goes on.
        fs::remove_file(&letter).unwrap();
        let refused = reload(&proxy).with(1).stderr;
        let line = good.lines().position(|line| line == option).unwrap() + 1;
        let place = format!("{}:{line}: function 0x0001", proxy.config_path().display());
        assert!(refused.starts_with(&place), "{refused}");
        assert!(
            refused.ends_with(": option 'file': cannot be read\n"),
            "{refused}"
        );
        for (stream, letter) in [(old, b"A"), (between, b"A"), (unmoved, b"A")] {
            assert_eq!(exchange(&stream, b"rest").unwrap(), letter.repeat(4));
        }
        let newest = connect(lab.client(), server.address()).unwrap();
        for stream in [new, newest] {
            assert_eq!(exchange(&stream, b"rest").unwrap(), *b"BBBB");
        }
        let of_the_new = [
            counter("read_flows", "B", 2),
            counter("spawned_flows", "", 5),
        ];
        wait_for("the old function to give its counter back", || {
            (counters(&proxy) == json!(of_the_new)).then_some(())
        });
    }
}
