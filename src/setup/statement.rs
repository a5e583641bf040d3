//! The matches and statements of our rules that are always the same, in nft's words; pure.
//!
//! Raw offsets are in bits from the IPv6 header on. Read first: nft(8), RFC 8754 section 2.

/// Opens a connection.
pub const SYN: &str = "tcp flags & (fin|syn|rst|ack) == syn";
/// Anything else of one.
pub const NOT_SYN: &str = "tcp flags & (fin|syn|rst|ack) != syn";
/// The answer to a SYN.
pub const SYN_ACK: &str = "tcp flags & (fin|syn|rst|ack) == (syn|ack)";
/// All that follows, up to the FIN.
pub const ACK: &str = "tcp flags & (fin|syn|rst|ack) == ack";
/// A flow's first packet but one has no data, or a request's; those full of data are the many, and
/// are not rewritten, which would spoil checksums that hardware has summed up.
pub const SHORT: &str = "meta length < 1280";
/// The SRH lies directly behind the IPv6 header, at byte 40, and has at least one segment:
/// only then do the raw offsets below hold.
pub const SRH_IN_PLACE: &str = "ip6 nexthdr 43 rt type 4 rt hdrlength >= 2";
/// Segments Left (byte 43) to the tag's first byte (46).
pub const STASH_SEGMENTS_LEFT: &str = "@nh,368,8 set @nh,344,8";
/// Segment List[0] (byte 48), the final destination, to the destination address (24).
pub const TO_FINAL_DESTINATION: &str = "@nh,192,128 set @nh,384,128";
pub const CLEAR_SEGMENTS_LEFT: &str = "@nh,344,8 set 0";
/// The answer that refuses.
pub const RESET: &str = "reject with tcp reset";
/// What tells flows apart.
pub const FLOW: &str = "ip6 saddr . tcp sport . ip6 daddr . tcp dport";
