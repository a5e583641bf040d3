//! UCI's words: quotes, escapes, comments, continued lines. [`super::uci`] makes commands of them.
//!
//! UCI has no specification but its reader, `file.c` of OpenWrt's `uci`; what happens here at each
//! character was compared with what that reader does. Read first: its `next_arg` and `parse_str`.

use std::iter::Peekable;
use std::str::Chars;

use crate::config::uci::Mistake;

/// A position in a UCI text. Clones are cheap, which is how the reader steps back after a mistake.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    rest: Peekable<Chars<'a>>,
    line: u32,
}

/// What stands where an argument may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A word, which empty quotes leave empty.
    Word(String),
    /// The end of the command, behind which another one stands in the same line.
    Semicolon,
    /// The end of the command and the line.
    None,
}

/// What ended a word that is an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// White space, a comment or the end of the line.
    Blank,
    /// A `;`, still to be read.
    Semicolon,
}

impl<'a> Words<'a> {
    /// Begins at line 1.
    pub fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().peekable(),
            line: 1,
        }
    }

    /// The line of the next character, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Whether nothing is left of the text.
    pub fn is_at_end(&mut self) -> bool {
        self.rest.peek().is_none()
    }

    /// Whether nothing is left of the line but white space or a comment.
    pub fn is_line_done(&mut self) -> bool {
        self.skip_blanks();
        matches!(self.rest.peek(), None | Some('\n' | '#'))
    }

    /// Whether only blanks are left of the line, and the line has an end.
    pub fn is_at_line_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest.peek() == Some(&'\n')
    }

    /// Goes to the beginning of the next line.
    pub fn skip_line(&mut self) {
        while let Some(c) = self.next() {
            if c == '\n' {
                return;
            }
        }
    }

    /// The word that names a command: no quotes, ends at a blank only.
    pub fn command(&mut self) -> String {
        self.skip_blanks();
        let mut word = String::new();
        while let Some(c) = self
            .rest
            .next_if(|c| !matches!(c, ' ' | '\t' | '\r' | '\n'))
        {
            word.push(c);
        }
        word
    }

    /// What stands next: an argument, a `;` (which is then read), or the end of the line.
    ///
    /// # Errors
    /// The quotes don't end, a character is none of text, or uci's own reader would drop what
    /// follows a `;`.
    pub fn argument(&mut self) -> Result<Argument, Mistake> {
        if self.is_line_done() {
            return Ok(Argument::None);
        }
        if self.rest.next_if_eq(&';').is_some() {
            return Ok(Argument::Semicolon);
        }
        let mut word = String::new();
        let mut bare = true;
        let end = loop {
            let Some(&c) = self.rest.peek() else {
                break End::Blank;
            };
            match c {
                '#' => break End::Blank,
                ';' => break End::Semicolon,
                c if is_blank(c) || c == '\n' => break End::Blank,
                '\'' | '"' => {
                    bare = false;
                    self.next();
                    self.quoted(c, &mut word)?;
                }
                '\\' => {
                    bare = false;
                    self.next();
                    self.escaped(&mut word)?;
                }
                c => {
                    self.next();
                    push(&mut word, c)?;
                }
            }
        };
        // The reader in C ends a word with a NUL in place. Behind a word without quotes that NUL
        // overwrites the `;`, and the rest of the line is never seen. We refuse to guess.
        if bare && end == End::Semicolon {
            self.next();
            if !self.is_line_done() {
                return Err(Mistake::Dropped);
            }
        }
        Ok(Argument::Word(word))
    }

    fn quoted(&mut self, quote: char, word: &mut String) -> Result<(), Mistake> {
        loop {
            match self.next() {
                None => return Err(Mistake::Unterminated(quote)),
                Some(c) if c == quote => return Ok(()),
                Some('\\') if quote == '"' => self.escaped(word)?,
                Some(c) => push(word, c)?,
            }
        }
    }

    /// Behind a backslash: the end of a line vanishes, everything else stands for itself.
    fn escaped(&mut self, word: &mut String) -> Result<(), Mistake> {
        let mut ahead = self.rest.clone();
        match (ahead.next(), ahead.next()) {
            (None | Some('\n'), _) => {
                self.next();
            }
            (Some('\r'), Some('\n')) => {
                self.next();
                self.next();
            }
            (Some(c), _) => {
                self.next();
                push(word, c)?;
            }
        }
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while self.rest.next_if(|&c| is_blank(c)).is_some() {}
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next();
        if c == Some('\n') {
            self.line = self.line.saturating_add(1);
        }
        c
    }
}

/// C's `isspace`, but for the end of the line.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c')
}

/// Values become C strings and lines of a log: what uci itself refuses to set is refused here.
fn push(word: &mut String, c: char) -> Result<(), Mistake> {
    if c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r') {
        return Err(Mistake::Control(c));
    }
    word.push(c);
    Ok(())
}
