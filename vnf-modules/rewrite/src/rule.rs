//! One `list replace 'from=>to'`, as the operator writes it.

use std::fmt;

/// Most bytes of `from` and of `to`.
pub const MAX_LENGTH: usize = 255;

/// What is replaced, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// 1 to [`MAX_LENGTH`] bytes.
    pub from: Vec<u8>,
    /// 0 to [`MAX_LENGTH`] bytes.
    pub to: Vec<u8>,
}

/// Why a text is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// There is no `=>`.
    NoArrow,
    /// Nothing stands before it.
    EmptyFrom,
    /// One side is too long.
    TooLong(Side),
    /// A backslash, and what follows it means nothing.
    Escape(Option<char>),
    /// `\x` without two hexadecimal digits.
    Hex,
}

/// Of the arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Before it.
    From,
    /// Behind it.
    To,
}

impl Rule {
    /// Reads `from=>to`; `\n`, `\r`, `\t`, `\\`, `\=` and `\xNN` stand for single bytes.
    pub fn read(text: &str) -> Result<Self, Mistake> {
        let (from, rest) = unescape(text, true)?;
        let Some(rest) = rest else {
            return Err(Mistake::NoArrow);
        };
        let (to, _) = unescape(rest, false)?;
        if from.is_empty() {
            return Err(Mistake::EmptyFrom);
        }
        for (side, bytes) in [(Side::From, &from), (Side::To, &to)] {
            if bytes.len() > MAX_LENGTH {
                return Err(Mistake::TooLong(side));
            }
        }
        Ok(Self { from, to })
    }
}

/// The bytes that `text` stands for, up to the first arrow if `arrow`, and what follows that.
fn unescape(text: &str, arrow: bool) -> Result<(Vec<u8>, Option<&str>), Mistake> {
    let mut bytes = Vec::new();
    let mut rest = text;
    loop {
        if arrow && let Some(behind) = rest.strip_prefix("=>") {
            return Ok((bytes, Some(behind)));
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => return Ok((bytes, None)),
            Some('\\') => {
                let (byte, behind) = escape(chars.as_str())?;
                bytes.push(byte);
                rest = behind;
            }
            Some(_) => {
                let behind = chars.as_str();
                bytes.extend(&rest.as_bytes()[..rest.len() - behind.len()]);
                rest = behind;
            }
        }
    }
}

/// What stands behind a backslash, and the rest.
fn escape(text: &str) -> Result<(u8, &str), Mistake> {
    let mut chars = text.chars();
    let byte = match chars.next() {
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('\\') => b'\\',
        Some('=') => b'=',
        Some('x') => {
            let (high, low) = (chars.next(), chars.next());
            let digit = |c: Option<char>| c.and_then(|c| c.to_digit(16));
            let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                return Err(Mistake::Hex);
            };
            u8::try_from(high << 4 | low).map_err(|_| Mistake::Hex)?
        }
        other => return Err(Mistake::Escape(other)),
    };
    Ok((byte, chars.as_str()))
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoArrow => f.write_str("must be 'from=>to'"),
            Self::EmptyFrom => f.write_str("must have something before '=>'"),
            Self::TooLong(side) => {
                let place = match side {
                    Side::From => "before",
                    Side::To => "behind",
                };
                write!(f, "must have at most {MAX_LENGTH} bytes {place} '=>'")
            }
            Self::Escape(Some(c)) => write!(
                f,
                "has '\\{c}'; a backslash begins \\n, \\r, \\t, \\\\, \\= or \\xNN"
            ),
            Self::Escape(None) => f.write_str("ends in a backslash; write \\\\ for one"),
            Self::Hex => f.write_str("needs two hexadecimal digits after \\x"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from: &[u8], to: &[u8]) -> Rule {
        Rule {
            from: from.into(),
            to: to.into(),
        }
    }

    #[test]
    fn a_rule_reads_as_people_write_it() {
        for (text, from, to) in [
            ("a=>b", &b"a"[..], &b"b"[..]),
            ("colour=>", b"colour", b""),
            ("a=>b=>c", b"a", b"b=>c"),
            (r"a\=>=>b", b"a=>", b"b"),
            (r"\x00\xfF=>\r\n\t\\", b"\x00\xff", b"\r\n\t\\"),
            (r"\\=>x", b"\\", b"x"),
            ("é=>=", "é".as_bytes(), b"="),
            ("= =>==>", b"= ", b"==>"),
        ] {
            assert_eq!(Rule::read(text), Ok(rule(from, to)), "{text}");
        }
    }

    #[test]
    fn a_rule_that_is_none_says_why() {
        let long = "x".repeat(MAX_LENGTH);
        assert!(Rule::read(&format!("{long}=>{long}")).is_ok());
        for (text, words) in [
            (String::new(), "must be 'from=>to'"),
            ("a->b".to_owned(), "must be 'from=>to'"),
            ("=>b".to_owned(), "must have something before '=>'"),
            (
                format!("{long}x=>"),
                "must have at most 255 bytes before '=>'",
            ),
            (
                format!("a=>{long}x"),
                "must have at most 255 bytes behind '=>'",
            ),
            (
                r"a\q=>b".to_owned(),
                r"has '\q'; a backslash begins \n, \r, \t, \\, \= or \xNN",
            ),
            (
                "a=>b\\".to_owned(),
                r"ends in a backslash; write \\ for one",
            ),
            (
                r"\x4=>b".to_owned(),
                r"needs two hexadecimal digits after \x",
            ),
            (
                r"a=>\x+1".to_owned(),
                r"needs two hexadecimal digits after \x",
            ),
        ] {
            let mistake = Rule::read(&text).unwrap_err();
            assert_eq!(mistake.to_string(), words, "{text}");
        }
    }
}
