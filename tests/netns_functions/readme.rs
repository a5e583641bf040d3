//! The examples of configuration in the READMEs of functions.

use std::fs;
use std::path::Path;

/// The section that the README of the stock module `name` shows, in a fence tagged `uci`.
pub fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = root.join("vnf-modules").join(name).join("README.md");
    let text = fs::read_to_string(readme).unwrap();
    let (_, rest) = text.split_once("```uci\n").unwrap();
    let (section, _) = rest.split_once("```").unwrap();
    format!("{section}\n")
}
