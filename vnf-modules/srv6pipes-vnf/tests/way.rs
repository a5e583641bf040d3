//! Where a function sends flows, and what it hears of them, by way of C.
#![allow(unsafe_code, reason = "plays the host")]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod fake;

use std::ffi::{CStr, c_int, c_void};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::ptr;
use std::time::Duration;

use fake::{Host, Setup};
use srv6pipes_vnf::shim::describe;
use srv6pipes_vnf::{
    Direction, Flow, FlowInfo, Function, Log, Progress, Reason, Report, Route, Routed, abi,
};

/// Sends flows by their argument to `server_address` ff…, or does something that it may not.
struct Guide {
    log: Log,
}

/// Writes its reports into the log; panics when the flow has moved 13 bytes.
struct Guided {
    log: Log,
}

impl Function for Guide {
    const NAME: &CStr = c"guide";
    const SUMMARY: &CStr = c"sends flows elsewhere";
    const VERSION: &CStr = c"1";
    const ROUTES: bool = true;
    type Flow = Guided;

    fn init(setup: &srv6pipes_vnf::Setup) -> Result<Self, Reason> {
        Ok(Self { log: setup.log() })
    }

    fn spawn(&self, _flow: &FlowInfo) -> Result<Guided, Reason> {
        Ok(Guided { log: self.log })
    }

    fn route(&self, flow: &FlowInfo, route: &mut Route) -> Result<(), Reason> {
        assert_eq!((flow.id, route.choice), (1, 0));
        assert_ne!(flow.argument, 13, "in route");
        self.log.info(format_args!("{:?}", route.next_segment));
        let elsewhere = Ipv6Addr::from([0xfe; 16]);
        route.server = SocketAddrV6::new(elsewhere, 81, 0, 0);
        route.choice = u64::from(route.attempt) + 40;
        match flow.argument {
            0 => {}
            1 => route.next_segment = Some(elsewhere),
            2 => route.next_segment = None,
            _ => return Err("there is nowhere to go".into()),
        }
        Ok(())
    }

    fn routed(&self, choice: u64, event: Routed) {
        assert_ne!(choice, 13, "in routed");
        self.log.info(format_args!("{choice} {event:?}"));
    }
}

impl Flow for Guided {
    const REPORTS: bool = true;

    fn process(
        &mut self,
        _direction: Direction,
        _input: &[u8],
        _output: &mut [u8],
        _end: bool,
    ) -> Result<Progress, Reason> {
        Ok(Progress::pass(0, 0))
    }

    fn report(&mut self, report: &Report) {
        assert_ne!(report.upstream_in, 13, "in report");
        self.log.info(format_args!("{report:?}"));
    }
}

/// The guide, made ready.
fn guide(host: &'static Host) -> (abi::Func, *mut c_void) {
    let guide = describe::<Guide>();
    let (code, state) = Setup::new(host, &[]).init(&guide);
    assert_eq!(code, 0);
    (guide, state)
}

fn place(has_next_segment: bool) -> abi::Route {
    abi::Route {
        struct_size: 0,
        attempt: 2,
        server_address: [1; 16],
        next_segment: [if has_next_segment { 2 } else { 0 }; 16],
        server_port: 80,
        has_next_segment: has_next_segment.into(),
        choice: 0,
    }
}

/// What the function writes: the server, its port, the next segment, its choice.
fn written(place: &abi::Route) -> ([u8; 16], u16, [u8; 16], u64) {
    let abi::Route {
        server_address,
        server_port,
        next_segment,
        choice,
        ..
    } = *place;
    (server_address, server_port, next_segment, choice)
}

#[test]
fn a_route_may_be_changed_but_not_in_its_length() {
    let host = Host::leak();
    let (guide, state) = guide(host);
    let route = |argument, place: &mut abi::Route| -> c_int {
        let flow = fake::flow(argument);
        // SAFETY: all of it outlives the call.
        unsafe { guide.func_route.unwrap()(state, &raw const flow, place) }
    };
    let mut to_server = place(false);
    assert_eq!(route(0, &mut to_server), 0);
    let (elsewhere, nowhere) = ([0xfe; 16], [0; 16]);
    assert_eq!(written(&to_server), (elsewhere, 81, nowhere, 42));
    let mut by_segment = place(true);
    assert_eq!(route(0, &mut by_segment), 0);
    assert_eq!(written(&by_segment), (elsewhere, 81, [2; 16], 42));
    let mut by_another = place(true);
    assert_eq!(route(1, &mut by_another), 0);
    assert_eq!(written(&by_another), (elsewhere, 81, elsewhere, 42));
    assert_eq!(by_another.has_next_segment, 1);
    let last = host.logged().pop();
    assert_eq!(last.unwrap(), "3 Some(202:202:202:202:202:202:202:202)");

    for (argument, has_next, code) in [(1, false, 1), (2, true, 1), (3, true, 1), (13, true, 2)] {
        let mut untouched = place(has_next);
        assert_eq!(route(argument, &mut untouched), code, "{argument}");
        assert_eq!(written(&untouched), written(&place(has_next)));
    }
    let logged = host.logged();
    let reasons = [
        "4 route neither adds a next segment nor takes it away",
        "4 there is nowhere to go",
    ];
    assert!(
        reasons
            .iter()
            .all(|reason| logged.iter().any(|line| line == reason))
    );
    assert!(logged.last().unwrap().contains("in route"), "{logged:?}");

    let call = guide.func_route.unwrap();
    let (flow, mut any) = (fake::flow(0), place(false));
    for (state, flow, route) in [
        (ptr::null_mut(), &raw const flow, &raw mut any),
        (state, ptr::null(), &raw mut any),
        (state, &raw const flow, ptr::null_mut()),
    ] {
        // SAFETY: null is what is tested.
        let code = unsafe { call(state, flow, route) };
        assert_eq!(code, 3);
    }
    fake::end(&guide, state, &[]);
}

#[test]
fn what_became_of_a_choice_is_heard() {
    let host = Host::leak();
    let (guide, state) = guide(host);
    let routed = |state, choice, event| {
        // SAFETY: null, or of `func_init`.
        unsafe { guide.func_routed.unwrap()(state, choice, event) };
    };
    for event in [
        abi::ROUTE_CONNECTED,
        abi::ROUTE_FAILED,
        abi::ROUTE_DROPPED,
        abi::ROUTE_ENDED,
        4,
    ] {
        routed(state, u64::MAX, event);
    }
    routed(ptr::null_mut(), 1, abi::ROUTE_FAILED);
    let heard = ["Connected", "Failed", "Dropped", "Ended"];
    let heard = heard.map(|event| format!("3 {} {event}", u64::MAX));
    assert_eq!(host.logged(), heard);
    routed(state, 13, abi::ROUTE_FAILED);
    assert!(host.logged()[4].contains("in routed"));
    fake::end(&guide, state, &[]);
}

#[test]
fn a_report_comes_in_durations() {
    let host = Host::leak();
    let (guide, state) = guide(host);
    let (_, flow) = fake::spawn(&guide, state, &fake::flow(0));
    let report = |flow, report: *const abi::Report| {
        // SAFETY: null, or of `func_spawn`, and what outlives the call.
        unsafe { guide.func_report.unwrap()(flow, report) };
    };
    let mut of_c = abi::Report {
        struct_size: 0,
        flags: 0,
        upstream_in_bytes: 1,
        upstream_out_bytes: 2,
        downstream_in_bytes: 3,
        downstream_out_bytes: u64::MAX,
        age_us: 1_500_000,
        client_rtt_us: 0,
        connect_us: 7,
        first_byte_us: 0,
    };
    let mut expected = Report {
        last: false,
        upstream_in: 1,
        upstream_out: 2,
        downstream_in: 3,
        downstream_out: u64::MAX,
        age: Duration::from_millis(1500),
        client_rtt: None,
        connect: Some(Duration::from_micros(7)),
        first_byte: None,
    };
    report(flow, &raw const of_c);
    // Bits of later versions are ignored.
    of_c.flags = abi::REPORT_LAST | 1 << 31;
    report(flow, &raw const of_c);
    report(ptr::null_mut(), &raw const of_c);
    report(flow, ptr::null());
    let first = format!("3 {expected:?}");
    expected.last = true;
    assert_eq!(host.logged(), [first, format!("3 {expected:?}")]);
    of_c.upstream_in_bytes = 13;
    report(flow, &raw const of_c);
    assert!(host.logged()[2].contains("in report"));
    fake::end(&guide, state, &[flow]);
}
