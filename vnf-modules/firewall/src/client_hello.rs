//! The server's name in a TLS ClientHello, wherever records and segments cut it.
//!
//! RFC 8446, sections 5.1 (records) and 4.1.2 (ClientHello), which all versions of TLS share;
//! RFC 6066, section 3 (server_name). Never panics, whatever the bytes. Stands alone, so that the
//! fuzz target `clienthello` can include this file.
//!
//! ```text
//! record     type 3 minor  length(2)  fragment               type 22; a message may be cut over records
//! message    1  length(3)  body
//! body       version(2) random(32) session_id<1> cipher_suites<2> compression<1> extensions<2>
//! extension  type(2) data<2>                                 <n>: n bytes of length before it
//! data of 0  list<2> of: type(1) name<2>                     server_name
//! ```

use std::borrow::Cow;

/// What the beginning of a stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello<'a> {
    /// More bytes may tell.
    More,
    /// It is no ClientHello, or none that a server would take.
    Not,
    /// A ClientHello, with the name it asks for, if it asks for one.
    Name(Option<Cow<'a, [u8]>>),
}

/// What a record may begin with, `change_cipher_spec` to `heartbeat`. A stream that begins with
/// another byte is no TLS.
pub const RECORD_TYPES: std::ops::RangeInclusive<u8> = 20..=24;

/// `ContentType.handshake`.
const HANDSHAKE: u8 = 22;
/// The high byte of all versions from SSL 3.0 to TLS 1.3.
const MAJOR: u8 = 3;
/// The longest fragment of a record, bytes (section 5.1).
const MAX_FRAGMENT: usize = 1 << 14;
/// `HandshakeType.client_hello`.
const CLIENT_HELLO: u8 = 1;
/// Of a message: type and length, bytes.
const MESSAGE_HEADER: usize = 4;
/// `legacy_version` and `random`, bytes.
const VERSION_AND_RANDOM: usize = 2 + 32;
/// `ExtensionType.server_name`.
const SERVER_NAME: usize = 0;
/// `NameType.host_name`.
const HOST_NAME: usize = 0;

/// Reads `bytes`, the beginning of a stream, none of it missing. `last` says that no more of it
/// will be seen: then a name counts that stands in the part that came.
pub fn read(bytes: &[u8], last: bool) -> Hello<'_> {
    let Ok(message) = message(bytes) else {
        return Hello::Not;
    };
    let length = match length_of(&message) {
        Some(length) if last || message.len() >= length => length.min(message.len()),
        _ if last => return Hello::Not,
        _ => return Hello::More,
    };
    let body = MESSAGE_HEADER..length;
    let name = match message {
        Cow::Borrowed(message) => name(&message[body]).map(|name| name.map(Cow::Borrowed)),
        Cow::Owned(message) => {
            name(&message[body]).map(|name| name.map(|name| Cow::Owned(name.to_vec())))
        }
    };
    name.map_or(Hello::Not, Hello::Name)
}

/// What is there ends too early, or is something else.
#[derive(Debug)]
struct Broken;

/// The fragments of the first message, joined: as much of it as there is, perhaps with some of
/// what follows it.
fn message(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Broken> {
    let mut rest = bytes;
    let mut message = Cow::Borrowed(&bytes[..0]);
    while !rest.is_empty() && length_of(&message).is_none_or(|length| message.len() < length) {
        let (fragment, behind) = record(rest)?;
        if rest[0] != HANDSHAKE {
            // OpenSSL refuses a warning here, but BoringSSL (ssl_process_alert) drops a few.
        } else if message.is_empty() {
            message = Cow::Borrowed(fragment);
        } else if !fragment.is_empty() {
            message.to_mut().extend_from_slice(fragment);
        }
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(Broken);
        }
        rest = behind;
    }
    Ok(message)
}

/// The first record's fragment, as much of it as there is, and what follows the record.
fn record(bytes: &[u8]) -> Result<(&[u8], &[u8]), Broken> {
    let wrong = |at: usize, right: &dyn Fn(u8) -> bool| bytes.get(at).is_some_and(|b| !right(*b));
    if wrong(0, &|kind| RECORD_TYPES.contains(&kind)) || wrong(1, &|major| major == MAJOR) {
        return Err(Broken);
    }
    let Some((header, rest)) = bytes.split_first_chunk::<5>() else {
        return Ok((&[], &[]));
    };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    // Section 5.1 forbids empty ones, too, but OpenSSL 3.0 takes them.
    if length > MAX_FRAGMENT {
        return Err(Broken);
    }
    Ok(rest.split_at(length.min(rest.len())))
}

/// How long the message is with its header, once that is there.
fn length_of(message: &[u8]) -> Option<usize> {
    let header = message.first_chunk::<MESSAGE_HEADER>()?;
    let length = u32::from_be_bytes(*header) & 0x00ff_ffff;
    Some(MESSAGE_HEADER + usize::try_from(length).ok()?)
}

/// The name in a ClientHello's body. What is cut off behind it is not missed.
fn name(body: &[u8]) -> Result<Option<&[u8]>, Broken> {
    let mut body = Reader(body);
    body.take(VERSION_AND_RANDOM)?;
    body.vector::<1>()?; // session_id
    body.vector::<2>()?; // cipher_suites
    body.vector::<1>()?; // compression_methods
    if body.0.is_empty() {
        return Ok(None); // before TLS 1.2 there need not be any extension
    }
    let length = body.number::<2>()?;
    let mut extensions = Reader(&body.0[..length.min(body.0.len())]);
    while !extensions.0.is_empty() {
        let kind = extensions.number::<2>()?;
        let data = extensions.vector::<2>()?;
        if kind == SERVER_NAME {
            return host_name(data).map(Some);
        }
    }
    // All that came was walked through, but what did not come might have had it.
    if length > body.0.len() {
        return Err(Broken);
    }
    Ok(None)
}

/// The first name of a host: there is no more than one, and no server takes a second one.
fn host_name(data: &[u8]) -> Result<&[u8], Broken> {
    let mut names = Reader(Reader(data).vector::<2>()?);
    loop {
        let kind = names.number::<1>()?;
        let name = names.vector::<2>()?;
        if kind == HOST_NAME {
            return Ok(name);
        }
    }
}

/// Bytes that are taken from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of `N` bytes, at most 4.
    fn number<const N: usize>(&mut self) -> Result<usize, Broken> {
        let bytes = self.take(N)?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// So many bytes as a number of `N` bytes before them says.
    fn vector<const N: usize>(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.number::<N>()?;
        self.take(length)
    }
}
