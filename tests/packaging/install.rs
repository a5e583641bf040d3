//! Install, upgrade and remove into a folder, as the image builder does: what arrives, which script
//! is told what, whose changes stay.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::root;
use crate::modules::{TempDir, run};
use crate::recipe::{file_name, ipk, package, refused, unpack};

/// A root file system to be, with base-files' two functions, which say that they were called.
pub struct Target {
    dir: TempDir,
}

impl Target {
    pub fn new() -> Self {
        let dir = TempDir::new();
        fs::create_dir_all(dir.join("root/lib")).unwrap();
        let said = |name: &str| {
            format!(
                "{name}() {{ echo \"{name} $2 up=$PKG_UPGRADE root=$IPKG_INSTROOT\" >> \"$PKG_ROOT/said\"; }}\n"
            )
        };
        let functions = said("default_postinst") + &said("default_prerm");
        fs::write(dir.join("root/lib/functions.sh"), functions).unwrap();
        Self { dir }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn install(&self, package: &Path) -> Command {
        let mut command = unpack();
        command.arg(package).arg(self.root());
        command
    }

    fn remove(&self, name: &str) -> Command {
        let mut command = unpack();
        command.args(["--remove", name]).arg(self.root());
        command
    }

    /// What scripts were told since the last time.
    fn said(&self) -> String {
        let said = self.text("said");
        fs::remove_file(self.path("said")).unwrap();
        said.replace(self.root().to_str().unwrap(), "ROOT")
    }
}

/// The daemon's package of the next release, whose configuration has one line more.
fn next(dir: &TempDir) -> PathBuf {
    let line = r#"
        mkdir control data
        tar -xzOf "$1" ./control.tar.gz | tar -xz -C control
        tar -xzOf "$1" ./data.tar.gz | tar -xz -C data
        echo '# next' >> data/etc/config/srv6pipes
        rm data/etc/capabilities/srv6pipes.json
        pack() { tar --format=gnu --numeric-owner --owner=0 --group=0 --sort=name "$@"; }
        pack -cf data.tar -C data .
        sed -i "s/-r1$/-r2/; s/^Installed-Size.*/Installed-Size: $(wc -c < data.tar)/" control/control
        gzip data.tar
        pack -czf control.tar.gz -C control .
        echo 2.0 > debian-binary
        pack -czf "$2" ./debian-binary ./data.tar.gz ./control.tar.gz"#;
    let name = file_name("srv6pipes").replace("-r1_", "-r2_");
    run(Command::new("bash")
        .current_dir(dir.path())
        .args(["-e", "-o", "pipefail", "-c", line, "bash"])
        .arg(package("srv6pipes"))
        .arg(&name));
    dir.join(name)
}

#[test]
fn what_is_installed_can_be_removed() {
    let target = Target::new();
    let (daemon, xor) = (package("srv6pipes"), package("srv6pipes-mod-xor"));

    let text = refused(&mut target.install(&xor));
    assert!(
        text.contains("depends on srv6pipes, which is not installed"),
        "{text}"
    );
    assert!(!target.has("usr"));

    run(&mut target.install(&daemon));
    assert_eq!(target.said(), "default_postinst configure up=0 root=ROOT\n");
    run(&mut target.install(&xor));
    assert_eq!(target.said(), "default_postinst configure up=0 root=ROOT\n");
    let list = target.text("usr/lib/opkg/info/srv6pipes-mod-xor.list");
    assert_eq!(list, "/usr/lib/srv6pipes/libxor.so\n");
    assert!(target.has("usr/lib/srv6pipes/libxor.so"));

    let text = refused(&mut target.remove("srv6pipes"));
    assert!(
        text.contains("srv6pipes-mod-xor depends on srv6pipes"),
        "{text}"
    );
    assert!(target.has("usr/sbin/srv6pipes"));

    run(&mut target.remove("srv6pipes-mod-xor"));
    run(&mut target.remove("srv6pipes"));
    assert_eq!(
        target.said(),
        "default_prerm remove up=0 root=ROOT\n".repeat(2)
    );
    let left = run(Command::new("find")
        .arg(target.root())
        .args(["-type", "f", "-size", "+0"]));
    assert_eq!(
        left,
        format!("{}\n", target.path("lib/functions.sh").display())
    );

    let text = refused(&mut target.remove("srv6pipes"));
    assert!(text.contains("there is no package srv6pipes"), "{text}");
}

#[test]
fn an_upgrade_keeps_a_configuration_that_was_changed() {
    let target = Target::new();
    let dir = TempDir::new();
    let next = next(&dir);
    let config = "etc/config/srv6pipes";
    run(&mut target.install(&package("srv6pipes")));
    let shipped = target.text(config);
    fs::write(target.path(config), "# mine\n").unwrap();
    target.said();

    run(&mut target.install(&next));
    assert_eq!(
        target.said(),
        "default_prerm upgrade up=1 root=ROOT\ndefault_postinst configure up=1 root=ROOT\n"
    );
    assert_eq!(target.text(config), "# mine\n");
    assert_eq!(
        target.text("etc/config/srv6pipes-opkg"),
        shipped + "# next\n"
    );
    assert!(target.text("usr/lib/opkg/status").contains("-r2\n"));
    assert!(!target.text("usr/lib/opkg/status").contains("-r1\n"));
    assert!(
        !target.has("etc/capabilities/srv6pipes.json"),
        "the next one has it no more"
    );

    run(&mut target.remove("srv6pipes"));
    assert_eq!(target.text(config), "# mine\n");
}

#[test]
fn an_upgrade_brings_the_configuration_that_nobody_changed() {
    let target = Target::new();
    let dir = TempDir::new();
    run(&mut target.install(&package("srv6pipes")));
    run(&mut target.install(&next(&dir)));
    assert!(target.text("etc/config/srv6pipes").ends_with("# next\n"));
    assert!(!target.has("etc/config/srv6pipes-opkg"));
    run(&mut target.remove("srv6pipes"));
    assert!(!target.has("etc/config/srv6pipes"));
}

/// Sysupgrade puts the kept configuration there before the package is installed again.
#[test]
fn a_configuration_that_was_there_before_stays() {
    let target = Target::new();
    fs::create_dir_all(target.path("etc/config")).unwrap();
    fs::write(target.path("etc/config/srv6pipes"), "# kept\n").unwrap();
    run(&mut target.install(&package("srv6pipes")));
    assert_eq!(target.text("etc/config/srv6pipes"), "# kept\n");
    assert!(target.has("etc/config/srv6pipes-opkg"));
}

#[test]
fn a_file_of_another_package_is_not_overwritten() {
    let target = Target::new();
    fs::create_dir_all(target.path("usr/lib/opkg/info")).unwrap();
    fs::create_dir_all(target.path("usr/sbin")).unwrap();
    fs::write(
        target.path("usr/lib/opkg/info/other.list"),
        "/usr/sbin/srv6pipes\n",
    )
    .unwrap();
    fs::write(target.path("usr/sbin/srv6pipes"), "other's").unwrap();
    let text = refused(&mut target.install(&package("srv6pipes")));
    assert!(
        text.contains("brings /usr/sbin/srv6pipes, which other has brought already"),
        "{text}"
    );
    assert_eq!(target.text("usr/sbin/srv6pipes"), "other's");
    assert!(!target.has("etc"));
}

#[test]
fn a_script_that_fails_is_named() {
    let target = Target::new();
    run(&mut target.install(&package("srv6pipes")));
    fs::write(
        target.path("lib/functions.sh"),
        "default_prerm() { return 3; }\n",
    )
    .unwrap();
    let text = refused(&mut target.remove("srv6pipes"));
    assert!(
        text.contains("prerm of srv6pipes failed: nothing was removed"),
        "{text}"
    );
    assert!(target.has("usr/sbin/srv6pipes"));
    let dir = TempDir::new();
    let text = refused(&mut target.install(&next(&dir)));
    assert!(
        text.contains("prerm of the installed srv6pipes failed: nothing was changed"),
        "{text}"
    );
    assert!(target.text("usr/lib/opkg/status").contains("-r1\n"));
}

/// On a full disk, that is.
#[test]
fn what_does_not_fit_leaves_nothing_behind() {
    let target = Target::new();
    let dir = TempDir::new();
    // The program is what does not fit.
    let from = dir.join("from");
    fs::create_dir(&from).unwrap();
    crate::recipe::built(&from);
    let mut program = fs::read(from.join("srv6pipes")).unwrap();
    program.resize(1 << 20, 0);
    fs::write(from.join("srv6pipes"), program).unwrap();
    run(&mut ipk(crate::recipe::ARCH, &from, &dir.join("to")));

    // Only the root file system is small: what is taken apart before lies elsewhere.
    let script = r#"
        set -e
        mount -t tmpfs -o size=256k tmpfs "$1/root"
        "$2" "$3" "$1/root" && exit 1
        find "$1/root" -type f"#;
    if !crate::harness::is_root() {
        return;
    }
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(target.dir.path())
        .arg(root().join("cross/unpack.sh"))
        .arg(dir.join("to").join(file_name("srv6pipes")))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("nothing was changed"), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
