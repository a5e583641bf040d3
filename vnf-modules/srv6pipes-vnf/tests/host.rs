//! What a function can ask of its host: the log, wake-ups, counters; from every thread, and of a
//! host that has none of it.
#![allow(unsafe_code, reason = "plays the host")]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod fake;

use std::ffi::CStr;
use std::{ptr, thread};

use fake::{Host, Setup};
use srv6pipes_vnf::shim::describe;
use srv6pipes_vnf::{
    Counter, Counters, Direction, Flow, FlowInfo, Function, Log, Progress, Reason, Waker, abi,
};

/// Counts, wakes and logs from a thread of its own, until that is over.
struct Busy {
    log: Log,
    waker: Waker,
    counters: Counters,
    flows: Counter,
}

struct BusyFlow {
    bytes: Counter,
}

impl Function for Busy {
    const NAME: &CStr = c"busy";
    const SUMMARY: &CStr = c"does what a host can do";
    const VERSION: &CStr = c"1";
    type Flow = BusyFlow;

    fn init(setup: &srv6pipes_vnf::Setup) -> Result<Self, Reason> {
        Ok(Self {
            log: setup.log(),
            waker: setup.waker(),
            counters: setup.counters(),
            flows: setup.counters().open("seen_flows", ""),
        })
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<BusyFlow, Reason> {
        self.flows.one();
        let (id, log, waker) = (flow.id, self.log, self.waker);
        thread::spawn(move || {
            waker.wake(id);
            log.error("an error\0 in two pieces");
            log.warn("a warning");
        })
        .join()
        .map_err(|_| "the thread panicked")?;
        Ok(BusyFlow {
            bytes: self.counters.open("passed_bytes", "direction=up\0down"),
        })
    }
}

impl Flow for BusyFlow {
    fn process(
        &mut self,
        _direction: Direction,
        input: &[u8],
        _output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        self.bytes.add(input.len() as u64);
        if end {
            self.bytes.set(99);
        }
        Ok(Progress::pass(0, 0))
    }
}

/// A function with one flow that has seen `hello` and the end, and the two states.
fn run(host: &'static Host) {
    let busy = describe::<Busy>();
    let setup = Setup::new(host, &[]);
    let (code, function) = setup.init(&busy);
    assert_eq!((code, setup.complaints()), (0, vec![]));
    let (code, flow) = fake::spawn(&busy, function, &fake::flow(0));
    assert_eq!(code, 0);
    fake::process(&busy, flow, abi::UPSTREAM, b"hello", &mut [0], 0);
    let counted = host.counters();
    if !counted.is_empty() {
        assert_eq!(counted[1].1, 5, "{counted:?}");
    }
    fake::process(&busy, flow, abi::UPSTREAM, b"", &mut [0], abi::END);
    fake::end(&busy, function, &[flow]);
}

#[test]
fn all_of_it_may_be_asked() {
    let host = Host::leak();
    run(host);
    assert_eq!(host.woken(), [1]);
    let expected = ["1 an error in two pieces", "2 a warning"];
    assert_eq!(host.logged(), expected);
    // Opened once each, and given back once.
    let expected = [
        ("seen_flows[]".to_owned(), 1, 1),
        ("passed_bytes[direction=updown]".to_owned(), 99, 1),
    ];
    assert_eq!(host.counters(), expected);
}

#[test]
fn a_host_may_lack_any_of_it() {
    static NOTHING: abi::Counters = abi::Counters {
        struct_size: 0,
        open: None,
        add: None,
        set: None,
        close: None,
    };
    unsafe extern "C" fn none(
        _: *const abi::Host,
        _: *const std::ffi::c_char,
    ) -> *const std::ffi::c_void {
        ptr::null()
    }
    unsafe extern "C" fn nothing(
        _: *const abi::Host,
        _: *const std::ffi::c_char,
    ) -> *const std::ffi::c_void {
        ptr::from_ref(&NOTHING).cast()
    }
    let lacks: [fn(&mut abi::Host); 3] = [
        |host| {
            host.log = None;
            host.wake = None;
            host.get_extension = None;
        },
        |host| host.get_extension = Some(none),
        |host| host.get_extension = Some(nothing),
    ];
    for change in lacks {
        let host = Host::leak_without(change);
        run(host);
        assert_eq!(host.counters(), []);
    }
}

#[test]
fn a_counter_that_the_host_refuses_counts_nowhere() {
    struct Asks;
    impl Function for Asks {
        const NAME: &CStr = c"asks";
        const SUMMARY: &CStr = c"opens a counter that it does not get";
        const VERSION: &CStr = c"1";
        type Flow = BusyFlow;

        fn init(setup: &srv6pipes_vnf::Setup) -> Result<Self, Reason> {
            let refused = setup.counters().open("none", "");
            assert!(!refused.counts());
            refused.add(1);
            refused.set(2);
            refused.one();
            assert!(setup.counters().open("some", "").counts());
            Ok(Self)
        }

        fn spawn(&self, _flow: &FlowInfo) -> Result<BusyFlow, Reason> {
            Err("never".into())
        }
    }
    let host = Host::leak();
    let asks = describe::<Asks>();
    let (code, function) = Setup::new(host, &[]).init(&asks);
    assert_eq!(code, 0);
    fake::end(&asks, function, &[]);
    assert_eq!(host.counters(), [("some[]".to_owned(), 0, 1)]);
}

#[test]
fn without_a_host_nothing_happens() {
    let setup = srv6pipes_vnf::Setup::detached(&[]);
    setup.log().error("to nobody");
    setup.waker().wake(1);
    assert!(!setup.counters().open("a_flows", "").counts());
}
