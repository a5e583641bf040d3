//! UCI text → sections: grammar only, no meaning. The first step of reading the configuration.
//!
//! ```text
//! config TYPE ['NAME']           # opens a section
//!         option NAME 'VALUE'    # one value; an empty one is as if it were not there
//!         list NAME 'VALUE'      # one of many
//! package NAME                   # only `uci export` writes it
//! ```
//!
//! A command may be said by its first letter and ended by a `;`. Names are `[A-Za-z0-9_]+`, a type
//! is any printable ASCII. Stricter than OpenWrt's reader in one thing: where that silently drops
//! what follows a `;`, this says so. Read first: `uci_parse_line` in `file.c` of OpenWrt's `uci`.

use std::fmt;

use crate::config::nearest::{DidYouMean, nearest};
use crate::config::words::{Argument, Words};

/// One `config` with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The word behind `config`.
    pub kind: String,
    /// The section's name, if it has one.
    pub name: Option<String>,
    /// Where it begins, from 1.
    pub line: u32,
    /// Options and lists in file order.
    pub entries: Vec<Entry>,
    /// Whether a command inside could not be read, so that something may seem to be missing.
    pub damaged: bool,
}

/// One `option` or `list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whether it was written as `list`.
    pub list: bool,
    /// The name.
    pub name: String,
    /// The value without its quotes.
    pub value: String,
    /// Where the command begins, from 1.
    pub line: u32,
}

/// A UCI text, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// The sections that could be read, in file order.
    pub sections: Vec<Section>,
    /// `package` lines: line and name.
    pub packages: Vec<(u32, String)>,
    /// What could not be read, and in which line it begins.
    pub mistakes: Vec<(u32, Mistake)>,
    /// Whether a `config` was among it, so that a section may seem to be missing.
    pub damaged: bool,
}

/// What cannot be read as UCI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// A line begins with another word than the four commands, and the one it looks like.
    Command(String, Option<&'static str>),
    /// The command needs another argument.
    Insufficient(Command),
    /// Behind the last argument stands another one.
    Surplus(String),
    /// A name with a character that names can't have.
    Name(String),
    /// A section type with such a character.
    Kind(String),
    /// A quote that never ends.
    Unterminated(char),
    /// A control character in an argument.
    Control(char),
    /// uci's own reader drops what follows `;` behind a word without quotes.
    Dropped,
    /// A `;` behind which the line ends: an error to uci's own reader.
    EmptyCommand,
    /// An option or list before the first `config`.
    NoSection,
    /// More mistakes than anyone reads: the rest of the file was not looked at.
    TooMany,
}

/// The four commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Names the file.
    Package,
    /// Opens a section.
    Config,
    /// Sets a value.
    Option,
    /// Adds a value.
    List,
}

const COMMANDS: [&str; 4] = ["config", "option", "list", "package"];

/// A file with more mistakes than this is no UCI file. The bound keeps the reader's time linear,
/// as it goes back to the second line of a command that it can't read.
const MAX_MISTAKES: usize = 100;

/// Takes a UCI text apart. Behind a mistake it goes on with the line after the one in which the
/// command began: a forgotten quote then costs that one line and not all that follow.
pub fn parse(text: &str) -> Text {
    let mut parsed = Text::default();
    let mut words = Words::new(text);
    // What stands behind a `config` that can't be read belongs to no section we know.
    let mut section = Current::None;
    while !words.is_at_end() {
        let mut start = words.clone();
        if let Err((line, mistake)) = line_of(&mut words, &mut parsed, &mut section) {
            match (section, parsed.sections.last_mut()) {
                (Current::Open, Some(open)) => open.damaged = true,
                (Current::Unreadable, _) => parsed.damaged = true,
                _ => {}
            }
            parsed.mistakes.push((line, mistake));
            if parsed.mistakes.len() == MAX_MISTAKES {
                parsed.mistakes.push((line, Mistake::TooMany));
                parsed.damaged = true;
                break;
            }
            while start.line() <= line && !start.is_at_end() {
                start.skip_line();
            }
            words = start;
        }
    }
    parsed
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Current {
    None,
    Open,
    Unreadable,
}

/// Reads one line: several commands if a `;` parts them, several lines if quotes join them.
fn line_of(
    words: &mut Words<'_>,
    parsed: &mut Text,
    section: &mut Current,
) -> Result<(), (u32, Mistake)> {
    let mut more = !words.is_line_done();
    while more {
        let line = words.line();
        more = command(words, parsed, section).map_err(|mistake| (line, mistake))?;
        if more && words.is_at_line_end() {
            return Err((line, Mistake::EmptyCommand));
        }
        more &= !words.is_line_done();
    }
    words.skip_line();
    Ok(())
}

/// Reads one command; says whether a `;` ended it.
fn command(
    words: &mut Words<'_>,
    parsed: &mut Text,
    section: &mut Current,
) -> Result<bool, Mistake> {
    let line = words.line();
    let word = words.command();
    let command = match word.as_str() {
        "package" | "p" => Command::Package,
        "config" | "c" => Command::Config,
        "option" | "o" => Command::Option,
        "list" | "l" => Command::List,
        _ => {
            let meant = nearest(&word, COMMANDS);
            if meant == Some("config") {
                *section = Current::Unreadable;
            }
            return Err(Mistake::Command(word, meant));
        }
    };
    if command == Command::Config {
        *section = Current::Unreadable;
    }
    let first = match words.argument()? {
        Argument::Word(word) if !word.is_empty() => word,
        _ => return Err(Mistake::Insufficient(command)),
    };
    let is_valid = match command {
        Command::Package => is_name(first.replace('-', "_").as_str()),
        Command::Config => first.bytes().all(|byte| byte.is_ascii_graphic()),
        Command::Option | Command::List => is_name(&first),
    };
    if !is_valid && command == Command::Config {
        return Err(Mistake::Kind(first));
    }
    if !is_valid {
        return Err(Mistake::Name(first));
    }
    let second = match command {
        Command::Package => String::new(),
        Command::Config | Command::Option | Command::List => match words.argument()? {
            Argument::Word(word) => word,
            Argument::Semicolon | Argument::None => String::new(),
        },
    };
    let more = match words.argument()? {
        Argument::Word(surplus) => return Err(Mistake::Surplus(surplus)),
        Argument::Semicolon => true,
        Argument::None => false,
    };
    match command {
        Command::Package => parsed.packages.push((line, first)),
        Command::Config if !second.is_empty() && !is_name(&second) => {
            return Err(Mistake::Name(second));
        }
        Command::Config => {
            *section = Current::Open;
            parsed.sections.push(Section {
                kind: first,
                name: (!second.is_empty()).then_some(second),
                line,
                entries: Vec::new(),
                damaged: false,
            });
        }
        Command::Option | Command::List => match (*section, parsed.sections.last_mut()) {
            (Current::Open, Some(open)) => open.entries.push(Entry {
                list: command == Command::List,
                name: first,
                value: second,
                line,
            }),
            (Current::Unreadable, _) => {}
            _ => return Err(Mistake::NoSection),
        },
    }
    Ok(more)
}

fn is_name(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Package => "package",
            Self::Config => "config",
            Self::Option => "option",
            Self::List => "list",
        })
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(word, meant) => write!(
                f,
                "'{}' is not one of config, option, list, package{}",
                word.escape_debug(),
                DidYouMean(*meant)
            ),
            Self::Insufficient(Command::Config) => f.write_str("config: the type is missing"),
            Self::Insufficient(command) => write!(f, "{command}: the name is missing"),
            Self::Surplus(word) => write!(
                f,
                "'{}' is too much: a value with blanks needs quotes",
                word.escape_debug()
            ),
            Self::Name(word) => write!(
                f,
                "the name '{}' has other characters than letters, digits and _",
                word.escape_debug()
            ),
            Self::Kind(word) => write!(
                f,
                "the section type '{}' has other characters than printable ASCII",
                word.escape_debug()
            ),
            Self::Unterminated(quote) => {
                write!(f, "nothing closes the {quote} that is opened here")
            }
            Self::Control(c) => write!(f, "a value can't have the character {}", c.escape_debug()),
            Self::Dropped => f.write_str(
                "uci would drop what follows the ; behind a word without quotes: begin a new line",
            ),
            Self::EmptyCommand => f.write_str("uci refuses a ; at the end of a line: leave it out"),
            Self::NoSection => f.write_str("an option or list before the first config"),
            Self::TooMany => f.write_str("too many mistakes: the rest was not looked at"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(u32, String, String)> {
        let parsed = parse(text);
        assert_eq!(parsed.mistakes, [], "{text}");
        let entries = parsed
            .sections
            .into_iter()
            .flat_map(|section| section.entries);
        entries
            .map(|entry| (entry.line, entry.name, entry.value))
            .collect()
    }

    #[track_caller]
    fn values(text: &str, wanted: &[&str]) {
        let found = entries(&format!("config a\n{text}"));
        let found: Vec<&str> = found.iter().map(|(.., value)| value.as_str()).collect();
        assert_eq!(found, wanted, "{text}");
    }

    #[test]
    fn quotes_escapes_and_comments() {
        values("option x a#b", &["a"]);
        values("option x 'a#b'#c", &["a#b"]);
        values(r#"option x 'a'b"c\"d"e\ f"#, &["abc\"de f"]);
        values(r"option x 'a\'", &["a\\"]);
        values("option x \"a\\\nb\"\noption y c\\\r\nd", &["ab", "cd"]);
        values("option x y\\", &["y"]);
        values("option x # y", &[""]);
    }

    #[test]
    fn lines_are_those_where_commands_begin() {
        let found = entries("\n# x\nconfig a\n\noption x 'a\nb'\noption y \\\nc\nlist z d");
        let lines: Vec<u32> = found.iter().map(|&(line, ..)| line).collect();
        assert_eq!(lines, [5, 7, 9]);
    }

    #[test]
    fn a_semicolon_parts_commands_where_uci_sees_it() {
        values("option x 'a'; option y b ; list z c;", &["a", "b", "c"]);
        values("option x 'a'; # b", &["a"]);
        values("option x a; # b", &["a"]);
        let mistakes = |text: &str| parse(&format!("config a\n{text}\n")).mistakes;
        assert_eq!(mistakes("option x a; option y b"), [(2, Mistake::Dropped)]);
        assert_eq!(mistakes("option x 'a';"), [(2, Mistake::EmptyCommand)]);
        let surplus = Mistake::Surplus("option".to_owned());
        assert_eq!(mistakes("option x ; option y b"), [(2, surplus)]);
    }

    #[test]
    fn a_forgotten_quote_costs_one_line() {
        let parsed = parse("config a\noption x 'b\nconfig c\noption y d\n");
        assert_eq!(parsed.mistakes, [(2, Mistake::Unterminated('\''))]);
        let kinds: Vec<&str> = parsed.sections.iter().map(|s| s.kind.as_str()).collect();
        assert_eq!(kinds, ["a", "c"]);
        assert!(parsed.sections[0].damaged && !parsed.sections[1].damaged);
    }

    #[test]
    fn options_of_a_section_that_cannot_be_read_go_nowhere() {
        let parsed = parse("config a\nconfig b b b\noption x y\n");
        assert!(parsed.damaged);
        assert_eq!(parsed.sections.len(), 1);
        assert_eq!(parsed.sections[0].entries, []);
    }
}
