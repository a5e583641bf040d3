//! Reloads that cannot be: they say why, and nothing has changed, neither in the kernel nor for
//! old or new flows.

use std::fs;

use crate::harness::peer::{Habit, Server};
use crate::harness::proxy::{Proxy, function_config};
use crate::harness::talk::Talk;
use crate::harness::{kernel, lab};
use crate::{CAPTURES, edit, end_all, hang_up, reload, xor};
use srv6pipes::demo::lab::{Lab, locator, sid};

/// Changes the configuration by `change`, reloads both ways, and finds all of `words` in one line
/// of each answer and nothing changed.
fn refused(capture: &str, change: impl FnOnce(&Lab, &Proxy), words: &[&str]) {
    let Some(lab) = lab(1) else { return };
    let proxy = Proxy::start_with(&lab, 1, capture, &xor());
    let server = Server::start(lab.server(), 7, Habit::Echo);
    lab.steer(&[sid(1, 1, 0x2a)]).unwrap();
    let mut talks = Talk::several(&lab, &server, 3);
    let before = kernel::state(lab.proxy(1));
    let good = fs::read_to_string(proxy.config_path()).unwrap();
    change(&lab, &proxy);
    let text = fs::read_to_string(proxy.config_path()).unwrap();
    let place = proxy.config_path().display().to_string();
    let has = |text: &str| {
        let all = |line: &str| {
            words.iter().all(|word| {
                let word = match word.strip_prefix("LINE ") {
                    Some(start) => {
                        let line = text_line(start, &proxy);
                        format!("{place}:{line}: ")
                    }
                    None => (*word).to_owned(),
                };
                line.contains(&word)
            })
        };
        assert!(text.lines().any(all), "no line with {words:?} in\n{text}");
    };
    has(&hang_up(&proxy));
    let log = proxy.log();
    let answer = reload(&proxy).with(1);
    has(&answer.stderr);
    has(&proxy.log()[log.len()..]);
    assert_eq!(answer.stdout, "");
    assert_eq!(fs::read_to_string(proxy.config_path()).unwrap(), text);

    let after = kernel::state(lab.proxy(1));
    assert_eq!(kernel::difference(&before, &after), [""; 0]);
    for talk in &mut talks {
        talk.say(b"nothing has changed").unwrap();
    }
    talks.extend(Talk::several(&lab, &server, 2));
    end_all(talks, &server, 0x2a);
    let status = proxy.json("status");
    assert_eq!(status["functions"].as_array().unwrap().len(), 1);
    assert_eq!(status["locators"][0], format!("{}/80", locator(1)));
    // And a good file is taken over again.
    fs::write(proxy.config_path(), good).unwrap();
    reload(&proxy).with(0);
}

/// The number of the line that begins with `start`.
fn text_line(start: &str, proxy: &Proxy) -> usize {
    let text = fs::read_to_string(proxy.config_path()).unwrap();
    text.lines()
        .position(|line| line.starts_with(start))
        .unwrap()
        + 1
}

/// Something that would change the kernel if it were taken over, too.
fn more_kernel(lab: &Lab, proxy: &Proxy) {
    let device = lab.device_to_client(1);
    let policy = format!(
        "config policy\nlist device '{device}'\nlist segment '{}'\n\n",
        sid(9, 1, 0)
    );
    edit(proxy, &xor(), &(xor() + &policy));
}

#[test]
fn a_broken_file_is_refused_with_its_line() {
    for capture in CAPTURES {
        let change = |lab: &Lab, proxy: &Proxy| {
            more_kernel(lab, proxy);
            edit(proxy, "option id '1'", "option id '70000'");
        };
        refused(capture, change, &["LINE option id", "70000"]);
    }
}

#[test]
fn a_module_that_fails_to_load_is_refused_with_its_line() {
    for capture in CAPTURES {
        let change = |lab: &Lab, proxy: &Proxy| {
            more_kernel(lab, proxy);
            edit(proxy, &xor(), &(xor() + &function_config(2, "absent", "")));
            edit(proxy, "name 'xor'", "name 'xor'\noption on_failure 'pass'");
        };
        let words = ["libabsent.so", "No such file"];
        refused(capture, change, &words);
    }
}

#[test]
fn a_missing_device_is_refused_with_its_line() {
    let change = |lab: &Lab, proxy: &Proxy| {
        more_kernel(lab, proxy);
        edit(proxy, &xor(), &function_config(1, "copy", ""));
        edit(
            proxy,
            "config policy\nlist device 'to-c'",
            "config policy\nlist device 'wan7'",
        );
    };
    refused(
        CAPTURES[0],
        change,
        &["LINE config policy", "no device wan7"],
    );
}

#[test]
fn a_strangers_rule_in_the_way_is_refused() {
    // Among ours only when there are policies: then they reach up to 1300.
    let Some(lab) = lab(1) else { return };
    let proxy = Proxy::start_with(&lab, 1, "option preference '1000'", &xor());
    lab.proxy(1).ip("rule add pref 1200 lookup 7\n").unwrap();
    let before = kernel::state(lab.proxy(1));
    more_kernel(&lab, &proxy);
    let answer = reload(&proxy).with(1);
    assert!(answer.stderr.contains("preference 1200"), "{answer:?}");
    let after = kernel::state(lab.proxy(1));
    assert_eq!(kernel::difference(&before, &after), [""; 0]);
}

#[test]
fn options_that_need_a_restart_are_named_all_at_once() {
    let change = |lab: &Lab, proxy: &Proxy| {
        more_kernel(lab, proxy);
        edit(
            proxy,
            "capture 'saved_syn'",
            "capture 'nfqueue'\noption threads '1'\noption port '99'\noption queue '99'\noption mark '0xff'\noption table '500'\noption preference '500'",
        );
        edit(proxy, "enabled '1'", "enabled '0'");
    };
    let words = [
        "restart",
        "enabled",
        "threads",
        "capture",
        "port",
        "queue",
        "mark",
        "table",
        "preference",
    ];
    refused(CAPTURES[0], change, &words);
}

#[test]
fn a_changed_control_socket_needs_a_restart_and_the_old_one_goes_on() {
    let Some(lab) = lab(1) else { return };
    let proxy = Proxy::start_with(&lab, 1, "", &xor());
    edit(&proxy, "control.sock", "elsewhere.sock");
    let said = hang_up(&proxy);
    assert!(
        said.contains("restart") && said.contains("control_socket"),
        "{said}"
    );
    edit(&proxy, "elsewhere.sock", "control.sock");
    reload(&proxy).with(0);
}
