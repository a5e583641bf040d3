//! The plugin for rpcd, as far as it can be read: Debian has no ucode to run it with.

use srv6pipes::config::schema::{Absent, CONTROL_SOCKET};
use srv6pipes::control::proto::Request;

use crate::files::{root, text};

fn plugin() -> String {
    text(&root().join("files/usr/share/rpcd/ucode/srv6pipes.uc"))
}

/// The methods of the object, as the plugin returns them.
fn methods(plugin: &str) -> Vec<&str> {
    let (_, object) = plugin.split_once("\t'luci.srv6pipes': {\n").unwrap();
    let lines = object.lines().take_while(|line| *line != "\t}");
    let names = lines.filter_map(|line| line.strip_prefix("\t\t")?.strip_suffix(": {"));
    names.filter(|name| !name.starts_with('\t')).collect()
}

#[test]
fn the_list_of_rights_names_every_method_once() {
    let acl = text(&root().join("files/usr/share/rpcd/acl.d/srv6pipes.json"));
    let acl: serde_json::Value = serde_json::from_str(&acl).unwrap();
    let right = |kind: &str| -> Vec<String> {
        let names = acl["srv6pipes"][kind]["ubus"]["luci.srv6pipes"].as_array();
        let names = names.unwrap().iter();
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(right("read"), ["status", "flows", "doctor"]);
    assert_eq!(right("write"), ["reload"], "what changes something");
    let plugin = plugin();
    let all = [right("read"), right("write")].concat();
    assert_eq!(methods(&plugin), all);
}

#[test]
fn it_asks_what_the_daemon_answers() {
    let plugin = plugin();
    for request in Request::ALL {
        let asked = format!("ask('{}', ", request.word());
        assert!(plugin.contains(&asked), "{asked}");
    }
    let Absent::Default(path) = CONTROL_SOCKET.absent else {
        panic!("the socket has a default");
    };
    assert!(plugin.contains(&format!("'{path}'")));
}
