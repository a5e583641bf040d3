//! nf_tables without `nft`: what is in our table, and the one thing nft's language cannot say,
//! xtables' NFQUEUE target in a table of our own.
//!
//! A kernel may lack nft's `queue` expression and have xtables' NFQUEUE, which nf_tables runs
//! through its expression `target`. `setup` adds that one rule behind the back of `nft`, in a
//! chain of our table, so that deleting the table deletes it too. Read first:
//! `include/uapi/linux/netfilter/nf_tables_compat.h`, net/netfilter/nft_compat.c.

use crate::netlink::message::{Message, attribute, attributes, c_string, text_of};
use crate::netlink::{Error, Socket, uapi};

/// Appends a rule to `chain` of the ip6 table `table` that hands every packet to queue number
/// `queue`, or lets it go on when nobody reads that queue.
///
/// # Errors
/// The kernel's refusal: `ENOENT` without `nft_compat` or NFQUEUE, or without the chain.
pub fn append_queue(
    socket: &mut Socket,
    table: &str,
    chain: &str,
    queue: u16,
) -> Result<(), Error> {
    let op = format!("add rule ip6 {table} {chain} xtables NFQUEUE num {queue} bypass");
    let rule = Message::new(kind(libc::NFT_MSG_NEWRULE), &header(0))
        .flags(uapi::NLM_F_CREATE | uapi::NLM_F_APPEND | uapi::NLM_F_ACK)
        .attribute(uapi::NFTA_RULE_TABLE, &c_string(table))
        .attribute(uapi::NFTA_RULE_CHAIN, &c_string(chain))
        .attribute(
            uapi::NFTA_RULE_EXPRESSIONS | uapi::NLA_F_NESTED,
            &attribute(uapi::NFTA_LIST_ELEM | uapi::NLA_F_NESTED, &target(queue)),
        );
    commit(socket, &op, rule)
}

/// How many rules `chain` of the ip6 table `table` holds; none without the table.
///
/// # Errors
/// The kernel's refusal.
pub fn count_rules(socket: &mut Socket, table: &str, chain: &str) -> Result<usize, Error> {
    let message = Message::new(kind(libc::NFT_MSG_GETRULE), &header(0))
        .attribute(uapi::NFTA_RULE_TABLE, &c_string(table))
        .attribute(uapi::NFTA_RULE_CHAIN, &c_string(chain));
    let op = format!("list chain ip6 {table} {chain}");
    match socket.dump(&op, message) {
        Err(error) if error.is(libc::ENOENT) => Ok(0),
        // Older kernels answer with every table's rules: the filter is ours to repeat.
        other => Ok(other?
            .iter()
            .filter(|rule| {
                named(rule, uapi::NFTA_RULE_TABLE).as_deref() == Some(table)
                    && named(rule, uapi::NFTA_RULE_CHAIN).as_deref() == Some(chain)
            })
            .count()),
    }
}

/// Whether there is an ip6 table `table`.
///
/// # Errors
/// The kernel's refusal.
pub fn has_table(socket: &mut Socket, table: &str) -> Result<bool, Error> {
    let message = Message::new(kind(libc::NFT_MSG_GETTABLE), &header(0))
        .attribute(uapi::NFTA_TABLE_NAME, &c_string(table));
    match socket.ask(&format_args!("find table ip6 {table}"), message) {
        Err(error) if error.is(libc::ENOENT) => Ok(false),
        other => other.map(|_| true),
    }
}

/// The names of the chains in the ip6 table `table`; none without the table.
///
/// # Errors
/// The kernel's refusal.
pub fn chains(socket: &mut Socket, table: &str) -> Result<Vec<String>, Error> {
    let op = format!("list chains of table ip6 {table}");
    let message = Message::new(kind(libc::NFT_MSG_GETCHAIN), &header(0));
    let answers = socket.dump(&op, message)?;
    Ok(answers
        .iter()
        .filter(|chain| named(chain, uapi::NFTA_CHAIN_TABLE).as_deref() == Some(table))
        .filter_map(|chain| named(chain, uapi::NFTA_CHAIN_NAME))
        .collect())
}

/// The names of the sets in the ip6 table `table`, nft's anonymous ones (`__set0`) among them;
/// none without the table.
///
/// # Errors
/// The kernel's refusal.
pub fn sets(socket: &mut Socket, table: &str) -> Result<Vec<String>, Error> {
    let op = format!("list sets of table ip6 {table}");
    let message = Message::new(kind(libc::NFT_MSG_GETSET), &header(0));
    let answers = socket.dump(&op, message)?;
    Ok(answers
        .iter()
        .filter(|set| named(set, uapi::NFTA_SET_TABLE).as_deref() == Some(table))
        .filter_map(|set| named(set, uapi::NFTA_SET_NAME))
        .collect())
}

/// Deletes the ip6 table `table` with all that is in it; `ENOENT` when there is none.
///
/// # Errors
/// The kernel's refusal.
pub fn delete_table(socket: &mut Socket, table: &str) -> Result<(), Error> {
    let delete = Message::new(kind(libc::NFT_MSG_DELTABLE), &header(0))
        .flags(uapi::NLM_F_ACK)
        .attribute(uapi::NFTA_TABLE_NAME, &c_string(table));
    commit(socket, &format!("delete table ip6 {table}"), delete)
}

/// nf_tables takes changes only in a batch.
fn commit(socket: &mut Socket, op: &str, change: Message) -> Result<(), Error> {
    let begin = Message::new(message(libc::NFNL_MSG_BATCH_BEGIN), &header(SUBSYSTEM));
    let end = Message::new(message(libc::NFNL_MSG_BATCH_END), &header(SUBSYSTEM));
    socket.batch(&op, vec![begin, change, end])
}

/// The string attribute `kind` of an answer.
fn named(answer: &[u8], kind: u16) -> Option<String> {
    attributes(answer.get(4..)?)
        .find(|(k, _)| *k == kind)
        .map(|(_, value)| text_of(value))
}

const SUBSYSTEM: u16 = uapi::NFNL_SUBSYS_NFTABLES;

/// The expression `target` with `struct xt_NFQ_info_v3 { queuenum, queues_total, flags }`.
fn target(queue: u16) -> Vec<u8> {
    let mut info = [0; 8];
    info[..2].copy_from_slice(&queue.to_ne_bytes());
    info[2..4].copy_from_slice(&1u16.to_ne_bytes());
    info[4..6].copy_from_slice(&uapi::NFQ_FLAG_BYPASS.to_ne_bytes());
    let mut data = attribute(uapi::NFTA_TARGET_NAME, &c_string("NFQUEUE"));
    data.extend(attribute(
        uapi::NFTA_TARGET_REV,
        &uapi::XT_NFQUEUE_REVISION.to_be_bytes(),
    ));
    data.extend(attribute(uapi::NFTA_TARGET_INFO, &info));
    let mut expression = attribute(uapi::NFTA_EXPR_NAME, &c_string("target"));
    expression.extend(attribute(uapi::NFTA_EXPR_DATA | uapi::NLA_F_NESTED, &data));
    expression
}

fn kind(nft: libc::c_int) -> u16 {
    (SUBSYSTEM << 8) | message(nft)
}

fn message(number: libc::c_int) -> u16 {
    u16::try_from(number).expect("message numbers of nfnetlink are below 256")
}

/// `struct nfgenmsg`: family, version, resource (big-endian; the subsystem around a batch).
fn header(resource: u16) -> [u8; 4] {
    let family = u8::try_from(libc::NFPROTO_IPV6).expect("NFPROTO_IPV6 is 10");
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}
