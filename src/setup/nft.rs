//! Our table in and out of the kernel: text through `nft`, the checks by netlink.
//!
//! `nft` is the only program we run, as OpenWrt's own firewall does; `apply` calls this.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use crate::netlink::{self, Socket, nf};
use crate::setup::expression::{self, Expression};
use crate::setup::ruleset::{ByXtables, Ruleset, TABLE};

/// Why `nft` did not do it.
#[derive(Debug)]
pub enum Error {
    /// There is no `nft`.
    Missing,
    /// It could not be run.
    Run(io::Error),
    /// It said no; its own words.
    Refused(String),
    /// It said no to our table, which uses what this kernel lacks.
    Lacking(Vec<Expression>, String),
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
            Self::Missing => f.write_str(
                "run nft: not found; install the package nftables (OpenWrt: nftables-json)",
            ),
            Self::Run(error) => write!(f, "run nft: {error}"),
            Self::Refused(words) => write!(f, "nft -f -: {words}"),
            Self::Lacking(expressions, words) => {
                f.write_str("this kernel lacks ")?;
                for (n, Expression { name, openwrt, .. }) in expressions.iter().enumerate() {
                    let comma = if n > 0 { ", " } else { "" };
                    write!(f, "{comma}{name} (OpenWrt: {openwrt})")?;
                }
                write!(f, ": nft -f -: {words}")
            }
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
/// The table is filled anew instead of being made anew: `chains` and `sets` that `text` has are
/// kept, others are deleted. `keep` is a chain that keeps its rules, too.
fn replacing(text: &str, chains: &[String], sets: &[String], keep: Option<&str>) -> String {
    let mut all = format!("add table ip6 {TABLE}\n");
    for chain in chains.iter().filter(|chain| keep != Some(chain.as_str())) {
        let _ = writeln!(all, "flush chain ip6 {TABLE} {chain}");
    }
    let mut delete_unless_in_text = |kind: &str, name: &str| {
        if !text.contains(&format!("\t{kind} {name} {{\n")) {
            let _ = writeln!(all, "delete {kind} ip6 {TABLE} {name}");
        }
    };
    for chain in chains {
        delete_unless_in_text("chain", chain);
    }
    // nft's own sets, inside rules, go with those.
    for set in sets.iter().filter(|set| !set.starts_with("__")) {
        delete_unless_in_text("set", set);
    }
    all + text
}

/// Loads `ruleset` over whatever is in our table, and reads back.
///
/// # Errors
/// nft's words, or the kernel's about the xtables rule.
pub fn apply(socket: &mut Socket, ruleset: &Ruleset) -> Result<(), super::Error> {
    let by_xtables = ruleset
        .by_xtables
        .as_ref()
        .filter(|by| probe(&format!("queue num {} bypass", by.queue)).is_err());
    if let Some(by) = by_xtables {
        fill_xtables_chain(socket, by)?;
    }
    let text = by_xtables.map_or(&ruleset.text, |by| &by.text);
    let keep = by_xtables.map(|by| by.chain.as_str());
    let chains = nf::chains(socket, TABLE)?;
    let sets = nf::sets(socket, TABLE)?;
    load(&replacing(text, &chains, &sets, keep)).map_err(|error| blamed(error, text))?;
    for (chain, given) in expected(text) {
        let there = nf::count_rules(socket, TABLE, chain)?;
        // What `text` leaves empty is filled already.
        let given = given.max(usize::from(keep == Some(chain)));
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

/// Says what the kernel lacks, if that is why it refused `text`.
fn blamed(error: Error, text: &str) -> Error {
    let Error::Refused(words) = error else {
        return error;
    };
    let missing = expression::missing(text);
    if missing.is_empty() {
        return Error::Refused(words);
    }
    Error::Lacking(missing, words)
}

/// Whether our table is there with all its chains, and each has as many rules as `ruleset` gave it.
///
/// # Errors
/// The kernel's refusal.
pub fn is_whole(socket: &mut Socket, ruleset: &Ruleset) -> Result<bool, netlink::Error> {
    let mut there = nf::chains(socket, TABLE)?
        .into_iter()
        .map(|chain| Ok((nf::count_rules(socket, TABLE, &chain)?, chain)))
        .collect::<Result<Vec<_>, netlink::Error>>()?;
    there.sort();
    let is = |text: &str, filled: Option<&str>| {
        let mut given: Vec<(usize, String)> = expected(text)
            .into_iter()
            .map(|(chain, rules)| (rules.max(usize::from(filled == Some(chain))), chain.into()))
            .collect();
        given.sort();
        given == there
    };
    // Without a table there is no chain, and every ruleset has some.
    Ok(is(&ruleset.text, None)
        || ruleset
            .by_xtables
            .as_ref()
            .is_some_and(|by| is(&by.text, Some(&by.chain))))
}

/// Before anything jumps to it: a SYN that met the chain empty would go on without being seen.
fn fill_xtables_chain(socket: &mut Socket, by: &ByXtables) -> Result<(), super::Error> {
    let ByXtables { queue, chain, .. } = by;
    if nf::count_rules(socket, TABLE, chain)? > 0 {
        return Ok(());
    }
    load(&format!(
        "table ip6 {TABLE} {{\n\tchain {chain} {{\n\t}}\n}}\n"
    ))?;
    nf::append_queue(socket, TABLE, chain, *queue).map_err(super::Error::NoQueue)
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

/// Asks nft and the kernel whether they know what `rule` says; changes nothing.
///
/// # Errors
/// What nft says against it.
pub fn probe(rule: &str) -> Result<(), Error> {
    let hook = "type filter hook prerouting priority mangle; policy accept;";
    let text =
        format!("table ip6 {TABLE}-probe {{\n\tchain c {{\n\t\t{hook}\n\t\t{rule}\n\t}}\n}}\n");
    run(&["-c", "-f", "-"], &text)
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
        \t\tip6 daddr ::1 drop\n\t\taccept\n\t}\n\tchain xt_queue_7 {\n\t}\n}\n";

    #[test]
    fn rules_are_counted_per_chain() {
        assert_eq!(expected(TEXT), [("hold", 2), ("xt_queue_7", 0)]);
    }

    #[test]
    fn only_what_the_new_table_lacks_is_deleted() {
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let text = replacing(
            TEXT,
            &names(&["hold", "clamp", "xt_queue_7", "xt_queue_8"]),
            &names(&["bypassed", "__set0", "old"]),
            Some("xt_queue_7"),
        );
        let lines = |verb| text.lines().filter(move |l| l.starts_with(verb));
        assert_eq!(
            lines("delete").collect::<Vec<_>>(),
            [
                "delete chain ip6 srv6pipes clamp",
                "delete chain ip6 srv6pipes xt_queue_8",
                "delete set ip6 srv6pipes old",
            ]
        );
        assert_eq!(lines("flush").count(), 3);
        assert!(!text.contains("flush chain ip6 srv6pipes xt_queue_7"));
        assert!(text.ends_with(TEXT));
    }
}
