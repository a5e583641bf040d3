//! On a machine whose root file system the packages go to: scripts run without IPKG_INSTROOT, and
//! the feed's test.sh finds programs and modules where they were put.
//!
//! The machine is this one: its file system with a layer above it, for one shell. Into the installed
//! files' places go the programs of this build, since a router's would not run here.

use std::fs;
use std::process::Command;

use crate::files::root;
use crate::harness::{is_root, proxy};
use crate::modules::{TempDir, run};
use crate::recipe::{names, packages, variable};

#[test]
fn the_feed_s_test_passes_on_a_machine_that_has_the_packages() {
    if !is_root() {
        return;
    }
    let dir = TempDir::new();
    let mut command = Command::new("unshare");
    command
        .arg("--mount")
        .arg(root().join("tests/packaging/machine.sh"))
        .args([dir.path(), &root(), packages(), &proxy::modules()])
        .arg(variable("PKG_VERSION"))
        .args(names());
    let text = run(&mut command);
    assert_eq!(
        text.matches("postinst root=unset /").count(),
        names().len(),
        "{text}"
    );
    // rpcd learns of its new plugin, once: the other packages have none.
    assert_eq!(text.matches("rpcd reload").count(), 1, "{text}");
    assert!(
        text.contains(concat!("srv6pipes ", env!("CARGO_PKG_VERSION"), "\n")),
        "{text}"
    );
    for sign in [
        "== srv6pipes-mod-copy\npostinst root=unset /\nsome bytes\n",
        "some other bytes",
    ] {
        assert!(text.contains(sign), "{text}");
    }
    assert!(
        !fs::exists("/usr/lib/opkg/info/srv6pipes.list").unwrap(),
        "it is in the layer only"
    );
}
