//! openwrt/Makefile as text and as make reads it: against Cargo.toml, the tree, and the rules of
//! OpenWrt's packages feed (its CONTRIBUTING.md and .github/llm-review-rules.md).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use srv6pipes::setup::doctor;

use crate::files::{below, root};
use crate::recipe::{modules, names, variable};

/// Packages of OpenWrt that ours need or doctor names, each seen in 24.10 and later.
const KNOWN: &[&str] = &[
    // package/kernel/linux/modules/netfilter.mk
    "kmod-ipt-nfqueue",
    "kmod-nfnetlink-queue",
    "kmod-nft-compat",
    "kmod-nft-core",
    "kmod-nft-fib",
    "kmod-nft-queue",
    "kmod-nft-socket",
    "kmod-nft-tproxy",
    // package/kernel/linux/modules/netdevices.mk
    "kmod-dummy",
    // package/network/utils/nftables: what nftables-json, which firewall4 wants, provides
    "nftables",
    "nftables-json",
    // package/system/rpcd, package/utils/ucode
    "rpcd-mod-ucode",
    "ucode-mod-fs",
    "ucode-mod-socket",
    "ucode-mod-uci",
];

/// What only Debian's package takes.
const DEBIANS: [&str; 4] = [
    "files/completions",
    "files/debian",
    "files/man",
    "files/systemd",
];

fn text() -> String {
    fs::read_to_string(root().join("openwrt/Makefile")).unwrap()
}

/// What a package has to have beside it, without conditions.
fn dependencies(package: &str) -> Vec<String> {
    let words = variable(&format!("DEPENDS.{package}"));
    let words = words
        .split_whitespace()
        .filter(|word| !word.starts_with('@'));
    words
        .map(|word| word.trim_start_matches('+').to_owned())
        .collect()
}

#[test]
fn it_says_what_cargo_toml_says() {
    assert_eq!(variable("PKG_NAME"), env!("CARGO_PKG_NAME"));
    assert_eq!(variable("PKG_VERSION"), env!("CARGO_PKG_VERSION"));
    assert_eq!(variable("PKG_LICENSE"), env!("CARGO_PKG_LICENSE"));
    for file in variable("PKG_LICENSE_FILES").split_whitespace() {
        assert!(root().join(file).is_file(), "{file}");
    }
    let profile = format!("[profile.{}]", variable("CARGO_PKG_PROFILE"));
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.lines().any(|line| line == profile), "{profile}");
}

#[test]
fn every_module_has_its_package() {
    let mut expected: Vec<_> = modules()
        .iter()
        .map(|name| format!("srv6pipes-mod-{name}"))
        .collect();
    assert!(expected.len() > 10, "{expected:?}");
    expected.push("srv6pipes".to_owned());
    expected.sort();
    let mut names = names();
    names.sort();
    assert_eq!(names, expected);
}

#[test]
fn modules_are_built_where_they_are_taken_from() {
    let text = text();
    let directory =
        "MODULE_DIR=$(PKG_BUILD_DIR)/target/$(RUSTC_TARGET_ARCH)/$(CARGO_PKG_PROFILE)\n";
    assert!(text.contains(directory));
    let listed = variable("SRV6PIPES_MODULES");
    let listed: Vec<_> = listed.split_whitespace().collect();
    assert_eq!(listed, modules().into_iter().collect::<Vec<_>>());
    let compile = block(&text, "Build/Compile");
    assert!(
        compile.contains("\t$(call Build/Compile/Cargo,"),
        "{compile}"
    );
    assert!(compile.contains("$(SRV6PIPES_MODULES)"), "{compile}");
    let module = block(&text, "Build/Compile/Srv6pipesModule");
    for words in [
        "--profile $(CARGO_PKG_PROFILE)",
        "--package srv6pipes-$(1) ",
        "--crate-type cdylib",
        "$(CARGO_PKG_ARGS)\n\n",
    ] {
        assert!(module.contains(words), "{words}");
    }
}

/// The lines of a define.
fn block(text: &str, name: &str) -> String {
    let start = format!("define {name}\n");
    let from = text
        .find(&start)
        .unwrap_or_else(|| panic!("no define {name}"))
        + start.len();
    let length = text[from..].find("\nendef\n").unwrap() + 1;
    text[from..from + length].to_owned()
}

#[test]
fn it_is_written_by_the_rules_of_the_feed() {
    let text = text();
    assert!(text.starts_with("# SPDX-License-Identifier: Apache-2.0\n"));
    for (number, line) in (1..).zip(text.lines()) {
        let line_is = format!("line {number}: {line}");
        assert!(!line.ends_with([' ', '\t', '\r']), "{line_is}");
        let names_package = ["define", "$(call", "$(eval"]
            .iter()
            .any(|word| line.contains(word));
        assert!(
            !(names_package && line.contains("$(PKG_NAME)")),
            "{line_is}"
        );
    }
    for needed in [
        "PKG_RELEASE",
        "PKG_MAINTAINER",
        "PKG_HASH",
        "PKG_SOURCE_URL",
    ] {
        assert_ne!(variable(needed), "", "{needed}");
    }
    assert_eq!(variable("PKG_BUILD_DEPENDS"), "rust/host");
    // What becomes a file as it stands is not indented; a recipe begins with a tab.
    for name in [
        "srv6pipes/conffiles",
        "srv6pipes/postinst",
        "srv6pipes/postrm",
    ] {
        let block = block(&text, &format!("Package/{name}"));
        assert!(!block.starts_with([' ', '\t']), "{name}: {block}");
    }
    for line in block(&text, "Package/srv6pipes/install").lines() {
        assert!(line.starts_with('\t'), "{line}");
    }
}

#[test]
fn every_file_of_the_tree_is_installed() {
    let text = block(&text(), "Package/srv6pipes/install");
    let words = text.split_whitespace();
    let named = words.filter_map(|word| word.strip_prefix("$(PKG_BUILD_DIR)/"));
    let named: BTreeSet<_> = named.map(str::to_owned).collect();
    let there = below(&root().join("files"));
    let there = there.iter().map(|path| path.strip_prefix(root()).unwrap());
    let of_debian = |path: &&Path| DEBIANS.iter().any(|folder| path.starts_with(folder));
    let there: BTreeSet<_> = there
        .filter(|path| !of_debian(path))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, there);
}

/// A package's file goes where the tree has it below files/.
#[test]
fn every_file_goes_where_the_tree_has_it() {
    for line in block(&text(), "Package/srv6pipes/install").lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let Some(from) = words[1].strip_prefix("$(PKG_BUILD_DIR)/files") else {
            continue;
        };
        let folder = &from[..=from.rfind('/').unwrap()];
        assert_eq!(words[2], format!("$(1){folder}"));
    }
}

#[test]
fn dependencies_exist() {
    for package in names() {
        let depends = dependencies(&package);
        if package == "srv6pipes" {
            for name in &depends {
                assert!(KNOWN.contains(&name.as_str()), "{name}");
            }
        } else {
            assert_eq!(depends, ["srv6pipes"], "{package}");
        }
    }
    let conditions = variable("DEPENDS.srv6pipes");
    assert!(conditions.contains(" @IPV6"), "{conditions}");
}

/// `doctor` and the Makefile agree on what is needed.
#[test]
fn what_doctor_requires_comes_with_the_package() {
    let depends = dependencies("srv6pipes");
    for finding in doctor::probe() {
        for name in finding
            .openwrt
            .split_whitespace()
            .filter(|name| *name != "-")
        {
            assert!(KNOWN.contains(&name), "doctor names {name}");
            let comes = match name {
                // nftables-json provides nftables, which depends on kmod-nft-core.
                "nftables-json" | "kmod-nft-core" => depends.contains(&"nftables".to_owned()),
                // OpenWrt's kernel has bridges, which do instead.
                "kmod-dummy" => true,
                _ => depends.iter().any(|word| word == name),
            };
            assert!(
                comes || !finding.required,
                "{} needs {name}",
                finding.feature
            );
        }
    }
}

/// The plugin for rpcd imports no module of ucode's that the package does not bring.
#[test]
fn what_the_plugin_imports_comes_with_the_package() {
    let path = root().join("files/usr/share/rpcd/ucode/srv6pipes.uc");
    let plugin = fs::read_to_string(path).unwrap();
    let mut imported = BTreeSet::new();
    for opening in ["from '", "from \"", "require('", "require(\""] {
        for rest in plugin.split(opening).skip(1) {
            let end = rest.find(['\'', '"']).unwrap();
            imported.insert(format!("ucode-mod-{}", &rest[..end]));
        }
    }
    let brought = dependencies("srv6pipes").into_iter();
    let brought: BTreeSet<_> = brought
        .filter(|name| name.starts_with("ucode-mod-"))
        .collect();
    assert_eq!(imported, brought);
}
