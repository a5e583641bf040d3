//! The packages that cross/ipk.sh makes, and what it refuses to make them of.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::files::root;
use crate::modules::{TempDir, run};
use crate::recipe::{
    ARCH, built, file_name, ipk, list, member, modules, names, package, packages, refused, unpack,
    variable,
};

#[test]
fn every_package_passes_the_check() {
    for name in names() {
        run(unpack()
            .arg("--check")
            .arg(package(&name))
            .env("ARCH", ARCH));
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dir = TempDir::new();
    let from = dir.join("from");
    fs::create_dir(&from).unwrap();
    built(&from);
    // Nothing of who makes them, where, when and with which umask is in them.
    let to = dir.join("to");
    let command = ipk(ARCH, &from, &to);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    run(Command::new("bash")
        .args([
            "-c",
            "umask 077; export TZ=Asia/Tokyo TMPDIR=$1; shift; exec \"$@\"",
            "bash",
        ])
        .arg(dir.path())
        .args(words)
        .env("SOURCE_DATE_EPOCH", "1700000000"));
    let mut compared = 0;
    for entry in fs::read_dir(packages()).unwrap() {
        let entry = entry.unwrap();
        let other = fs::read(to.join(entry.file_name())).unwrap();
        assert!(
            fs::read(entry.path()).unwrap() == other,
            "{:?}",
            entry.file_name()
        );
        compared += 1;
    }
    // Each package, and the index twice.
    assert_eq!(compared, names().len() + 2);
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "something was left behind: {left:?}");
}

#[test]
fn the_daemon_s_package_says_what_opkg_wants_to_know() {
    let control = member(&package("srv6pipes"), "control", "control");
    let fields: BTreeMap<_, _> = control
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect();
    assert_eq!(fields["Package"], "srv6pipes");
    assert_eq!(fields["Version"], concat!(env!("CARGO_PKG_VERSION"), "-r1"));
    assert_eq!(fields["Architecture"], ARCH);
    assert_eq!(fields["License"], env!("CARGO_PKG_LICENSE"));
    assert_eq!(fields["SourceDateEpoch"], "1700000000");
    assert!(fields["Depends"].starts_with("libc, nftables, kmod-nft-tproxy, "));
    // Conditions and what menuconfig selects are not for opkg.
    assert!(!fields["Depends"].contains(['@', '+', '|']), "{control}");
    // OpenWrt's order: opkg reads the description last.
    let order: Vec<_> = control
        .lines()
        .filter(|line| !line.starts_with(' '))
        .collect();
    assert!(
        order[order.len() - 1].starts_with("Description:  "),
        "{control}"
    );
}

#[test]
fn modes_are_those_of_a_router() {
    let files: BTreeMap<_, _> = list(&package("srv6pipes"))
        .into_iter()
        .map(|(mode, path)| (path, mode))
        .collect();
    assert_eq!(files["./usr/sbin/srv6pipes"], "-rwxr-xr-x");
    assert_eq!(files["./etc/config/srv6pipes"], "-rw-------");
    assert_eq!(files["./etc/init.d/srv6pipes"], "-rwxr-xr-x");
    assert_eq!(files["./usr/share/rpcd/acl.d/srv6pipes.json"], "-rw-r--r--");
    // The loader wants a folder that only root can write.
    assert_eq!(files["./usr/lib/srv6pipes/"], "drwxr-xr-x");
    for module in modules() {
        let name = format!("srv6pipes-mod-{module}");
        let files = list(&package(&name));
        let library = format!("./usr/lib/srv6pipes/lib{module}.so");
        assert!(files.contains(&("-rwxr-xr-x".into(), library)), "{files:?}");
    }
}

/// A conffile misspelt in the Makefile would silently become a path that sysupgrade keeps.
#[test]
fn what_is_kept_is_what_should_be() {
    let daemon = package("srv6pipes");
    assert_eq!(
        member(&daemon, "control", "conffiles"),
        "/etc/config/srv6pipes\n"
    );
    assert_eq!(
        member(&daemon, "data", "lib/upgrade/keep.d/srv6pipes"),
        "/etc/srv6pipes/\n"
    );
    // Where seal looks for its keys when its section names no file.
    let readme = fs::read_to_string(root().join("vnf-modules/seal/README.md")).unwrap();
    assert!(readme.contains("| `keys` | `/etc/srv6pipes/"));
    let others = names().into_iter().filter(|name| name != "srv6pipes");
    for name in others {
        let files = list(&package(&name));
        assert!(
            files
                .iter()
                .all(|(_, path)| !path.starts_with("./lib/upgrade")),
            "{files:?}"
        );
    }
}

#[test]
fn the_index_finds_every_package() {
    let index = fs::read_to_string(packages().join("Packages")).unwrap();
    let stanzas: Vec<_> = index
        .split("\n\n")
        .filter(|text| !text.trim().is_empty())
        .collect();
    assert_eq!(stanzas.len(), names().len());
    for stanza in stanzas {
        let field = |name: &str| {
            let line = stanza.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix(": "))
                .unwrap()
                .to_owned()
        };
        let file = packages().join(field("Filename"));
        assert_eq!(field("Filename"), file_name(&field("Package")));
        assert_eq!(
            field("Size"),
            fs::metadata(&file).unwrap().len().to_string()
        );
        let sum = run(Command::new("sha256sum").arg(&file));
        assert!(sum.starts_with(&field("SHA256sum")), "{sum}");
    }
    let unzipped = run(Command::new("gzip")
        .arg("-dc")
        .arg(packages().join("Packages.gz")));
    assert_eq!(unzipped, index);
}

/// As the Turris Omnia's feeds call it.
#[test]
fn the_omnia_s_packages_have_its_name() {
    let dir = TempDir::new();
    built(dir.path());
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        // e_machine of the ELF header: EM_ARM.
        bytes[18..20].copy_from_slice(&40_u16.to_le_bytes());
        fs::write(path, bytes).unwrap();
    }
    let to = dir.join("to");
    run(&mut ipk("armv7", dir.path(), &to));
    let name = format!(
        "srv6pipes_{}_arm_cortex-a9_vfpv3-d16.ipk",
        variable("VERSION")
    );
    let control = member(&to.join(name), "control", "control");
    assert!(
        control.contains("\nArchitecture: arm_cortex-a9_vfpv3-d16\n"),
        "{control}"
    );
}

#[test]
fn what_a_router_cannot_run_is_not_packed() {
    let dir = TempDir::new();
    let from = dir.join("from");
    let to = dir.join("to");
    let says = |target: &str, from: &Path| refused(&mut ipk(target, from, &to));
    assert!(says(ARCH, &from).contains("there is no folder"));
    fs::create_dir(&from).unwrap();
    assert!(says(ARCH, &from).contains("srv6pipes; type: cross/build.sh x86_64"));
    built(&from);
    assert!(says("armv7", &from).contains("not for ARM (armv7)"));
    assert!(says("vax", &from).contains("no target 'vax'"));

    let xor = from.join("libxor.so");
    let whole = fs::read(&xor).unwrap();
    fs::remove_file(&xor).unwrap();
    let text = says(ARCH, &from);
    assert!(
        text.contains("libxor.so") && text.contains("cannot be followed"),
        "{text}"
    );

    fs::write(&xor, "no ELF file").unwrap();
    assert!(says(ARCH, &from).contains("libxor.so is for 'no machine'"));

    // A library of this machine needs this machine's libc.
    let source = dir.join("puts.c");
    fs::write(
        &source,
        "int puts(const char *); int hello(void) { return puts(\"\"); }",
    )
    .unwrap();
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&xor, &source]));
    assert!(says(ARCH, &from).contains("libxor.so needs libc.so.6"));

    fs::write(&xor, whole).unwrap();
    let mut command = ipk(ARCH, &from, &to);
    command.env("SOURCE_DATE_EPOCH", "yesterday");
    assert!(refused(&mut command).contains("'yesterday', not seconds since 1970"));
    assert!(!to.exists(), "a refusal leaves no packages");
}

/// Old packages do not stay between new ones.
#[test]
fn packages_are_replaced_as_a_whole() {
    let dir = TempDir::new();
    built(dir.path());
    let to = dir.join("to");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("srv6pipes_0.0.1-r1_x86_64.ipk"), "").unwrap();
    run(&mut ipk(ARCH, dir.path(), &to));
    assert!(!to.join("srv6pipes_0.0.1-r1_x86_64.ipk").exists());
    let mode = fs::metadata(&to).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}
