//! Who may know whom in src/: a module names modules of lower layers only, and no sibling.
//!
//! Read the layer table in ARCHITECTURE.md; this is the same one. The check is by text, `crate::`
//! outside comments, so it needs no compiler and sees code behind every `cfg`.

mod files;

use std::path::Path;

/// Lowest first; whoever is not in here is found.
const LAYERS: &[&[&str]] = &[
    &["wire", "stats"],
    &["flow", "sys", "config"],
    &["netlink", "vnf"],
    &["setup", "module"],
    &["proxy"],
    &["control", "demo"],
    &["report"],
    &["cli"],
    &["app"],
    &["lib", "main"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The top-level module that a path below src/ belongs to.
fn module(path: &Path) -> String {
    let first = path.iter().next().unwrap_or_default().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that `text` names after `crate::` or the crate's own name, alone or in braces.
fn named(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    let mut names = Vec::new();
    for prefix in ["crate::", "srv6pipes::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => names.extend(first_words(group)),
                None => names.extend(identifier(rest)),
            }
        }
    }
    names
}

/// The first word of each entry of `{a::b, c::{d, e}, f}`, after its opening brace.
fn first_words(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut entry = true;
    let mut words = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => entry = true,
            c if entry && !c.is_whitespace() => {
                words.extend(identifier(&group[at..]));
                entry = false;
            }
            _ => {}
        }
    }
    words
}

fn identifier(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let word = &text[..end];
    // A type or macro of the crate's root belongs to no module.
    word.starts_with(|c: char| c.is_ascii_lowercase())
        .then(|| word.to_owned())
}

#[test]
fn modules_name_lower_layers_only() {
    let source = files::root().join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in files::below(&source)
        .into_iter()
        .filter(|path| files::is_rust(path))
    {
        let relative = path.strip_prefix(&source).unwrap();
        let own = module(relative);
        let own_layer = layer(&own).unwrap_or_else(|| panic!("src/{own} is in no layer"));
        for name in named(&files::text(&path))
            .iter()
            .filter(|name| **name != own)
        {
            seen += 1;
            if layer(name).is_none_or(|layer| layer >= own_layer) {
                wrong.push(format!("src/{} names {name}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 0, "the check sees nothing");
}

#[test]
fn the_check_reads_what_people_write() {
    let text = "use crate::{\n    wire::sid::{Sid, Locator}, // crate::not\n    stats,\n};\n\
                /// [`crate::nor`]\nfn f() -> crate::Error { srv6pipes::app::up(crate::flow::X) }";
    assert_eq!(named(text), ["wire", "stats", "flow", "app"]);
}
