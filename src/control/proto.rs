//! The requests, as bytes. Pure, and fuzzed.

use std::fmt;

/// The longest request line, without its newline.
pub const MAX_LINE: usize = 64;

/// What an operator may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Counters, functions and modules.
    Status,
    /// The live flows.
    Flows,
    /// Take over the changed configuration.
    Reload,
}

/// Why a request is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// No newline within [`MAX_LINE`] bytes.
    TooLong,
    /// The line ended before its newline.
    Cut,
    /// No such request.
    Unknown,
}

impl Request {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Status, Self::Flows, Self::Reload];

    /// Its word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Flows => "flows",
            Self::Reload => "reload",
        }
    }

    /// Reads a request from the bytes that came so far; `None` while its newline is missing.
    pub fn parse(bytes: &[u8]) -> Option<Result<Self, Error>> {
        let window = bytes.get(..=MAX_LINE).unwrap_or(bytes);
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            return (bytes.len() > MAX_LINE).then_some(Err(Error::TooLong));
        };
        let line = bytes[..end].trim_ascii();
        let found = Self::ALL
            .into_iter()
            .find(|request| request.word().as_bytes() == line);
        Some(found.ok_or(Error::Unknown))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the request is longer than {MAX_LINE} bytes"),
            Self::Cut => write!(f, "the request ends before its newline"),
            Self::Unknown => write!(f, "no such request; there are: status, flows, reload"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood() {
        for request in Request::ALL {
            let line = format!("{}\n", request.word());
            assert_eq!(Request::parse(line.as_bytes()), Some(Ok(request)));
            let line = format!(" {}\r\nmore", request.word());
            assert_eq!(Request::parse(line.as_bytes()), Some(Ok(request)));
        }
    }

    #[test]
    fn anything_else_is_told_apart() {
        assert_eq!(Request::parse(b""), None);
        assert_eq!(Request::parse(b"stat"), None);
        assert_eq!(Request::parse(b"\n"), Some(Err(Error::Unknown)));
        assert_eq!(Request::parse(b"STATUS\n"), Some(Err(Error::Unknown)));
        assert_eq!(Request::parse(b"status\0\n"), Some(Err(Error::Unknown)));
        assert_eq!(Request::parse(&[b'x'; MAX_LINE]), None);
        assert_eq!(
            Request::parse(&[b'x'; MAX_LINE + 1]),
            Some(Err(Error::TooLong))
        );
        let mut late = vec![b'x'; MAX_LINE + 1];
        late.push(b'\n');
        assert_eq!(Request::parse(&late), Some(Err(Error::TooLong)));
    }
}
