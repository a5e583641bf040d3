//! What a stream's first bytes say about the host it is meant for, while they come.

use crate::client_hello::{self, Hello};
use crate::host::name_of;
use crate::request::{self, Head, Said};

/// Where the look for a name is.
#[derive(Debug, Default)]
pub struct Look {
    head: Head,
    /// The request has named a host, and it may pass.
    named: bool,
}

/// What no name was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nameless {
    /// TLS without server_name.
    Tls,
    /// HTTP without Host.
    Http,
    /// Something else, or nothing whole.
    Other,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<B> {
    /// Nothing yet: so many bytes in front belong to no request and need not wait.
    More(usize),
    /// A name that is blocked, and by what.
    Blocked(B),
    /// One or more names, and all of them may pass.
    Named,
    /// There will be no name.
    Nameless(Nameless),
    /// It began like TLS or HTTP, and the name did not come in time.
    Oversized,
}

/// Why no more bytes will be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// More may come.
    No,
    /// The client has ended its side.
    End,
    /// As many came as are inspected.
    Full,
}

impl Look {
    /// Looks at `bytes`: all that came and was not let through. `judge` says what blocks a name.
    pub fn at<B>(
        &mut self,
        bytes: &[u8],
        last: Last,
        judge: impl Fn(&[u8]) -> Option<B>,
    ) -> Seen<B> {
        let line_ends = request::line_ends(bytes);
        let bytes = &bytes[line_ends..];
        let seen = match bytes.first() {
            None => Seen::More(line_ends),
            Some(first) if client_hello::RECORD_TYPES.contains(first) => {
                Self::tls(bytes, last, judge)
            }
            Some(_) => self.http(bytes, judge),
        };
        match (seen, last) {
            (Seen::More(_), Last::No) => Seen::More(line_ends),
            (Seen::More(_), _) if self.named => Seen::Named,
            (Seen::More(_), Last::End) => Seen::Nameless(Nameless::Other),
            (Seen::More(_), Last::Full) => Seen::Oversized,
            (seen, _) => seen,
        }
    }

    fn tls<B>(bytes: &[u8], last: Last, judge: impl Fn(&[u8]) -> Option<B>) -> Seen<B> {
        let mut hello = client_hello::read(bytes, false);
        if hello == Hello::More && last != Last::No {
            // Only a name counts of a part: that none is there does not say that none would come.
            hello = match client_hello::read(bytes, true) {
                Hello::Name(Some(name)) => Hello::Name(Some(name)),
                _ => Hello::More,
            };
        }
        match hello {
            Hello::More => Seen::More(0),
            Hello::Not => Seen::Nameless(Nameless::Other),
            Hello::Name(None) => Seen::Nameless(Nameless::Tls),
            Hello::Name(Some(name)) => {
                let name = name_of(&name);
                match judge(&name) {
                    Some(blocked) => Seen::Blocked(blocked),
                    None if name.is_empty() => Seen::Nameless(Nameless::Tls),
                    None => Seen::Named,
                }
            }
        }
    }

    fn http<B>(&mut self, bytes: &[u8], judge: impl Fn(&[u8]) -> Option<B>) -> Seen<B> {
        loop {
            match self.head.next(bytes) {
                Said::More => return Seen::More(0),
                Said::Not => return Seen::Nameless(Nameless::Other),
                Said::End if self.named => return Seen::Named,
                Said::End => return Seen::Nameless(Nameless::Http),
                Said::Host(host) => {
                    let name = name_of(host);
                    if let Some(blocked) = judge(&name) {
                        return Seen::Blocked(blocked);
                    }
                    self.named |= !name.is_empty();
                }
            }
        }
    }
}
