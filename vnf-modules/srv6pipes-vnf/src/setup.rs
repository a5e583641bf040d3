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
        let (digits, radix) = match given.value.strip_prefix("0x") {
            Some(hex) => (hex, 16),
            None => (given.value, 10),
        };
        // The standard library would take a sign as well.
        let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match u64::from_str_radix(digits, radix) {
            Ok(number) if is_number && range.contains(&number) => Some(number),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What `read` makes of one option, and what is said of it.
    fn of<T>(value: &str, read: impl Fn(&Setup) -> Option<T>) -> Result<T, String> {
        let options = [("key", value)];
        let setup = Setup::detached(&options);
        let read = read(&setup);
        match (read, setup.complaints.take().pop()) {
            (Some(read), None) => Ok(read),
            (None, Some(complaint)) => {
                assert_eq!(complaint.option, Some(0));
                Err(complaint.to_string())
            }
            (read, complaint) => panic!("read: {}, {complaint:?}", read.is_some()),
        }
    }

    #[test]
    fn a_number_is_within_its_range() {
        let number = |text| of(text, |setup| setup.number("key", 3..=0x20));
        for (text, read) in [("3", 3), ("32", 32), ("007", 7), ("0x20", 32), ("0x1F", 31)] {
            assert_eq!(number(text), Ok(read), "{text}");
        }
        let out = "must be a number from 3 to 32".to_owned();
        let wrong = [
            "",
            " ",
            "2",
            "33",
            "-3",
            "+4",
            "0x+4",
            "0x",
            "0X10",
            "1e1",
            "4 ",
            "a",
            "18446744073709551616",
            "0x10000000000000003",
        ];
        for text in wrong {
            assert_eq!(number(text), Err(out.clone()), "{text:?}");
        }
        let all = |text| of(text, |setup| setup.number("key", 0..=u64::MAX));
        assert_eq!(all("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(all("0xffffffffffffffff"), Ok(u64::MAX));
    }

    #[test]
    fn a_flag_is_said_as_uci_says_it() {
        let flag = |text| of(text, |setup| setup.flag("key"));
        for (word, read) in [("1", true), ("enabled", true), ("0", false), ("off", false)] {
            assert_eq!(flag(word), Ok(read), "{word}");
        }
        for word in ["", "2", "On", "ja"] {
            assert_eq!(flag(word), Err("must be '0' or '1'".to_owned()), "{word}");
        }
    }

    #[test]
    fn a_choice_is_one_of_its_words() {
        let choice = |text| of(text, |setup| setup.choice("key", &[("up", 1), ("down", 2)]));
        assert_eq!(choice("down"), Ok(2));
        for word in ["", "UP", "sideways"] {
            assert_eq!(choice(word), Err("must be one of: up, down".to_owned()));
        }
    }

    #[test]
    fn what_is_absent_is_no_mistake() {
        let setup = Setup::detached(&[]);
        assert_eq!(setup.number("key", 1..=1), None);
        assert_eq!(setup.flag("key"), None);
        assert_eq!(setup.choice("key", &[("a", 1)]), None);
        assert_eq!((setup.option("key"), setup.list("key")), (None, vec![]));
        assert!(setup.complaints.borrow().is_empty());
        assert_eq!((setup.function_id(), setup.options()), (0, &[][..]));
    }

    #[test]
    fn of_several_the_last_counts_and_a_list_has_them_all() {
        let options = [("key", "9"), ("other", "x"), ("key", "1")];
        let setup = Setup::detached(&options);
        assert_eq!(setup.option("key"), Some("1"));
        assert_eq!(setup.number("key", 1..=1), Some(1));
        let values: Vec<_> = setup.list("key").iter().map(|given| given.value).collect();
        assert_eq!(values, ["9", "1"]);
        setup.complain(&setup.given("other").unwrap(), "is odd");
        let odd = Complaint {
            option: Some(1),
            text: "is odd".to_owned(),
        };
        assert_eq!(setup.complaints.take(), [odd]);
    }

    /// Asks as its first option says.
    #[derive(Debug)]
    struct Asks;

    impl Function for Asks {
        const NAME: &std::ffi::CStr = c"asks";
        const SUMMARY: &std::ffi::CStr = c"asks as it is told";
        const VERSION: &std::ffi::CStr = c"1";
        type Flow = Self;

        fn init(setup: &Setup) -> Result<Self, crate::Reason> {
            match setup.option("how") {
                Some("all") => assert_eq!(setup.options().len(), 3),
                Some("error") => return Err("no".into()),
                _ => {}
            }
            Ok(Self)
        }

        fn spawn(&self, _flow: &crate::FlowInfo) -> Result<Self, crate::Reason> {
            Ok(Self)
        }
    }

    impl crate::Flow for Asks {
        fn process(
            &mut self,
            _direction: crate::Direction,
            _input: &[u8],
            _output: &mut [u8],
            _end: bool,
        ) -> Result<crate::Progress, crate::Reason> {
            Ok(crate::Progress::pass(0, 0))
        }
    }

    #[test]
    fn an_option_nobody_asks_for_is_a_mistake() {
        let make = |how| {
            let options = [("how", how), ("a", "1"), ("b", "2")];
            Setup::detached(&options).make::<Asks>()
        };
        let complaint = |option, text: &str| Complaint {
            option,
            text: text.to_owned(),
        };
        make("all").unwrap();
        let unknown = [1, 2].map(|index| complaint(Some(index), "no such option"));
        assert_eq!(make("one by one").unwrap_err(), unknown);
        assert_eq!(make("error").unwrap_err(), [complaint(None, "no")]);
    }
}
