//! The expressions of nft that our table needs and a kernel may lack, each with the package that brings
//! it to OpenWrt: on Debian the kernel's own package has all of them.
//!
//! `doctor` asks for all; `nft` asks when the kernel has refused our table, since its answer,
//! "No such file or directory", names none of them.

use crate::setup::nft;

/// One expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expression {
    /// How people know it.
    pub name: &'static str,
    /// Whether nothing works without it.
    pub required: bool,
    /// What needs it.
    pub needed_for: &'static str,
    /// OpenWrt's package.
    pub openwrt: &'static str,
    /// A rule that is nothing else.
    pub rule: &'static str,
    /// What a ruleset that uses it has in its text.
    word: &'static str,
}

/// All of them.
pub const ALL: [Expression; 5] = [
    Expression {
        name: "nft tproxy",
        required: true,
        needed_for: "capture",
        openwrt: "kmod-nft-tproxy",
        rule: "tcp dport 1 tproxy to [::1]:1",
        word: " tproxy to ",
    },
    Expression {
        name: "nft socket",
        required: true,
        needed_for: "packets of running flows",
        openwrt: "kmod-nft-socket",
        rule: "socket transparent 1",
        word: " socket transparent ",
    },
    Expression {
        name: "nft reject",
        required: true,
        needed_for: "on_failure refuse",
        openwrt: "kmod-nft-core",
        rule: "meta l4proto tcp reject with tcp reset",
        word: " reject with ",
    },
    Expression {
        name: "nft fib",
        required: false,
        needed_for: "policies to our own SIDs",
        openwrt: "kmod-nft-fib",
        rule: "fib daddr type unicast",
        word: "fib daddr ",
    },
    Expression {
        name: "nft queue",
        required: false,
        needed_for: "capture nfqueue",
        openwrt: "kmod-nft-queue",
        rule: "queue num 0 bypass",
        word: " queue num ",
    },
];

/// Those that `ruleset` uses and this kernel, or this `nft`, does not know.
pub fn missing(ruleset: &str) -> Vec<Expression> {
    let used = ALL.into_iter().filter(|e| ruleset.contains(e.word));
    used.filter(|e| matches!(nft::probe(e.rule), Err(nft::Error::Refused(_))))
        .collect()
}
