//! Blocks of a pcapng file: draft-ietf-opsawg-pcapng, whose sections are named below.
//!
//! ```text
//! block    type(4) total_length(4) body, padded to 4 bytes, total_length(4)       section 3.1
//! option   code(2) length(2) value, padded to 4 bytes; the last one is 0 0        section 3.5
//! ```
//!
//! All numbers are little endian; the Section Header says so. Blocks are appended whole to a
//! buffer, and whoever writes the buffer to a file need only not cut it elsewhere.

/// Packets begin with their IPv6 header (LINKTYPE_RAW of tcpdump.org's list).
const LINKTYPE_RAW: u16 = 101;

/// Section 4.1.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
/// Section 4.2.
const INTERFACE_DESCRIPTION: u32 = 1;
/// Section 4.3.
const ENHANCED_PACKET: u32 = 6;

/// Reads as such in files of this byte order (section 4.1).
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Of the section: not known in advance (section 4.1).
const LENGTH_UNKNOWN: u64 = u64::MAX;

/// `opt_comment` (section 3.5).
const COMMENT: u16 = 1;
/// `shb_userappl` (section 4.1).
const USER_APPLICATION: u16 = 4;
/// `if_name` (section 4.2).
const INTERFACE_NAME: u16 = 2;

/// What every file begins with: one section of one interface, of which `name` is the name.
/// Timestamps count microseconds, as they do where no `if_tsresol` says otherwise.
pub fn begin(blocks: &mut Vec<u8>, application: &str, name: &str, comment: &str) {
    block(blocks, SECTION_HEADER, |body| {
        body.extend(BYTE_ORDER_MAGIC.to_le_bytes());
        body.extend(1_u16.to_le_bytes()); // major version
        body.extend(0_u16.to_le_bytes()); // minor version
        body.extend(LENGTH_UNKNOWN.to_le_bytes());
        options(body, &[(USER_APPLICATION, application), (COMMENT, comment)]);
    });
    block(blocks, INTERFACE_DESCRIPTION, |body| {
        body.extend(LINKTYPE_RAW.to_le_bytes());
        body.extend([0; 2]);
        body.extend([0; 4]); // no limit to a packet's length
        options(body, &[(INTERFACE_NAME, name)]);
    });
}

/// One packet of the only interface, seen `time_us` microseconds after 1970; an empty comment is
/// none. `packet` appends its bytes.
pub fn packet(
    blocks: &mut Vec<u8>,
    time_us: u64,
    comment: &str,
    packet: impl FnOnce(&mut Vec<u8>),
) {
    block(blocks, ENHANCED_PACKET, |body| {
        body.extend([0; 4]); // the interface
        let [a, b, c, d, e, f, g, h] = time_us.to_be_bytes();
        body.extend(u32::from_be_bytes([a, b, c, d]).to_le_bytes());
        body.extend(u32::from_be_bytes([e, f, g, h]).to_le_bytes());
        let lengths = body.len();
        body.extend([0; 8]);
        packet(body);
        let length = length_since(body, lengths + 8).to_le_bytes();
        body[lengths..lengths + 4].copy_from_slice(&length); // captured
        body[lengths + 4..lengths + 8].copy_from_slice(&length); // on the wire
        pad(body, lengths);
        if !comment.is_empty() {
            options(body, &[(COMMENT, comment)]);
        }
    });
}

/// Appends a block; `body` appends its body.
fn block(blocks: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = blocks.len();
    blocks.extend(kind.to_le_bytes());
    blocks.extend([0; 4]);
    body(blocks);
    pad(blocks, start);
    let length = (length_since(blocks, start) + 4).to_le_bytes();
    blocks[start + 4..start + 8].copy_from_slice(&length);
    blocks.extend(length);
}

/// Texts longer than an option can be are cut; ours are not.
fn options(body: &mut Vec<u8>, options: &[(u16, &str)]) {
    for (code, text) in options {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        body.extend(code.to_le_bytes());
        body.extend(length.to_le_bytes());
        let start = body.len();
        body.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
        pad(body, start);
    }
    body.extend([0; 4]);
}

/// Zeros up to a multiple of four bytes since `start`.
fn pad(bytes: &mut Vec<u8>, start: usize) {
    let length = bytes.len() - start;
    bytes.resize(start + length.next_multiple_of(4), 0);
}

/// A block is far shorter than 4 GiB: a segment and a comment.
fn length_since(bytes: &[u8], start: usize) -> u32 {
    u32::try_from(bytes.len() - start).unwrap_or(u32::MAX)
}
