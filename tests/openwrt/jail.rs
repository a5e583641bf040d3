//! When the service runs in a jail, and what is to be seen from there.

use crate::files::{root, text};
use crate::harness::lab;
use crate::router::{Router, SHELLS};
use crate::{config, function};

/// The lines that are about a jail.
fn jail(record: &[String]) -> Vec<&str> {
    let about = ["jail", "capabilities", "no_new_privs"];
    let lines = record.iter().map(String::as_str);
    lines
        .filter(|line| about.iter().any(|word| line.contains(word)))
        .collect()
}

#[test]
fn three_capabilities_and_no_more() {
    let file = text(&root().join("files/etc/capabilities/srv6pipes.json"));
    let sets: serde_json::Value = serde_json::from_str(&file).unwrap();
    let sets = sets.as_object().unwrap();
    let names: Vec<_> = sets.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ambient",
            "bounding",
            "effective",
            "inheritable",
            "permitted"
        ]
    );
    for set in sets.values() {
        let ours = ["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW"];
        assert_eq!(*set, serde_json::json!(ours));
    }
}

#[test]
fn where_there_is_one_each_file_is_shown_by_its_name() {
    let Some(lab) = lab(1) else { return };
    for shell in SHELLS {
        let router = Router::new(&lab, 1, shell);
        for name in ["xor", "firewall", "seal", "record"] {
            router.add_module(name);
        }
        router.add_ujail();
        router.write("etc/srv6pipes/blocklist", "ads.example\n");
        router.write("etc/seal.keys", &format!("7 {}\n", "5a".repeat(32)));
        restrict(&router.path("etc/seal.keys"));
        std::fs::create_dir_all(router.path("mnt/usb/flows")).unwrap();
        restrict(&router.path("mnt/usb/flows"));
        let sections = function(1, "xor", "")
            + &function(
                2,
                "firewall",
                "list block_names_file '/etc/srv6pipes/blocklist'",
            )
            + &function(3, "seal", "option keys '/etc/seal.keys'")
            + &function(4, "record", "option folder '/mnt/usb/flows'")
            + &function(5, "xor", "");
        router.configure(&config("", &sections));
        let (ended, record) = router.service("start");
        assert_eq!(ended.with(0).stderr, "");
        assert_eq!(
            jail(&record),
            [
                "procd_add_jail [srv6pipes] [log] [procfs] [ronly]",
                "procd_set_param [capabilities] [/etc/capabilities/srv6pipes.json]",
                "procd_set_param [no_new_privs] [1]",
                "procd_add_jail_mount [/etc/config]",
                "procd_add_jail_mount [/usr/lib/srv6pipes]",
                "procd_add_jail_mount [/usr/lib/srv6pipes/libxor.so]",
                "procd_add_jail_mount [/usr/lib/srv6pipes/libfirewall.so]",
                "procd_add_jail_mount [/usr/lib/srv6pipes/libseal.so]",
                "procd_add_jail_mount [/usr/lib/srv6pipes/librecord.so]",
                "procd_add_jail_mount [/etc/srv6pipes]",
                "procd_add_jail_mount [/etc/seal.keys]",
                "procd_add_jail_mount_rw [/mnt/usb/flows]",
                "procd_add_jail_mount [/usr/sbin/nft]",
                "procd_add_jail_mount_rw [/var/run]",
                "procd_add_jail_mount_rw [/proc/sys/net]",
            ]
        );
    }
}

#[test]
fn there_is_none_without_ujail_or_without_the_list_of_capabilities() {
    let Some(lab) = lab(1) else { return };
    let router = Router::new(&lab, 1, SHELLS[0]);
    router.configure(&config("", ""));
    let (_, record) = router.service("start");
    assert_eq!(jail(&record), [""; 0]);
    router.add_ujail();
    std::fs::remove_file(router.path("etc/capabilities/srv6pipes.json")).unwrap();
    let (_, record) = router.service("start");
    assert_eq!(jail(&record), [""; 0]);
}

#[test]
fn what_cannot_work_in_a_jail_runs_without_one_and_says_so() {
    let Some(lab) = lab(1) else { return };
    let router = Router::new(&lab, 1, SHELLS[0]);
    router.add_ujail();
    router.add_module("exec");
    router.write("etc/passwd", "nobody:x:65534:65534::/:/bin/false\n");
    let exec = "list upstream '/bin/cat'\n\tlist downstream '/bin/cat'";
    router.configure(&config("", &function(1, "exec", exec)));
    let (ended, record) = router.service("start");
    assert!(ended.stderr.contains("function exec"), "{ended:#?}");
    assert_eq!(jail(&record), [""; 0]);
    assert!(record.contains(&"procd_close_instance".to_owned()));

    router.add_module("firewall");
    router.write("etc/srv6pipes/my list", "ads.example\n");
    let list = "list block_names_file '/etc/srv6pipes/my list'";
    router.configure(&config("", &function(1, "firewall", list)));
    let (ended, record) = router.service("start");
    assert_eq!(ended.stderr, "", "its folder can be mounted");
    assert!(record.contains(&"procd_add_jail_mount [/etc/srv6pipes]".to_owned()));

    router.write("etc/my srv6pipes/list", "ads.example\n");
    let list = "list block_names_file '/etc/my srv6pipes/list'";
    router.configure(&config("", &function(1, "firewall", list)));
    let (ended, record) = router.service("start");
    assert!(ended.stderr.contains("'/etc/my srv6pipes'"), "{ended:#?}");
    assert_eq!(jail(&record), [""; 0]);
}

/// For nobody but root.
fn restrict(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
