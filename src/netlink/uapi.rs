//! Constants of the kernel's interface that libc lacks or spells for other types.
//!
//! Each group names its header below `include/uapi/linux/` and the first release that has it.

// netlink.h, 2.6 or older unless said.
/// This is a request.
pub const NLM_F_REQUEST: u16 = 0x1;
/// Acknowledge it.
pub const NLM_F_ACK: u16 = 0x4;
/// List everything.
pub const NLM_F_DUMP: u16 = 0x300;
/// Fail if it exists.
pub const NLM_F_EXCL: u16 = 0x200;
/// Create it.
pub const NLM_F_CREATE: u16 = 0x400;
/// Put it at the end (nf_tables: of the chain).
pub const NLM_F_APPEND: u16 = 0x800;
/// The refused request was cut down to its header (4.13).
pub const NLM_F_CAPPED: u16 = 0x100;
/// An acknowledgement or a refusal.
pub const NLMSG_ERROR: u16 = 2;
/// The end of a list.
pub const NLMSG_DONE: u16 = 3;
/// The kernel's own words (4.12).
pub const NLMSGERR_ATTR_MSG: u16 = 1;
/// Attribute types without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` (2.6.24).
pub const NLA_TYPE_MASK: u16 = 0x3fff;
/// The value is attributes (2.6.24).
pub const NLA_F_NESTED: u16 = 0x8000;

// rtnetlink.h.
/// Group that hears of devices (2.6.14, as all groups by number).
pub const RTNLGRP_LINK: u32 = 1;
/// Group that hears of IPv6 routes.
pub const RTNLGRP_IPV6_ROUTE: u32 = 11;
/// Group that hears of IPv6 rules (2.6.24).
pub const RTNLGRP_IPV6_RULE: u32 = 19;
/// Destination address.
pub const RTA_DST: u16 = 1;
/// Output device's index.
pub const RTA_OIF: u16 = 4;
/// Next hop.
pub const RTA_GATEWAY: u16 = 5;
/// Table number of 32 bits (2.6.19).
pub const RTA_TABLE: u16 = 15;
/// `LWTUNNEL_ENCAP_…` (4.3).
pub const RTA_ENCAP_TYPE: u16 = 21;
/// The encapsulation's own attributes (4.3).
pub const RTA_ENCAP: u16 = 22;

// lwtunnel.h and seg6_iptunnel.h.
/// An SRH is added (4.10).
pub const LWTUNNEL_ENCAP_SEG6: u16 = 5;
/// `struct seg6_iptunnel_encap` (4.10).
pub const SEG6_IPTUNNEL_SRH: u16 = 1;
/// The SRH goes into the packet itself instead of a new one around it (4.10).
pub const SEG6_IPTUN_MODE_INLINE: i32 = 0;

// fib_rules.h.
/// Destination address.
pub const FRA_DST: u16 = 1;
/// Input device's name.
pub const FRA_IIFNAME: u16 = 3;
/// Preference to jump to.
pub const FRA_GOTO: u16 = 4;
/// Preference.
pub const FRA_PRIORITY: u16 = 6;
/// Value of the packet mark.
pub const FRA_FWMARK: u16 = 10;
/// Table to look up.
pub const FRA_TABLE: u16 = 15;
/// Mask of the packet mark.
pub const FRA_FWMASK: u16 = 16;
/// Who made the rule (4.17).
pub const FRA_PROTOCOL: u16 = 21;
/// Look a table up.
pub const FR_ACT_TO_TBL: u8 = 1;
/// Jump.
pub const FR_ACT_GOTO: u8 = 2;
/// Do nothing.
pub const FR_ACT_NOP: u8 = 3;

// if_link.h.
/// Name.
pub const IFLA_IFNAME: u16 = 3;
/// Kind and its own attributes (2.6.22).
pub const IFLA_LINKINFO: u16 = 18;
/// The kind's name.
pub const IFLA_INFO_KIND: u16 = 1;
/// Settings per address family (2.6.37).
pub const IFLA_AF_SPEC: u16 = 26;
/// How the link-local address is made (3.17).
pub const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
/// Not at all (3.17).
pub const IN6_ADDR_GEN_MODE_NONE: u8 = 1;

// netfilter/nfnetlink.h and netfilter/nf_tables.h, 3.13 unless said.
/// Group that hears of nf_tables.
pub const NFNLGRP_NFTABLES: u32 = 7;
/// Number of the nf_tables subsystem: the high byte of the message type.
pub const NFNL_SUBSYS_NFTABLES: u16 = 10;
/// A table's name.
pub const NFTA_TABLE_NAME: u16 = 1;
/// The table of a chain.
pub const NFTA_CHAIN_TABLE: u16 = 1;
/// A chain's name.
pub const NFTA_CHAIN_NAME: u16 = 3;
/// The table of a set.
pub const NFTA_SET_TABLE: u16 = 1;
/// A set's name.
pub const NFTA_SET_NAME: u16 = 2;
/// The table of a rule.
pub const NFTA_RULE_TABLE: u16 = 1;
/// The chain of a rule.
pub const NFTA_RULE_CHAIN: u16 = 2;
/// List of expressions.
pub const NFTA_RULE_EXPRESSIONS: u16 = 4;
/// One of a list.
pub const NFTA_LIST_ELEM: u16 = 1;
/// Expression's name.
pub const NFTA_EXPR_NAME: u16 = 1;
/// Expression's own attributes.
pub const NFTA_EXPR_DATA: u16 = 2;

// netfilter/nf_tables_compat.h (3.14).
/// Name of an xtables target.
pub const NFTA_TARGET_NAME: u16 = 1;
/// Its revision, big-endian.
pub const NFTA_TARGET_REV: u16 = 2;
/// Its own structure, padded to eight bytes.
pub const NFTA_TARGET_INFO: u16 = 3;

// netfilter/xt_NFQUEUE.h.
/// Revision with `struct xt_NFQ_info_v3` (3.10).
pub const XT_NFQUEUE_REVISION: u32 = 3;
/// Packets go on when nobody reads the queue.
pub const NFQ_FLAG_BYPASS: u16 = 0x01;
