//! Packages that opkg would stumble over, made of a good one: cross/unpack.sh refuses each and says
//! why, and nothing of them arrives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::modules::{TempDir, run};
use crate::recipe::{ARCH, file_name, package, refused, unpack};

/// How a package goes wrong: a line of shell, and what the refusal says.
///
/// The line runs between taking the good package apart and putting it together, in a folder with
/// `control/` and `data/`; `OUTER`, `CONTROL` and `DATA` are more words for tar.
const CASES: &[(&str, &str)] = &[
    ("rm control/control", "has no control file"),
    (
        "sed -i /^Version/d control/control",
        "needs one field Version",
    ),
    (
        "sed -i 's/^Section:.*/Section:/' control/control",
        "field Section is empty",
    ),
    (
        "sed -i '/^Package/p' control/control",
        "needs one field Package",
    ),
    (
        "echo nonsense >> control/control",
        "neither a field nor a continuation",
    ),
    (
        "sed -i 's/^Package:.*/Package: Srv6Pipes/' control/control",
        "name 'Srv6Pipes' is not allowed",
    ),
    (
        "sed -i 's/^Version:.*/Version: v0.1/' control/control",
        "version 'v0.1' is not allowed",
    ),
    (
        "sed -i 's/^Version:.*/Version: 0.2.0-r1/' control/control",
        "calls for the name",
    ),
    (
        "sed -i 's/^Installed-Size:.*/Installed-Size: 1/' control/control",
        "Installed-Size is 1",
    ),
    (
        "echo more >> data/etc/config/srv6pipes; head -c 20000 /dev/zero > data/etc/more",
        "Installed-Size is",
    ),
    ("chmod -x control/postinst", "postinst is not executable"),
    (
        "sed -i 1d control/prerm",
        "prerm does not begin with #!/bin/sh",
    ),
    (
        "echo 'if' >> control/postrm",
        "script has mistakes: postrm: ",
    ),
    (
        "sed -i /default_postinst/d control/postinst",
        "does not call default_postinst",
    ),
    ("rm control/prerm", "does not call default_prerm"),
    (
        "touch control/postinstall",
        "'postinstall', which OpenWrt does not know",
    ),
    (
        "echo /etc/config/other >> control/conffiles",
        "conffile '/etc/config/other' is not in",
    ),
    ("chmod g+w data/usr/sbin/srv6pipes", "others may write it"),
    ("chmod o+w data/usr/lib/srv6pipes", "others may write it"),
    ("chmod u+s data/usr/sbin/srv6pipes", "special mode"),
    (
        "ln data/usr/sbin/srv6pipes data/usr/sbin/again",
        "neither file, folder nor",
    ),
    ("mkfifo data/etc/fifo", "neither file, folder nor"),
    (
        "n=$(printf %0100d 1); echo > data/etc/$n",
        "longer than the header",
    ),
    ("DATA=--owner=1000", "belongs to 1000/0"),
    ("DATA=--transform=s,^./,,", "does not begin with ./"),
    (
        "DATA=--transform=s,^./etc/config/srv6pipes,./../srv6pipes, ",
        // Of such a path busybox shows the end only.
        "does not begin with ./",
    ),
    (
        "DATA='--transform=s,30-srv6pipes.nft,x, --transform=s,chain-pre/input,chain-pre/output,'",
        "there twice",
    ),
    (
        "DATA=--no-recursion; EXTRA='./etc/config/srv6pipes'",
        "without its folder",
    ),
    ("DATA='--format=pax --pax-option=a:=b'", "extended format"),
    ("DATA=--format=v7", "no tar archive of the ustar kind"),
    (
        "OUTER='./control.tar.gz ./debian-binary ./data.tar.gz'",
        "not './debian-binary",
    ),
    (
        "OUTER='./debian-binary ./data.tar.gz'",
        "not './debian-binary",
    ),
    (
        "OUTER='./debian-binary ./data.tar.gz ./control.tar.gz ./extra'; echo > extra",
        "not './debian-binary",
    ),
    ("BINARY=1.0", "debian-binary does not say 2.0"),
    ("ZIP=cat", "gzip cannot read data.tar.gz"),
    ("AFTER='truncate -s 3000'", "is damaged"),
    ("AFTER='truncate -s 0'", "is not compressed by gzip"),
    ("AR=yes", "is not compressed by gzip"),
];

const REPACK: &str = r#"
set -euo pipefail
cd "$1"
OUTER='./debian-binary ./data.tar.gz ./control.tar.gz'
DATA= EXTRA= BINARY=2.0 AFTER=true ZIP='gzip -n' AR=
eval "$2"
pack() { tar --format=gnu --numeric-owner --owner=0 --group=0 --sort=name --mtime=@1 "$@"; }
pack -cf control.tar -C control . && gzip -n control.tar
# shellcheck disable=SC2086
pack -cf data.tar $DATA -C data . $EXTRA
$ZIP < data.tar > data.tar.gz
echo "$BINARY" > debian-binary
if [[ $AR ]]; then
    ar rc "$3" debian-binary control.tar.gz data.tar.gz
else
    # shellcheck disable=SC2086
    pack -cf - $OUTER | gzip -n > "$3"
fi
$AFTER "$3"
"#;

/// Takes the daemon's package apart below `dir`.
fn apart(dir: &Path) {
    for part in ["control", "data"] {
        let line = r#"mkdir "$2/$3"; tar -xzOf "$1" "./$3.tar.gz" | tar -xz -C "$2/$3""#;
        run(Command::new("bash")
            .args(["-e", "-o", "pipefail", "-c", line, "bash"])
            .arg(package("srv6pipes"))
            .arg(dir)
            .arg(part));
    }
}

/// The daemon's package after `line`, which is not where the good one is, but has its name.
fn repacked(dir: &TempDir, line: &str) -> PathBuf {
    apart(dir.path());
    let to = dir.join(file_name("srv6pipes"));
    run(Command::new("bash")
        .args(["-c", REPACK, "bash"])
        .arg(dir.path())
        .arg(line)
        .arg(&to));
    to
}

/// Without this the cases would show nothing.
#[test]
fn a_package_that_is_only_packed_anew_passes() {
    let dir = TempDir::new();
    run(unpack().arg("--check").arg(repacked(&dir, "true")));
}

#[test]
fn each_broken_package_is_refused() {
    for (line, why) in CASES {
        let dir = TempDir::new();
        let package = repacked(&dir, line);
        let text = refused(unpack().arg("--check").arg(&package));
        assert!(text.contains(why), "after {line}: {text}");

        let target = dir.join("root");
        fs::create_dir(&target).unwrap();
        assert_eq!(refused(unpack().arg(&package).arg(&target)), text, "{line}");
        let arrived = fs::read_dir(&target).unwrap().count();
        assert_eq!(arrived, 0, "after {line}");
    }
}

#[test]
fn a_package_for_another_machine_is_refused() {
    let mut command = unpack();
    command
        .arg("--check")
        .arg(package("srv6pipes"))
        .env("ARCH", "mipsel_24kc");
    let text = refused(&mut command);
    assert!(
        text.contains(&format!("is for {ARCH}, and this machine is mipsel_24kc")),
        "{text}"
    );
}

#[test]
fn a_package_that_is_not_there_is_named() {
    let text = refused(unpack().args(["--check", "/nowhere/srv6pipes.ipk"]));
    assert!(
        text.contains("there is no file /nowhere/srv6pipes.ipk"),
        "{text}"
    );
}
