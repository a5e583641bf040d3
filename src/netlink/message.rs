//! Netlink messages and attributes as bytes, both ways; no I/O.
//!
//! `route`, `rule`, `link` and `nf` write requests with [`Message`] and read answers with
//! [`replies`] and [`attributes`]. Read first: `include/uapi/linux/netlink.h`.
//!
//! ```text
//!  0       4     6      8     12     16
//!  +-------+-----+------+-----+------+----------------------+------------+
//!  |  len  |type |flags | seq | port | family's own header  | attributes |
//!  +-------+-----+------+-----+------+----------------------+------------+
//!  attribute: len (2, with these 4 bytes) | type (2) | value | padding to a multiple of 4
//! ```
//!
//! The readers never panic, whatever the bytes: an entry that claims more than is there ends
//! the iteration.

use crate::netlink::uapi;

const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;

/// A request in the making.
#[derive(Debug)]
pub struct Message {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Message {
    /// A message of type `kind` with the family's own header (`rtmsg`, `ifinfomsg`, …).
    pub fn new(kind: u16, header: &[u8]) -> Self {
        let mut body = header.to_vec();
        pad(&mut body);
        Self {
            kind,
            flags: uapi::NLM_F_REQUEST,
            body,
        }
    }

    /// Adds to the flags.
    pub fn flags(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    /// Appends one attribute.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        put(&mut self.body, kind, value);
        self
    }

    /// Appends one attribute when there is a value.
    pub fn maybe(self, kind: u16, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.attribute(kind, value),
            None => self,
        }
    }

    pub(super) fn wants_ack(&self) -> bool {
        self.flags & uapi::NLM_F_ACK != 0
    }

    pub(super) fn write(&self, sequence: u32, out: &mut Vec<u8>) {
        let length = u32::try_from(HEADER + self.body.len())
            .expect("a request is a few hundred bytes: at most 17 segments and some names");
        out.extend_from_slice(&length.to_ne_bytes());
        out.extend_from_slice(&self.kind.to_ne_bytes());
        out.extend_from_slice(&self.flags.to_ne_bytes());
        out.extend_from_slice(&sequence.to_ne_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.body);
    }
}

/// One attribute as bytes, to be nested in another.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, kind, value);
    out
}

/// A C string, as the kernel's `NLA_NUL_STRING` wants it.
pub fn c_string(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(ATTRIBUTE + value.len())
        .expect("the longest value is a segment list of 17 addresses");
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// One message of the kernel.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Acknowledged, or the end of a list.
    Done,
    /// Refused.
    Refused {
        /// The error, positive.
        errno: i32,
        /// `NLMSGERR_ATTR_MSG`.
        reason: Option<String>,
    },
    /// Anything else: the bytes after the netlink header.
    Payload(&'a [u8]),
}

/// The messages in one datagram with their sequence numbers.
pub fn replies(mut bytes: &[u8]) -> impl Iterator<Item = (u32, Reply<'_>)> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let kind = u16_at(bytes, 4)?;
        let flags = u16_at(bytes, 6)?;
        let sequence = u32_at(bytes, 8)?;
        let payload = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((sequence, reply(kind, flags, payload)?))
    })
}

fn reply(kind: u16, flags: u16, payload: &[u8]) -> Option<Reply<'_>> {
    if kind != uapi::NLMSG_ERROR && kind != uapi::NLMSG_DONE {
        return Some(Reply::Payload(payload));
    }
    // A kernel may end a list without saying how it went.
    let code = match u32_at(payload, 0) {
        Some(code) => i32::from_ne_bytes(code.to_ne_bytes()),
        None if kind == uapi::NLMSG_DONE => 0,
        None => return None,
    };
    if code == 0 {
        return Some(Reply::Done);
    }
    // struct nlmsgerr: the code, then (not after NLMSG_DONE) the header of the refused request
    // and, unless capped, its payload; then the attributes.
    let request = if kind == uapi::NLMSG_DONE {
        0
    } else if flags & uapi::NLM_F_CAPPED != 0 {
        HEADER
    } else {
        usize::try_from(u32_at(payload, 4)?)
            .ok()?
            .next_multiple_of(4)
    };
    let reason = payload
        .get(4usize.saturating_add(request)..)
        .and_then(|rest| attributes(rest).find(|(kind, _)| *kind == uapi::NLMSGERR_ATTR_MSG))
        .map(|(_, text)| text_of(text));
    Some(Reply::Refused {
        errno: code.checked_neg()?,
        reason,
    })
}

/// The attributes in `bytes`: type (without the nested and byte-order bits) and value.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & uapi::NLA_TYPE_MASK;
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A C string's text.
pub fn text_of(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// The `u32` in host order at `offset`.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(flags: u16, request: &[u8]) -> Vec<u8> {
        let mut body = (-libc::EEXIST).to_ne_bytes().to_vec();
        body.extend_from_slice(request);
        body.extend(attribute(uapi::NLMSGERR_ATTR_MSG, &c_string("rule exists")));
        let mut bytes = Vec::new();
        Message {
            kind: uapi::NLMSG_ERROR,
            flags,
            body,
        }
        .write(7, &mut bytes);
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        let message = Message::new(24, &[10, 0, 0])
            .attribute(1, &[1, 2, 3, 4, 5])
            .attribute(2, &attribute(3, b"x"));
        let mut bytes = Vec::new();
        message.write(9, &mut bytes);
        assert_eq!(bytes.len() % 4, 0);
        let all: Vec<_> = replies(&bytes).collect();
        let [(9, Reply::Payload(payload))] = all[..] else {
            panic!("{all:?}");
        };
        let read: Vec<_> = attributes(&payload[4..]).collect();
        assert_eq!(read[0], (1, &[1, 2, 3, 4, 5][..]));
        assert_eq!(attributes(read[1].1).collect::<Vec<_>>(), [(3, &b"x"[..])]);
    }

    #[test]
    fn the_kernels_words_are_found_with_and_without_the_refused_request() {
        let mut request = Vec::new();
        Message::new(32, &[0; 12]).write(7, &mut request);
        let expected = (
            7,
            Reply::Refused {
                errno: libc::EEXIST,
                reason: Some("rule exists".to_owned()),
            },
        );
        let whole = refusal(0, &request);
        let capped = refusal(uapi::NLM_F_CAPPED, &request[..16]);
        assert_eq!(replies(&whole).next(), Some(expected));
        assert_eq!(replies(&whole).next(), replies(&capped).next());
    }

    #[test]
    fn cut_off_bytes_end_the_iteration() {
        let bytes = refusal(0, &[16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for length in 0..bytes.len() {
            assert_eq!(replies(&bytes[..length]).count(), 0, "{length}");
        }
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[9, 0, 1, 0, 1]).count(), 0);
    }
}
