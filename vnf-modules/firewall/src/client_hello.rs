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

/// What the beginning of a stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// More bytes may tell.
    More,
    /// It is no ClientHello, or none that a server would take.
    Not,
    /// A ClientHello, with all names it asks for. An honest one has one or none; of several some
    /// servers take the first, others the last.
    Names(Vec<Vec<u8>>),
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
/// Of a record: type, version and length, bytes.
const RECORD_HEADER: usize = 5;
/// Of a message: type and length, bytes.
const MESSAGE_HEADER: usize = 4;
/// `legacy_version` and `random`, bytes.
const VERSION_AND_RANDOM: usize = 2 + 32;
/// `ExtensionType.server_name`.
const SERVER_NAME: usize = 0;
/// `NameType.host_name`.
const HOST_NAME: usize = 0;

/// How far the records of a stream have been read: each byte once, however few come at a time.
#[derive(Debug, Default)]
pub struct Records {
    /// Where the record begins that is being read.
    at: usize,
    /// So much of its fragment is in `message`.
    taken: usize,
    /// The fragments of the first message, joined, perhaps with some of what follows it.
    message: Vec<u8>,
}

impl Records {
    /// Goes on in `bytes`, which begin as in the last call: with the stream's first byte. `last`
    /// says that no more of it will be seen: then names count that stand in the part that came.
    pub fn read(&mut self, bytes: &[u8], last: bool) -> Hello {
        if self.join(bytes).is_err() {
            return Hello::Not;
        }
        let length = match length_of(&self.message) {
            Some(length) if last || self.message.len() >= length => length.min(self.message.len()),
            _ if last => return Hello::Not,
            _ => return Hello::More,
        };
        let mut found = Vec::new();
        match names(&self.message[MESSAGE_HEADER..length], &mut found) {
            Err(Broken) if found.is_empty() => Hello::Not,
            _ => Hello::Names(found),
        }
    }

    /// Joins fragments until the message is whole or there is no more.
    fn join(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        while length_of(&self.message).is_none_or(|length| self.message.len() < length) {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let (fragment, whole) = record(rest)?;
            // OpenSSL refuses a warning here, but BoringSSL (ssl_process_alert) drops a few.
            if rest.first() == Some(&HANDSHAKE) {
                let fresh = fragment.get(self.taken..).unwrap_or_default();
                self.message.extend_from_slice(fresh);
                self.taken = fragment.len();
            }
            if self
                .message
                .first()
                .is_some_and(|kind| *kind != CLIENT_HELLO)
            {
                return Err(Broken);
            }
            if !whole {
                break;
            }
            self.at += RECORD_HEADER + fragment.len();
            self.taken = 0;
        }
        Ok(())
    }
}

/// What is there ends too early, or is something else.
#[derive(Debug)]
struct Broken;

/// The first record's fragment, as much of it as there is, and whether that is all of it.
fn record(bytes: &[u8]) -> Result<(&[u8], bool), Broken> {
    let wrong = |at: usize, right: &dyn Fn(u8) -> bool| bytes.get(at).is_some_and(|b| !right(*b));
    if wrong(0, &|kind| RECORD_TYPES.contains(&kind)) || wrong(1, &|major| major == MAJOR) {
        return Err(Broken);
    }
    let Some((header, rest)) = bytes.split_first_chunk::<RECORD_HEADER>() else {
        return Ok((&[], false));
    };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    // Section 5.1 forbids empty ones, too, but OpenSSL 3.0 takes them.
    if length > MAX_FRAGMENT {
        return Err(Broken);
    }
    Ok((&rest[..length.min(rest.len())], length <= rest.len()))
}

/// How long the message is with its header, once that is there.
fn length_of(message: &[u8]) -> Option<usize> {
    let header = message.first_chunk::<MESSAGE_HEADER>()?;
    let length = u32::from_be_bytes(*header) & 0x00ff_ffff;
    Some(MESSAGE_HEADER + usize::try_from(length).ok()?)
}

/// The names in a ClientHello's body go to `found`. What is cut off behind them is not missed.
fn names(body: &[u8], found: &mut Vec<Vec<u8>>) -> Result<(), Broken> {
    let mut body = Reader(body);
    body.take(VERSION_AND_RANDOM)?;
    body.vector::<1>()?; // session_id
    body.vector::<2>()?; // cipher_suites
    body.vector::<1>()?; // compression_methods
    if body.0.is_empty() {
        return Ok(()); // before TLS 1.2 there need not be any extension
    }
    let length = body.number::<2>()?;
    let mut extensions = Reader(&body.0[..length.min(body.0.len())]);
    while !extensions.0.is_empty() {
        let kind = extensions.number::<2>()?;
        let data = extensions.vector::<2>()?;
        if kind == SERVER_NAME {
            host_names(data, found)?;
        }
    }
    // All that came was walked through, but what did not come might have had one.
    if length > body.0.len() {
        return Err(Broken);
    }
    Ok(())
}

/// The names of hosts among those of a server_name extension: there has to be one.
fn host_names(data: &[u8], found: &mut Vec<Vec<u8>>) -> Result<(), Broken> {
    let mut names = Reader(Reader(data).vector::<2>()?);
    let before = found.len();
    while !names.0.is_empty() {
        let kind = names.number::<1>()?;
        let name = names.vector::<2>()?;
        if kind == HOST_NAME {
            found.push(name.to_vec());
        }
    }
    if found.len() == before {
        return Err(Broken);
    }
    Ok(())
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
