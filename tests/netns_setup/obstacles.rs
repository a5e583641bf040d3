//! What is in the way is named and left alone, and nothing is changed.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use srv6pipes::setup::Setup;

use crate::lab::{BACKWARDS, Folder, apply, config, in_namespace, picture, run, saved_syn};

/// Makes the obstacle, tries to set up, and hands back the error.
fn refused(obstacle: &str) -> String {
    if !obstacle.is_empty() {
        run(obstacle);
    }
    let folder = Folder::new();
    let before = picture();
    let error = Setup::apply(saved_syn(&config()), &folder.journal()).unwrap_err();
    assert_eq!(picture(), before);
    assert!(folder.is_empty());
    error.to_string()
}

#[test]
fn things_we_did_not_make_are_named() {
    for (obstacle, named, look) in [
        (
            "ip link add nfv0 type bridge",
            "device nfv0",
            "ip -d link show nfv0",
        ),
        (
            "nft add table ip6 srv6pipes",
            "table srv6pipes",
            "nft list table ip6 srv6pipes",
        ),
        (
            "ip -6 rule add pref 1001 lookup main",
            "preference 1001",
            "ip -6 rule",
        ),
        (
            "ip -6 rule add pref 1100 from fd00::/8 lookup main",
            "preference 1100",
            "ip -6 rule",
        ),
        (
            "ip -6 rule add pref 1002 type nop protocol 43",
            "preference 1002",
            "ip -6 rule",
        ),
        (
            "ip -6 route add local ::/0 dev lo table 5000",
            "local ::/0 dev lo table 5000",
            "ip -6 route show table 5000",
        ),
    ] {
        in_namespace(move || {
            let error = refused(obstacle);
            assert!(error.contains(named) && error.contains(look), "{error}");
        });
    }
}

#[test]
fn a_missing_device_is_named_with_its_line() {
    in_namespace(|| {
        let error = refused("ip link delete p0");
        assert_eq!(error, "line 10: there is no device p0");
    });
}

#[test]
fn without_a_loopback_device_nothing_is_begun() {
    in_namespace(|| {
        let error = refused("ip link set lo down");
        assert!(error.contains("device lo is down"), "{error}");
    });
}

#[test]
fn a_step_that_fails_takes_the_others_back() {
    in_namespace(|| {
        let folder = Folder::new();
        let mut config = config();
        config.policies[0].ports = vec![BACKWARDS];
        let before = picture();
        let error = Setup::apply(saved_syn(&config), &folder.journal()).unwrap_err();
        assert!(error.to_string().contains("nft -f -: "), "{error}");
        assert_eq!(picture(), before);
        assert!(folder.is_empty());
    });
}

#[test]
fn without_a_journal_nothing_is_begun() {
    in_namespace(|| {
        let before = picture();
        let path = std::path::Path::new("/proc/no/such/place");
        let error = Setup::apply(saved_syn(&config()), path).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("/proc/no/such/place"), "{text}");
        assert!(text.contains("No such file"), "{text}");
        assert_eq!(picture(), before);
    });
}

#[test]
fn a_full_disk_and_a_read_only_one_are_noticed_before_anything_is_begun() {
    in_namespace(|| {
        let folder = Folder::new();
        let journal = folder.journal();
        let place = journal.parent().unwrap();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let tmpfs = Some("tmpfs");
        mount(tmpfs, place, tmpfs, MsFlags::empty(), Some("size=64k")).unwrap();
        // Until the disk is full: it is the failure that is wanted here.
        std::fs::write(place.join("filler"), vec![0; 256 * 1024]).unwrap_err();
        let before = picture();
        let refused = |words: &str| {
            let error = Setup::apply(saved_syn(&config()), &journal).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(words), "{text}");
            assert!(text.contains(&*journal.to_string_lossy()), "{text}");
            assert_eq!(picture(), before);
        };
        refused("No space left on device");
        std::fs::remove_file(place.join("filler")).unwrap();
        let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(tmpfs, place, tmpfs, read_only, none).unwrap();
        refused("Read-only file system");
        // The folder can only be removed without its guest.
        umount(place).unwrap();
    });
}

#[test]
fn a_second_instance_is_told_of_the_first() {
    in_namespace(|| {
        let folder = Folder::new();
        let _first = apply(&config(), &folder);
        let during = picture();
        let error = Setup::apply(saved_syn(&config()), &folder.journal()).unwrap_err();
        let pid = format!("process {} ", std::process::id());
        assert!(error.to_string().contains(&pid), "{error}");
        let errors = srv6pipes::setup::clean(&folder.journal()).unwrap_err();
        assert!(errors[0].to_string().contains(&pid), "{errors:?}");
        assert_eq!(picture(), during);
    });
}

#[test]
fn a_journal_that_others_can_write_is_not_believed() {
    in_namespace(|| {
        let before = picture();
        let refused = |prepare: &dyn Fn(&std::path::Path)| {
            let folder = Folder::new();
            prepare(&folder.journal());
            let error = Setup::apply(saved_syn(&config()), &folder.journal()).unwrap_err();
            let cleaned = srv6pipes::setup::clean(&folder.journal()).unwrap_err();
            assert_eq!(picture(), before);
            format!("{error} {cleaned:?}")
        };
        let theirs = refused(&|journal| {
            std::fs::write(journal, "link p0\n").unwrap();
            chown(journal, Some(65534), None).unwrap();
        });
        assert!(theirs.contains("belongs to somebody else"), "{theirs}");
        let open = refused(&|journal| {
            std::fs::write(journal, "link p0\n").unwrap();
            std::fs::set_permissions(journal, Permissions::from_mode(0o666)).unwrap();
        });
        assert!(open.contains("somebody else may write it"), "{open}");
        let link = refused(&|journal| symlink("/etc/hostname", journal).unwrap());
        assert!(link.contains("Too many levels of symbolic links"), "{link}");
    });
}
