//! What the operator is told of a configuration, by way of C.
#![allow(unsafe_code, reason = "plays the host")]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod fake;

use std::ffi::CStr;
use std::ptr;

use fake::{Host, Setup};
use srv6pipes_vnf::shim::describe;
use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Progress, Reason, abi};

/// Wants a level, a colour and a way, and refuses `option refuse`.
#[derive(Debug)]
struct Picky;

impl Function for Picky {
    const NAME: &CStr = c"picky";
    const SUMMARY: &CStr = c"likes few options";
    const VERSION: &CStr = c"1";
    type Flow = Self;

    fn init(setup: &srv6pipes_vnf::Setup) -> Result<Self, Reason> {
        assert_eq!(setup.function_id(), 7);
        let _ = setup.number("level", 1..=9);
        let _ = setup.flag("quiet");
        let _ = setup.choice("way", &[("up", 1), ("down", 2)]);
        for given in setup.list("word") {
            if given.value.contains(' ') {
                setup.complain(&given, format_args!("'{}' is two words\0", given.value));
            }
        }
        match setup.option("do") {
            Some("refuse") => Err("this is not what it should be".into()),
            Some("panic") => panic!("in init"),
            _ => Ok(Self),
        }
    }

    fn spawn(&self, _flow: &FlowInfo) -> Result<Self, Reason> {
        Ok(Self)
    }
}

impl Flow for Picky {
    fn process(
        &mut self,
        _direction: Direction,
        _input: &[u8],
        _output: &mut [u8],
        _end: bool,
    ) -> Result<Progress, Reason> {
        Ok(Progress::pass(0, 0))
    }
}

/// The answer of `func_init`, the complaints and the log.
fn told(options: &[(&'static CStr, &'static CStr)]) -> (i32, Vec<String>, Vec<String>) {
    let host = Host::leak();
    let setup = Setup::new(host, options);
    let picky = describe::<Picky>();
    let (code, state) = setup.init(&picky);
    assert_eq!(state.is_null(), code != 0);
    fake::end(&picky, state, &[]);
    let complaints = setup.complaints().into_iter();
    let complaints = complaints.map(|(option, text)| match option {
        Some(index) => format!("{index}: {text}"),
        None => text,
    });
    (code, complaints.collect(), host.logged())
}

#[test]
fn all_mistakes_are_told_at_once_each_at_its_option() {
    let fine = [
        (c"level", c"0x9"),
        (c"quiet", c"on"),
        (c"way", c"down"),
        (c"word", c"a"),
        (c"word", c"b"),
    ];
    assert_eq!(told(&fine), (0, vec![], vec![]));
    let (code, complaints, log) = told(&[
        (c"wey", c"up"),
        (c"word", c"two words"),
        (c"way", c"sideways"),
        (c"quiet", c"maybe"),
        (c"level", c"10"),
        (c"word", c"one"),
        (c"wey", c"up"),
    ]);
    assert_eq!((code, log), (1, vec![]));
    let expected = [
        "4: must be a number from 1 to 9",
        "3: must be '0' or '1'",
        "2: must be one of: up, down",
        "1: 'two words' is two words",
        "0: no such option",
        "6: no such option",
    ];
    assert_eq!(complaints, expected);
}

#[test]
fn a_refusal_is_a_complaint_about_the_section() {
    let (code, complaints, log) = told(&[(c"do", c"refuse"), (c"level", c"0"), (c"typo", c"")]);
    assert_eq!((code, log), (1, vec![]));
    // Whoever gives up early has not asked for all that it knows.
    let expected = [
        "1: must be a number from 1 to 9",
        "this is not what it should be",
    ];
    assert_eq!(complaints, expected);
}

#[test]
fn a_panic_is_none_but_stands_in_the_log() {
    let (code, complaints, log) = told(&[(c"do", c"panic")]);
    assert_eq!((code, complaints), (2, vec![]));
    assert!(log[0].starts_with("1 panicked at ") && log[0].contains("in init"));
}

#[test]
fn without_an_ear_the_log_is_told() {
    let host = Host::leak();
    let setup = Setup::new(host, &[(c"level", c"x")]);
    let deaf = setup.with(|setup| setup.complain = None);
    assert_eq!(deaf.init(&describe::<Picky>()), (1, ptr::null_mut()));
    assert_eq!(host.logged(), ["1 must be a number from 1 to 9"]);
}

#[test]
fn options_that_are_no_text_are_refused() {
    let not_text = [
        abi::ConfigOption {
            key: c"level".as_ptr(),
            value: c"\xff".as_ptr(),
        },
        abi::ConfigOption {
            key: ptr::null(),
            value: c"".as_ptr(),
        },
    ];
    for option in not_text {
        let setup = Setup::new(Host::leak(), &[]).with(|setup| {
            setup.options = &raw const option;
            setup.option_count = 1;
        });
        assert_eq!(setup.init(&describe::<Picky>()).0, 1);
        let expected = (None, "an option is not UTF-8".to_owned());
        assert_eq!(setup.complaints(), [expected]);
    }
}
