//! Every stock function keeps its promises, as tests/stock-functions.list sets it up.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::check::check;
use crate::harness::proxy::modules;
use crate::modules::{TempDir, trustworthy};

const LIST: &str = include_str!("../stock-functions.list");

/// Module, function and words of each line.
fn lines() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>)> {
    let lines = LIST.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let mut words = line.split_whitespace();
        (
            words.next().unwrap(),
            words.next().unwrap(),
            words.collect(),
        )
    })
}

#[test]
fn every_stock_function_keeps_its_promises() {
    let dir = TempDir::new();
    let folder = dir.join("folder");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let keys = dir.join("keys");
    fs::write(&keys, format!("7 {:064x}\n", 0x5eed_u64)).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    let here = |word: &str| {
        word.replace("KEYS", keys.to_str().unwrap())
            .replace("FOLDER", folder.to_str().unwrap())
    };
    for (module, function, words) in lines() {
        // They want files of root's, and a user to become.
        if ["seal", "record", "exec"].contains(&module) && !crate::harness::is_root() {
            continue;
        }
        let name = format!("lib{module}.so");
        let file = dir.join(&name);
        if !cfg!(feature = "builtin-modules") {
            fs::copy(modules().join(&name), &file).unwrap();
            trustworthy(&file);
        }
        let words = words.into_iter().map(here);
        let words = ["--function".to_owned(), function.to_owned()]
            .into_iter()
            .chain(words);
        let ended = check(&file, words);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let text = ended.text();
        assert!(
            text.contains(&format!("{function} keeps its promises in all ")),
            "{text}"
        );
        assert!(!text.contains("could not be compared"), "{text}");
        assert!(!text.contains("It let nothing through"), "{text}");
    }
}

#[test]
fn no_stock_function_is_forgotten() {
    let listed: BTreeSet<&str> = lines().map(|(module, ..)| module).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vnf-modules");
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_module = entry.path().join("Cargo.toml").exists()
            && name != "srv6pipes-vnf"
            && !name.starts_with("template-");
        if is_module {
            there.insert(name);
        }
    }
    let listed: BTreeSet<String> = listed.into_iter().map(str::to_owned).collect();
    assert_eq!(listed, there);
}

#[cfg(feature = "builtin-modules")]
#[test]
fn what_is_not_inside_is_refused_with_what_is() {
    use crate::program::{end, program};
    let dir = TempDir::new();
    let file = dir.join("libmine.so");
    // That it exists changes nothing.
    fs::write(&file, b"").unwrap();
    for word in ["check", "run", "bench"] {
        let ended = end(program([word]).arg(&file), b"");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let text = format!(
            "{} is not in this build of srv6pipes, which loads no files and has only: libbalance.so, ",
            file.display()
        );
        assert!(ended.stderr.contains(&text), "{ended:?}");
    }
}
