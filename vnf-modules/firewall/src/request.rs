//! The hosts that an HTTP/1 request names: its target's, and those of its Host fields.
//!
//! RFC 9112, sections 2.2 (how a message begins), 3 (request line and target) and 5 (fields).
//! What is read here a server reads again, by rules of its own, and a client that wants to get by
//! lives from the difference. So this takes whatever *some* server may take for a request: any
//! method, blanks everywhere, bare LF, folded fields; a parser that keeps to
//! the grammar would call such a request something else and let it go. Never panics, and stands
//! alone, so that the fuzz target `request` can include this file.

/// What a request says next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// More bytes may tell.
    More,
    /// It is no HTTP/1 request.
    Not,
    /// A host, perhaps with a user before it and a port behind it.
    Host(&'a [u8]),
    /// The head is over; nothing more is said.
    End,
}

/// How far a request has been read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Head {
    /// Where the first line begins that was not read yet.
    line: usize,
    /// Up to here no line ends.
    looked: usize,
    /// The request line has been read, and it is one.
    began: bool,
    /// The last field was a Host: a line that begins with a blank belongs to it.
    in_host: bool,
}

/// Longer than the methods of all registries.
const MAX_METHOD: usize = 32;

impl Head {
    /// Goes on in `bytes`, which begin as in the last call: with the request's first byte.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Said<'a> {
        loop {
            let from = self.looked.max(self.line).min(bytes.len());
            let Some(end) = bytes[from..].iter().position(|byte| *byte == b'\n') else {
                self.looked = bytes.len();
                let line = &bytes[self.line.min(bytes.len())..];
                let hopeless = !self.began && !may_become_request(line);
                return if hopeless { Said::Not } else { Said::More };
            };
            let line = &bytes[self.line..from + end];
            self.line = from + end + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !self.began {
                let Some(target) = target(line) else {
                    return Said::Not;
                };
                self.began = true;
                match authority(target) {
                    Some(host) => return Said::Host(host),
                    None => continue,
                }
            }
            if line.is_empty() {
                return Said::End;
            }
            if let Some(host) = self.field(line) {
                return Said::Host(host);
            }
        }
    }

    /// The host in a line behind the first one.
    fn field<'a>(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        if line.first().is_some_and(|byte| is_blank(*byte)) {
            return self.in_host.then(|| line.trim_ascii());
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = line[..colon].trim_ascii();
        self.in_host = name.eq_ignore_ascii_case(b"host");
        self.in_host.then(|| line[colon + 1..].trim_ascii())
    }
}

/// How many line ends stand before the first request line: section 2.2 has servers ignore them.
pub fn line_ends(bytes: &[u8]) -> usize {
    let end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    bytes.iter().take_while(|byte| end(byte)).count()
}

/// Whether bytes without a line end can be the beginning of a request line: a method, a blank, and
/// then anything but NUL. Some servers take all other control characters in a target.
fn may_become_request(line: &[u8]) -> bool {
    let blanks = line.iter().take_while(|byte| is_blank(**byte)).count();
    let line = &line[blanks..];
    let method = line.iter().take_while(|byte| is_token(**byte)).count();
    if method == line.len() {
        return method <= MAX_METHOD;
    }
    is_method(&line[..method]) && is_blank(line[method]) && !line.contains(&0)
}

/// The target of a request line; `None` if it is none. HTTP/0.9 knows no hosts, and the preface of
/// HTTP/2 (RFC 9113, section 3.4) is followed by frames.
fn target(line: &[u8]) -> Option<&[u8]> {
    let words = line.split(|byte| is_blank(*byte));
    let mut words = words.filter(|word| !word.is_empty());
    let method = words.next()?;
    let target = words.next()?;
    let version = words.next_back()?;
    let one = version.get(..5)?.eq_ignore_ascii_case(b"HTTP/") && version != b"HTTP/2.0";
    (one && is_method(method) && !line.contains(&0)).then_some(target)
}

/// The authority in a target: in the absolute form behind `://`, with CONNECT all of it, and in
/// the usual form (`/…`, `*`) there is none.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let scheme = target.iter().take_while(|byte| is_token(**byte)).count();
    let rest = match target[scheme..].strip_prefix(b"://") {
        Some(rest) => rest,
        None if matches!(target.first(), Some(b'/' | b'*')) => return None,
        None => target,
    };
    let end = |byte: &u8| matches!(byte, b'/' | b'?' | b'#');
    rest.split(end).next().filter(|host| !host.is_empty())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_method(word: &[u8]) -> bool {
    (1..=MAX_METHOD).contains(&word.len()) && word.iter().all(|byte| is_token(*byte))
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
