//! What the operator configured: the options of one `config function` section, read so that every
//! mistake is told at once, with the line it stands on.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Display};
use std::ops::RangeInclusive;

use crate::host::{Counters, Host, Log, Waker};
use crate::module::Function;

/// One `option`, or one value of a `list`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given<'a> {
    /// Its name.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
    index: usize,
}

/// What is wrong with an option, or with the section as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Which of the options, counted from 0; `None`: the section.
    pub option: Option<usize>,
    /// What is wrong, without the option's name.
    pub text: String,
}

/// The section's options, during [`Function::init`].
///
/// An option that nobody asks for is a mistake, too: a name mistyped must not pass in silence.
#[derive(Debug)]
pub struct Setup<'a> {
    given: Vec<Given<'a>>,
    asked: Vec<Cell<bool>>,
    complaints: RefCell<Vec<Complaint>>,
    host: Host,
    function_id: u16,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(
        options: impl IntoIterator<Item = (&'a str, &'a str)>,
        host: Host,
        function_id: u16,
    ) -> Self {
        let given: Vec<Given<'_>> = options
            .into_iter()
            .enumerate()
            .map(|(index, (key, value))| Given { key, value, index })
            .collect();
        Self {
            asked: given.iter().map(|_| Cell::new(false)).collect(),
            given,
            complaints: RefCell::default(),
            host,
            function_id,
        }
    }

    /// A configuration without a host, whose log goes nowhere: for the unit tests of a module.
    #[must_use]
    pub fn detached(options: &[(&'a str, &'a str)]) -> Self {
        Self::new(options.iter().copied(), Host::nowhere(), 0)
    }

    /// Makes the function, as the host has it made.
    ///
    /// # Errors
    /// All that it complained of, the options it never asked for included.
    pub fn make<F: Function>(&self) -> Result<F, Vec<Complaint>> {
        let made = F::init(self);
        if let Err(reason) = &made {
            self.add(None, reason.to_string());
        } else {
            for given in &self.given {
                if !self.asked[given.index].replace(true) {
                    self.add(Some(given.index), "no such option".to_owned());
                }
            }
        }
        match made {
            Ok(function) if self.complaints.borrow().is_empty() => Ok(function),
            _ => Err(self.complaints.take()),
        }
    }

    /// The 16 function bits of the section's SIDs.
    #[must_use]
    pub const fn function_id(&self) -> u16 {
        self.function_id
    }

    /// All options that are not the host's own, in the order of the file; a list is several of
    /// one key. Whoever takes them so judges them all.
    #[must_use]
    pub fn options(&self) -> &[Given<'a>] {
        for asked in &self.asked {
            asked.set(true);
        }
        &self.given
    }

    /// The values of a list, in the order of the file.
    #[must_use]
    pub fn list(&self, key: &str) -> Vec<Given<'a>> {
        let values = self.given.iter().filter(|given| given.key == key);
        values
            .inspect(|given| self.asked[given.index].set(true))
            .copied()
            .collect()
    }

    /// An option; the last one, if there are several, as UCI has it.
    #[must_use]
    pub fn given(&self, key: &str) -> Option<Given<'a>> {
        self.list(key).pop()
    }

    /// The value of an option.
    #[must_use]
    pub fn option(&self, key: &str) -> Option<&'a str> {
        self.given(key).map(|given| given.value)
    }

    /// A number, decimal or `0x…`; anything else is complained of, and then there is none.
    #[must_use]
    pub fn number(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let given = self.given(key)?;
        let number = match given.value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => given.value.parse(),
        };
        match number {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let (least, most) = (range.start(), range.end());
                self.complain(&given, format!("must be a number from {least} to {most}"));
                None
            }
        }
    }

    /// Yes or no, as UCI writes them; anything else is complained of, and then it is neither.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        let given = self.given(key)?;
        match given.value {
            "1" | "on" | "true" | "yes" | "enabled" => Some(true),
            "0" | "off" | "false" | "no" | "disabled" => Some(false),
            _ => {
                self.complain(&given, "must be '0' or '1'");
                None
            }
        }
    }

    /// One of some words; another one is complained of, and then it is none.
    #[must_use]
    pub fn choice<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let given = self.given(key)?;
        let found = words.iter().find(|(word, _)| *word == given.value);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.complain(&given, format!("must be one of: {}", words.join(", ")));
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// Something is wrong with this option. Go on afterwards: all mistakes are told at once, and
    /// the function is refused once [`Function::init`] is through, whatever it returns.
    pub fn complain(&self, given: &Given<'_>, message: impl Display) {
        self.add(Some(given.index), message.to_string());
    }

    /// A way to the host's log that may be kept.
    #[must_use]
    pub const fn log(&self) -> Log {
        Log(self.host)
    }

    /// A way to wake flows that may be kept.
    #[must_use]
    pub const fn waker(&self) -> Waker {
        Waker(self.host)
    }

    /// A way to the function's counters that may be kept.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        Counters(self.host)
    }

    fn add(&self, option: Option<usize>, text: String) {
        self.complaints
            .borrow_mut()
            .push(Complaint { option, text });
    }
}

impl Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
