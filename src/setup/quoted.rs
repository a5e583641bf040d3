//! Errors about what our outbound sockets sent, when it carried an SRH; pure.
//!
//! A router that cannot pass a packet on quotes it, and the kernel finds the socket by the quoted
//! destination (`tcp_v6_err`, net/ipv6/tcp_ipv6.c). With segments left that is a SID and no
//! socket is found: the next segment would look like a black hole. So the quote gets the final destination as its destination. Read first: RFC 4443
//! section 2.4, RFC 8754 section 5.4, nft(8) on raw payload expressions.
//!
//! ```text
//!  quoted destination          SID of list[k]   ─▶  list[0], the final destination
//!  quoted segment list[0]      final            ─▶  the SID, out of list[k], k = segments left
//! ```
//! Two equal-sized fields change places, so the ICMPv6 checksum stays right without knowing it.
//! A quote that then leads to none of our sockets is somebody else's: its fields change back.

/// The chain's name.
pub const CHAIN: &str = "quoted";
/// Leads errors that connections react to into the chain.
pub const JUMP: &str = "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, \
                        parameter-problem } jump quoted";
/// nf_tables reaches 255 bytes into a header (`nft_payload_init`): that is list[12]. Behind it,
/// an error is lost.
const SEGMENTS: u16 = 12;

/// Bits from the start of the ICMPv6 message, of which the first 64 are its own header.
mod bit {
    /// Next Header of the quoted IPv6 header.
    pub const NEXT_HEADER: u16 = 64 + 48;
    /// Destination of the quoted IPv6 header.
    pub const DESTINATION: u16 = 64 + 192;
    /// Routing Type and Segments Left of the quoted SRH.
    pub const TYPE_AND_SEGMENTS_LEFT: u16 = 64 + 320 + 16;
    /// The quoted segment list.
    pub const SEGMENT_LIST: u16 = 64 + 320 + 64;
}

/// The chain's rules; `to_us` is the statement that marks a packet for local delivery.
pub fn rules(to_us: &str) -> Vec<String> {
    let deliver = format!("socket transparent 1 {to_us} accept");
    let there = (1..=SEGMENTS).map(|left| exchange(left, bit::SEGMENT_LIST, bit::DESTINATION));
    let back = (1..=SEGMENTS).map(|left| exchange(left, bit::DESTINATION, bit::SEGMENT_LIST));
    let mut rules = vec![deliver.clone()];
    rules.extend(there);
    rules.push(deliver);
    rules.extend(back);
    rules
}

/// With so many segments left: the field at `from` to that at `to`, and the SID to `from`.
fn exchange(left: u16, from: u16, to: u16) -> String {
    let sid = bit::SEGMENT_LIST + 128 * left;
    format!(
        "@th,{},8 43 @th,{},16 {:#06x} @th,{to},128 set @th,{from},128 \
         @th,{from},128 set @th,{sid},128",
        bit::NEXT_HEADER,
        bit::TYPE_AND_SEGMENTS_LEFT,
        0x0400 | left
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_segment_is_within_reach() {
        let byte = |segment: u16| (bit::SEGMENT_LIST + 128 * segment) / 8;
        assert!(byte(SEGMENTS) <= 255 && byte(SEGMENTS + 1) > 255);
    }

    #[test]
    fn what_is_exchanged_is_changed_back_unless_it_is_ours() {
        let rules = rules("mark");
        let count = usize::from(SEGMENTS);
        assert_eq!(rules.len(), 2 + 2 * count);
        assert_eq!(rules[0], rules[1 + count]);
        assert_eq!(rules[0], "socket transparent 1 mark accept");
        let there = "@th,112,8 43 @th,400,16 0x0402 @th,256,128 set @th,448,128 \
                     @th,448,128 set @th,704,128";
        let back = "@th,112,8 43 @th,400,16 0x0402 @th,448,128 set @th,256,128 \
                    @th,256,128 set @th,704,128";
        assert_eq!(rules[2], there);
        assert_eq!(rules[3 + count], back);
        assert!(JUMP.ends_with(CHAIN));
    }
}
