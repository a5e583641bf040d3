//! Our table in and out of the kernel: text through `nft`, the checks by netlink.
//!
//! `nft` is the only program we run, as OpenWrt's own firewall does; `apply` calls this.

use std::fmt;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use crate::netlink::{self, Socket, nf};
use crate::setup::ruleset::{Ruleset, TABLE, XT_QUEUE};

/// Why `nft` did not do it.
#[derive(Debug)]
pub enum Error {
    /// There is no `nft`.
    Missing,
    /// It could not be run.
    Run(io::Error),
    /// It said no; its own words.
    Refused(String),
    /// It said yes, and the chain is not there or lacks rules.
    NotLoaded {
        /// The chain.
        chain: String,
        /// Rules we gave.
        given: usize,
        /// Rules the kernel has.
        there: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("run nft: not found; install the package nftables"),
            Self::Run(error) => write!(f, "run nft: {error}"),
            Self::Refused(words) => write!(f, "nft -f -: {words}"),
            Self::NotLoaded {
                chain,
                given,
                there,
            } => write!(
                f,
                "nft loaded {given} rules into ip6 {TABLE} {chain}, but there are {there}"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Run(error) => Some(error),
            _ => None,
        }
    }
}

/// Asks nft and the kernel whether they would take `text`; changes nothing.
///
/// # Errors
/// What nft says against it.
pub fn check(text: &str) -> Result<(), Error> {
    run(&["-c", "-f", "-"], text)
}

/// Loads `text`: all of it or nothing.
///
/// # Errors
/// What nft says against it.
pub fn load(text: &str) -> Result<(), Error> {
    run(&["-f", "-"], text)
}

fn run(arguments: &[&str], text: &str) -> Result<(), Error> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Missing,
            _ => Error::Run(error),
        })?;
    // nft reads all of its input before it says anything, so this cannot block on stderr. An nft
    // that goes away earlier is heard through its exit status.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().map_err(Error::Run)?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let mut words = words.trim();
    if words.is_empty() {
        words = "no reason given";
    }
    Err(Error::Refused(words.to_owned()))
}

/// Puts `text` in the place of the table that is there, in one transaction: no packet meets half
/// a table, and flows in `@bypassed` stay in it.
///
/// The table is filled anew instead of being made anew: chains and sets that `text` has are kept,
/// others are deleted.
pub fn replacing(text: &str, chains: &[String], sets: &[String]) -> String {
    let mut all = format!("add table ip6 {TABLE}\nflush table ip6 {TABLE}\n");
    let mut drop_unless_in_text = |kind: &str, name: &str| {
        if !text.contains(&format!("\t{kind} {name} {{\n")) {
            all.push_str(&format!("delete {kind} ip6 {TABLE} {name}\n"));
        }
    };
    for chain in chains {
        drop_unless_in_text("chain", chain);
    }
    for set in sets {
        // nft's own sets, inside rules, went with them.
        if !set.starts_with("__") {
            drop_unless_in_text("set", set);
        }
    }
    all + text
}

/// Loads `ruleset` over whatever is in our table, and reads back.
///
/// # Errors
/// nft's words, or the kernel's about the xtables rule.
pub fn apply(socket: &mut Socket, ruleset: &Ruleset) -> Result<(), super::Error> {
    let chains = nf::chains(socket, TABLE)?;
    let sets = nf::sets(socket, TABLE)?;
    let by_xtables = ruleset
        .xtables
        .as_ref()
        .filter(|(queue, _)| check(&queue_probe(*queue)).is_err());
    let text = by_xtables.map_or(&ruleset.text, |(_, text)| text);
    load(&replacing(text, &chains, &sets))?;
    if let Some((queue, _)) = by_xtables {
        nf::append_queue(socket, TABLE, XT_QUEUE, *queue).map_err(super::Error::NoQueue)?;
    }
    for (chain, given) in expected(text) {
        let there = nf::count_rules(socket, TABLE, chain)?;
        // What `text` leaves empty, the xtables rule fills.
        let given = given.max(usize::from(chain == XT_QUEUE));
        if given != there {
            let chain = chain.to_owned();
            return Err(Error::NotLoaded {
                chain,
                given,
                there,
            }
            .into());
        }
    }
    Ok(())
}

/// Whether there is a table of our name.
///
/// # Errors
/// The kernel's refusal.
pub fn exists(socket: &mut Socket) -> Result<bool, netlink::Error> {
    nf::has_table(socket, TABLE)
}

/// Deletes the table; `ENOENT` when there is none.
///
/// # Errors
/// The kernel's refusal.
pub fn delete(socket: &mut Socket) -> Result<(), netlink::Error> {
    nf::delete_table(socket, TABLE)
}

/// A ruleset that a kernel and nft with `queue` take.
pub fn queue_probe(queue: u16) -> String {
    format!("table ip6 {TABLE}-probe {{\n\tchain c {{\n\t\tqueue num {queue} bypass\n\t}}\n}}\n")
}

/// The chains in `text` with their number of rules: [`Ruleset`] writes one per line.
fn expected(text: &str) -> Vec<(&str, usize)> {
    let mut list = Vec::new();
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix("\tchain ")
            .and_then(|rest| rest.strip_suffix(" {"))
        {
            list.push((name, 0));
        } else if line.starts_with("\t\t")
            && !line.starts_with("\t\ttype ")
            && let Some((_, rules)) = list.last_mut()
        {
            *rules += 1;
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "table ip6 srv6pipes {\n\tset bypassed {\n\t\ttype ipv6_addr\n\t}\n\
        \tchain hold {\n\t\ttype filter hook prerouting priority mangle; policy accept;\n\
        \t\tip6 daddr ::1 drop\n\t\taccept\n\t}\n\tchain xt_queue {\n\t}\n}\n";

    #[test]
    fn rules_are_counted_per_chain() {
        assert_eq!(expected(TEXT), [("hold", 2), ("xt_queue", 0)]);
    }

    #[test]
    fn only_what_the_new_table_lacks_is_deleted() {
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let text = replacing(
            TEXT,
            &names(&["hold", "clamp"]),
            &names(&["bypassed", "__set0", "old"]),
        );
        let deleted: Vec<_> = text.lines().filter(|l| l.starts_with("delete")).collect();
        assert_eq!(
            deleted,
            [
                "delete chain ip6 srv6pipes clamp",
                "delete set ip6 srv6pipes old"
            ]
        );
        assert!(text.ends_with(TEXT));
    }
}
