//! `config function` sections as text, for a daemon.

use super::TempDir;

/// Function `id`: `name` of `file` in `folder`.
pub fn section(id: u16, folder: &TempDir, file: &str, name: &str, options: &str) -> String {
    format!(
        "config function\noption id '{id}'\noption module '{}'\noption name '{name}'\n{options}\n\n",
        folder.join(file).display()
    )
}
