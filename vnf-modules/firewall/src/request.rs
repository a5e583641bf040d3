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
    /// The host in its target, perhaps with a user before it and a port behind it. Some servers
    /// go by that, others by what a Host field says.
    Target(&'a [u8]),
    /// The host in a Host field, in the same form.
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
    /// What there is of the request line may become one, whatever follows.
    hopeful: bool,
    /// The request line has been read, and it is one.
    began: bool,
    /// The last field was a Host: a line that begins with a blank belongs to it.
    in_host: bool,
    /// It has no fields, being one of HTTP/0.9.
    over: bool,
}

/// Longer than the methods of all registries.
const MAX_METHOD: usize = 32;

impl Head {
    /// Goes on in `bytes`, which begin as in the last call: with the request's first byte. `last`
    /// says that the client will send no more: for some servers that ends a line, too.
    pub fn next<'a>(&mut self, bytes: &'a [u8], last: bool) -> Said<'a> {
        while !self.over {
            let start = self.line.min(bytes.len());
            let from = self.looked.max(start).min(bytes.len());
            let end = bytes[from..].iter().position(|byte| *byte == b'\n');
            let end = end.map_or(bytes.len(), |end| from + end);
            self.looked = end;
            let line = &bytes[start..end];
            if end == bytes.len() {
                // More blanks change nothing: else each would have all of them looked at again.
                let is_news = from == start || !bytes[from..].iter().all(|byte| is_blank(*byte));
                if is_news && !self.began && !self.hopeful {
                    match may_become_request(line) {
                        Some(hopeful) => self.hopeful = hopeful,
                        None => return Said::Not,
                    }
                }
                if line.is_empty() || !last {
                    return Said::More;
                }
            }
            // Some servers end lines at a bare CR: what is behind one is read as a field again.
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let piece = line.split(|byte| *byte == b'\r').next().unwrap_or_default();
            let is_whole = piece.len() == line.len();
            self.line = start + piece.len() + 1;
            if is_whole {
                self.line = end + 1;
            }
            if !self.began {
                let Some((target, fields)) = target(line) else {
                    return Said::Not;
                };
                self.began = true;
                self.over = !fields;
                match authority(target) {
                    Some(host) => return Said::Target(host),
                    None => continue,
                }
            }
            if line.is_empty() && bytes[..start].ends_with(b"\n") {
                return Said::End;
            }
            if let Some(host) = self.field(piece) {
                return Said::Host(host);
            }
        }
        Said::End
    }

    /// The host in a line behind the first one.
    fn field<'a>(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
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

/// Whether bytes without a line end can be the beginning of a request line, and if so, whether they
/// are whatever follows: a method, a blank, and then anything but NUL. Some servers take all control
/// characters in a target, that one, too, but not in front.
fn may_become_request(line: &[u8]) -> Option<bool> {
    let line = behind_blanks(line);
    let method = line.iter().take_while(|byte| is_token(**byte)).count();
    if method == line.len() {
        return (method <= MAX_METHOD).then_some(false);
    }
    let target = behind_blanks(&line[method..]).first();
    let is_one = is_method(&line[..method]) && is_blank(line[method]) && target != Some(&0);
    is_one.then_some(target.is_some())
}

fn behind_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|byte| is_blank(**byte)).count();
    &line[blanks..]
}

/// The target of a request line, and whether fields follow; `None` if it is none. HTTP/0.9 has
/// no fields, but some servers find a host in its target. The preface of HTTP/2 (RFC 9113, section
/// 3.4) is followed by frames; other requests of that version some servers read as of HTTP/1.
fn target(line: &[u8]) -> Option<(&[u8], bool)> {
    let words = line.split(|byte| is_blank(*byte));
    let mut words = words.filter(|word| !word.is_empty());
    let method = words.next()?;
    let target = words.next()?;
    if !is_method(method) || target.starts_with(b"\0") {
        return None;
    }
    let Some(first) = words.next() else {
        let has_host = target.windows(3).any(|bytes| bytes == b"://");
        return has_host.then_some((target, false));
    };
    let is_version = |word: &[u8]| {
        word.get(..5)
            .is_some_and(|v| v.eq_ignore_ascii_case(b"HTTP/"))
    };
    if (method, target, first) == (b"PRI", b"*", b"HTTP/2.0") {
        return None;
    }
    (is_version(first) || words.any(is_version)).then_some((target, true))
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

/// What may stand between the words of a request line: section 3 of RFC 9112 names the first five,
/// Python's `split` takes the others, too.
fn is_blank(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | 0x0b | 0x0c | b'\r' | 0x1c..=0x1f | 0x85 | 0xa0
    )
}

fn is_method(word: &[u8]) -> bool {
    (1..=MAX_METHOD).contains(&word.len()) && word.iter().all(|byte| is_token(*byte))
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
