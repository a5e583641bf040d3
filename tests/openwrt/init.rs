//! What the init script tells procd, and when it tells it nothing.

use std::fs;

use nix::sys::signal::Signal;

use crate::harness::{kernel, lab};
use crate::router::{Router, SHELLS};
use crate::{config, function};

/// The calls that make triggers, as all starts have to make them.
const TRIGGERS: &[&str] = &[
    "procd_add_reload_trigger [srv6pipes]",
    "procd_add_raw_trigger [interface.*.up] [2000] [/etc/init.d/srv6pipes] [start]",
    "procd_add_config_trigger [config.change] [network] [/etc/init.d/srv6pipes] [start]",
    "procd_add_config_trigger [config.change] [firewall] [/etc/init.d/srv6pipes] [start]",
];

#[track_caller]
fn assert_triggers(record: &[String]) {
    for trigger in TRIGGERS {
        let times = record.iter().filter(|line| line == trigger).count();
        assert_eq!(times, 1, "{trigger} in {record:#?}");
    }
    let validated = record.iter().filter(|line| line.starts_with("validate "));
    assert_eq!(validated.count(), 5, "{record:#?}");
}

/// What was said about the instance; empty if there is none.
fn instance(record: &[String]) -> Vec<&str> {
    let lines = record.iter().map(String::as_str);
    let inside = lines.skip_while(|line| *line != "procd_open_instance");
    inside
        .skip(1)
        .take_while(|line| *line != "procd_close_instance")
        .collect()
}

/// Nothing starts, `words` stand in one line of what is said, and the next start may be triggered.
#[track_caller]
fn starts_nothing(router: &Router<'_>, words: &[&str]) {
    let (ended, record) = router.service("start");
    assert_eq!(instance(&record), [""; 0]);
    assert_triggers(&record);
    let said = ended.stderr.lines();
    let has_all = |line: &str| words.iter().all(|word| line.contains(word));
    if words.is_empty() {
        assert_eq!(ended.stderr, "");
    } else {
        assert!(said.clone().any(has_all), "no {words:?} in {ended:#?}");
    }
    assert!(!router.path("var/run/srv6pipes").exists());
}

#[test]
fn as_shipped_nothing_starts_and_nothing_is_said() {
    let Some(lab) = lab(1) else { return };
    for shell in SHELLS {
        starts_nothing(&Router::new(&lab, 1, shell), &[]);
    }
}

#[test]
fn two_locators_with_several_devices_make_one_instance() {
    let Some(lab) = lab(1) else { return };
    for shell in SHELLS {
        let router = Router::new(&lab, 1, shell);
        router.add_module("xor");
        let second = "config locator\n\toption prefix 'fd00:98:1::/80'\n\
             \tlist device 'to-c'\n\tlist device 'to-s'\n\tlist device 'lo'\n\n";
        router.configure(&config("", &(second.to_owned() + &function(1, "xor", ""))));
        let (ended, record) = router.service("start");
        assert_eq!(ended.with(0).stderr, "");
        assert_eq!(
            instance(&record),
            [
                "procd_set_param [command] [/usr/sbin/srv6pipes] [run]",
                "procd_set_param [reload_signal] [HUP]",
                "procd_set_param [respawn]",
                "procd_set_param [limits] [nofile=1024 1048576]",
                "procd_set_param [term_timeout] [30]",
                "procd_set_param [env] [PATH=/usr/sbin:/usr/bin:/sbin:/bin]",
                "procd_set_param [stdout] [1]",
                "procd_set_param [stderr] [1]",
            ]
        );
        assert_triggers(&record);
        let mut service = router.procd(&record);
        let (status, _) = router.service("status");
        assert!(status.with(0).stdout.contains("fd00:98:1::/80"));
        service.end(Signal::SIGTERM);
    }
}

#[test]
fn a_broken_file_is_told_line_by_line() {
    let Some(lab) = lab(1) else { return };
    for shell in SHELLS {
        let router = Router::new(&lab, 1, shell);
        router.configure(&config("option threads '999'", "config locater\n\n"));
        starts_nothing(&router, &["/etc/config/srv6pipes:5: ", "threads", "999"]);
        starts_nothing(&router, &["/etc/config/srv6pipes:11: ", "locater"]);
    }
}

#[test]
fn a_switch_that_is_none_is_told() {
    let Some(lab) = lab(1) else { return };
    let router = Router::new(&lab, 1, SHELLS[0]);
    router.configure(&config("", "").replace("enabled '1'", "enabled 'perhaps'"));
    starts_nothing(&router, &["enabled", "perhaps"]);
}

#[test]
fn what_a_module_lacks_is_told() {
    let Some(lab) = lab(1) else { return };
    let router = Router::new(&lab, 1, SHELLS[0]);
    router.configure(&config("", &function(1, "xor", "")));
    starts_nothing(&router, &["/usr/lib/srv6pipes/libxor.so", "No such file"]);
}

#[test]
fn a_device_that_is_not_there_yet_is_waited_for_but_not_missed_by_what_runs() {
    let Some(lab) = lab(1) else { return };
    let router = Router::new(&lab, 1, SHELLS[0]);
    let policy = "config policy\n\tlist device 'pppoe-wan'\n\tlist segment 'fd00:99:1::1:0:0'\n\n";
    router.configure(&config("", policy));
    starts_nothing(&router, &["waiting for the network devices", " pppoe-wan"]);

    lab.proxy(1).ip("link add pppoe-wan type bridge\n").unwrap();
    let (ended, record) = router.service("start");
    assert_eq!(ended.with(0).stderr, "");
    let mut service = router.procd(&record);
    lab.proxy(1).ip("link delete pppoe-wan\n").unwrap();
    let (_, again) = router.service("start");
    assert_eq!(instance(&again), instance(&record), "procd would stop it");
    service.end(Signal::SIGTERM);
}

#[test]
fn flow_offloading_is_complained_of_where_there_is_a_policy() {
    let Some(lab) = lab(1) else { return };
    let router = Router::new(&lab, 1, SHELLS[0]);
    router.write("etc/flow_offloading", "1\n");
    router.configure(&config("", ""));
    assert_eq!(router.service("start").0.stderr, "");
    let policy = "config policy\n\tlist device 'to-s'\n\tlist segment 'fd00:99:9::1:0:0'\n\n";
    router.configure(&config("", policy));
    let (ended, record) = router.service("start");
    assert!(ended.stderr.contains("flow_offloading"), "{ended:#?}");
    assert!(!instance(&record).is_empty());
}

#[test]
fn quotes_and_commands_in_options_stay_text() {
    let Some(lab) = lab(1) else { return };
    for shell in SHELLS {
        let router = Router::new(&lab, 1, shell);
        router.add_module("rewrite");
        router.add_ujail();
        let texts = [
            r#"list replace 'it'\''s "$(touch /caught)"=>`touch /caught`; *'"#,
            "list replace '/etc/*=>/etc/config/srv6pipes'",
        ];
        router.configure(&config("", &function(1, "rewrite", &texts.join("\n"))));
        let (ended, record) = router.service("start");
        assert_eq!(ended.with(0).stderr, "");
        assert!(!router.path("caught").exists());
        let jailed = record.iter().any(|l| l.starts_with("procd_add_jail "));
        assert!(jailed, "{record:#?}");
    }
}

#[test]
fn reload_takes_the_new_configuration_and_ends_nothing() {
    let Some(lab) = lab(1) else { return };
    let router = Router::new(&lab, 1, SHELLS[0]);
    router.add_module("xor");
    router.configure(&config("", ""));
    let (_, record) = router.service("start");
    let mut service = router.procd(&record);

    router.configure(&config("", &function(7, "xor", "")));
    let (ended, record) = router.service("reload");
    ended.with(0);
    assert_triggers(&record);
    assert!(!record.iter().any(|line| line.starts_with("procd_kill")));
    let status = router.run(&["srv6pipes", "status", "--json"]).with(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["pid"], service.pid());
    assert_eq!(status["functions"][0]["id"], "0x0007");

    router.configure(&config("option port '1'", ""));
    let (ended, record) = router.service("reload");
    assert!(
        ended
            .with(1)
            .stderr
            .contains("only a restart changes option port")
    );
    // Nothing for procd to compare: the old instance goes on.
    assert_eq!(
        record,
        [
            "extra_command [check]",
            "extra_command [flows]",
            "extra_command [doctor]"
        ]
    );
    service.end(Signal::SIGTERM);
}

#[test]
fn reload_starts_what_does_not_run_and_stops_what_is_not_wanted() {
    let Some(lab) = lab(1) else { return };
    let router = Router::new(&lab, 1, SHELLS[0]);
    router.configure(&config("", ""));
    let (ended, record) = router.service("reload");
    ended.with(0);
    let mut service = router.procd(&record);
    router.configure(&config("", "").replace("enabled '1'", "enabled '0'"));
    let (ended, record) = router.service("reload");
    ended.with(0);
    assert!(
        record.contains(&"procd_kill [srv6pipes]".to_owned()),
        "{record:#?}"
    );
    service.end(Signal::SIGTERM);
}

#[test]
fn stop_cleans_what_a_kill_9_has_left() {
    let Some(lab) = lab(1) else { return };
    let before = kernel::state(lab.proxy(1));
    let router = Router::new(&lab, 1, SHELLS[0]);
    router.configure(&config("", ""));
    let (_, record) = router.service("start");
    router.procd(&record).end(Signal::SIGKILL);
    let left = kernel::difference(&before, &kernel::state(lab.proxy(1)));
    assert_ne!(left, [""; 0]);
    let (ended, _) = router.service("stop");
    assert_eq!(ended.with(0).stderr, "");
    let left = kernel::difference(&before, &kernel::state(lab.proxy(1)));
    assert_eq!(left, [""; 0]);
    let left: Vec<_> = fs::read_dir(router.path("var/run")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn its_own_words_reach_the_program() {
    let Some(lab) = lab(1) else { return };
    let router = Router::new(&lab, 1, SHELLS[0]);
    router.configure(&config("", ""));
    let (ended, _) = router.service("check");
    assert!(ended.with(0).stdout.contains("table ip6 srv6pipes"));
    let (ended, _) = router.service("doctor");
    assert!(ended.stdout.starts_with("feature "), "{ended:?}");
    let (ended, _) = router.service("status");
    assert!(ended.with(1).stderr.contains("no srv6pipes runs"));
}
