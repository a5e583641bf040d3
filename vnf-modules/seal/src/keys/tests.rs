//! Key files that are right, wrong, or somebody else's.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{MAX_FILE, load};

/// A key file in a folder of its own, gone when dropped.
pub struct KeyFile(PathBuf);

impl KeyFile {
    pub fn new(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("srv6pipes-keys-{}-{n}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let file = Self(folder.join("keys"));
        fs::write(&file.0, text).unwrap();
        file.allow(0o600);
        file
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn allow(&self, mode: u32) {
        fs::set_permissions(&self.0, Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn complaints(text: &str) -> Vec<String> {
    let file = KeyFile::new(text);
    let mistakes = load(file.path()).unwrap_err();
    mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn ids_and_keys_with_comments_between_them() {
    let (one, two) = ("00ff".repeat(16), "AbCd".repeat(16));
    let file = KeyFile::new(&format!(
        "# keys\n\n 0 {one}# none too small\n0xffffffff\t{two}\r\n42 {one}"
    ));
    let keys = load(file.path()).unwrap();
    let mut ids: Vec<_> = keys.keys().copied().collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 42, 0xffff_ffff]);
}

#[test]
fn every_wrong_line_is_told_with_its_number_and_without_its_text() {
    let key = "5e".repeat(32);
    let told = complaints(&format!(
        "1 {key}\n{key}\n1 {key}\n-2 {key}\n3 {key}0\n4\n5 {key} {key}\n4294967296 {key}\n\
         6 +{}\n7 {}g\n0x {key}\n",
        "5e".repeat(31) + "5",
        &key[1..],
    ));
    assert_eq!(
        told,
        [
            "line 2: begins with no key id, a number from 0 to 4294967295",
            "line 3: key 1 is on line 1, too",
            "line 4: begins with no key id, a number from 0 to 4294967295",
            "line 5: the key must be 64 hexadecimal digits",
            "line 6: must be an id and a key, and nothing else",
            "line 7: must be an id and a key, and nothing else",
            "line 8: begins with no key id, a number from 0 to 4294967295",
            "line 9: the key must be 64 hexadecimal digits",
            "line 10: the key must be 64 hexadecimal digits",
            "line 11: begins with no key id, a number from 0 to 4294967295",
        ]
    );
    assert!(!told.concat().contains("5e5e"));
}

#[test]
fn a_file_of_nonsense_does_not_flood_the_operator() {
    let told = complaints(&"nonsense\n".repeat(1000));
    assert_eq!(told.len(), 33);
    assert_eq!(told[32], "and 968 more lines are wrong");
    assert_eq!(complaints("# none yet\n"), ["there is no key in the file"]);
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let file = KeyFile::new(&format!("1 {}", "5e".repeat(32)));
    for mode in [0o644, 0o640, 0o602, 0o601] {
        file.allow(mode);
        let told = load(file.path()).unwrap_err()[0].to_string();
        assert!(told.contains(&format!("mode {mode:04o}")), "{told}");
        assert!(told.contains("chmod 600"), "{told}");
    }
    file.allow(0o400);
    assert!(load(file.path()).is_ok());
}

#[test]
fn a_file_of_another_user_is_refused() {
    let file = KeyFile::new(&format!("1 {}", "5e".repeat(32)));
    if std::os::unix::fs::chown(file.path(), Some(65_534), None).is_err() {
        // Only root can give a file away.
        return;
    }
    let told = load(file.path()).unwrap_err()[0].to_string();
    assert!(told.contains("owner 65534"), "{told}");
}

#[test]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let file = KeyFile::new("");
    let folder = file.path().parent().unwrap();
    let told = |path: &Path| load(path).unwrap_err()[0].to_string();
    let link = folder.join("link");
    symlink(file.path(), &link).unwrap();
    assert!(told(&link).contains("is a symbolic link"));
    let pipe = folder.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(told(&pipe).contains("is not a regular file"));
    assert!(told(folder).contains("is not a regular file"));
    let none = folder.join("none");
    let advice = told(&none);
    let (_, command) = advice.split_once("to make one: ").unwrap();
    let made = Command::new("sh").arg("-c").arg(command).status();
    assert!(made.unwrap().success(), "{command}");
    assert_eq!(load(&none).unwrap().len(), 1, "the advice is good");
    assert_eq!(told(Path::new("keys")), "must begin with /");
    fs::write(file.path(), vec![b'#'; MAX_FILE + 1]).unwrap();
    assert!(told(file.path()).contains("is longer than 65536 bytes"));
}
