//! The glue as a host in C meets it: pointers of all kinds, and a state that is made and freed.
#![allow(unsafe_code, reason = "plays the host")]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod fake;

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use fake::{Host, Setup};
use srv6pipes_vnf::shim::{describe, last};
use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Log, Progress, Reason, Verdict, abi};

static ALIVE: AtomicUsize = AtomicUsize::new(0);

struct Parrot {
    word: String,
    log: Log,
}

struct ParrotFlow {
    said: Vec<u8>,
}

impl Function for Parrot {
    const NAME: &CStr = c"parrot";
    const SUMMARY: &CStr = c"says its word, whatever it hears";
    const VERSION: &CStr = srv6pipes_vnf::package_version!();
    const PASS_AT_ONCE: bool = true;
    const SPEAKS_FIRST: bool = true;
    const FAILS_CLOSED: bool = true;
    type Flow = ParrotFlow;

    fn init(setup: &srv6pipes_vnf::Setup) -> Result<Self, Reason> {
        let word = setup.option("word").ok_or("no word")?;
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            word: word.to_owned(),
            log: setup.log(),
        })
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<ParrotFlow, Reason> {
        self.log
            .info(format_args!("{} {}\0", flow.client, flow.argument));
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Ok(ParrotFlow {
            said: self.word.clone().into_bytes(),
        })
    }
}

impl Drop for Parrot {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Flow for ParrotFlow {
    fn process(
        &mut self,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
        end: bool,
    ) -> Result<Progress, Reason> {
        if direction == Direction::Downstream {
            return Err("only upstream".into());
        }
        let n = self.said.len().min(output.len());
        output[..n].copy_from_slice(&self.said[..n]);
        self.said.drain(..n);
        let done = if end {
            Progress::finished
        } else {
            Progress::more
        };
        Ok(done(input.len(), n))
    }
}

impl Drop for ParrotFlow {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `func_process` of the parrot.
fn process(
    flow: *mut c_void,
    direction: u32,
    input: &[u8],
    output: &mut [u8],
    flags: u32,
) -> (usize, usize, u32) {
    let parrot = describe::<Parrot>();
    let result = fake::process(&parrot, flow, direction, input, output, flags);
    (result.consumed, result.produced, result.verdict)
}

#[test]
fn a_flow_lives_from_spawn_to_despawn() {
    let parrot = describe::<Parrot>();
    let capabilities = abi::CAP_PASS_AT_ONCE | abi::CAP_SPEAKS_FIRST | abi::CAP_FAILS_CLOSED;
    assert_eq!(parrot.capabilities, capabilities);
    let calls = (parrot.func_route, parrot.func_routed, parrot.func_report);
    assert!(matches!(calls, (None, None, None)), "it wants none of them");
    let host = Host::leak();
    let setup = Setup::new(host, &[(c"word", c"no"), (c"word", c"hello")]);
    let (code, function) = setup.init(&parrot);
    assert_eq!((code, setup.complaints()), (0, vec![]));
    let (code, state) = fake::spawn(&parrot, function, &fake::flow(7));
    assert_eq!(code, 0);

    let mut output = [0; 3];
    assert_eq!(
        process(state, abi::UPSTREAM, b"??", &mut output, 0),
        (2, 3, abi::MORE)
    );
    assert_eq!(&output, b"hel");
    let done = process(state, abi::UPSTREAM, b"", &mut output, abi::END | 1 << 31);
    assert_eq!((done, &output), ((0, 2, abi::FINISHED), b"lol"));
    assert_eq!(
        process(state, abi::DOWNSTREAM, b"", &mut output, 0),
        (0, 0, abi::ERROR)
    );
    assert_eq!(process(state, 2, b"", &mut output, 0), (0, 0, abi::ERROR));
    assert_eq!(ALIVE.load(Ordering::Relaxed), 2);
    fake::end(&parrot, function, &[state]);
    assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
    assert_eq!(host.logged(), ["3 [::1]:9 7", "4 only upstream"]);
}

#[test]
fn null_pointers_are_answered_not_followed() {
    let parrot = describe::<Parrot>();
    let mut place = ptr::null_mut();
    // SAFETY: null is what is tested.
    let code = unsafe { parrot.func_init.unwrap()(ptr::null(), &raw mut place) };
    assert_eq!(code, 3);
    let mute = Host::leak_without(|host| {
        host.log = None;
        host.wake = None;
        host.get_extension = None;
    });
    let none = Setup::new(mute, &[]).with(|setup| {
        setup.options = ptr::null();
        setup.complain = None;
    });
    assert_eq!(none.init(&parrot), (1, ptr::null_mut()), "no word");
    let nobody = Setup::new(mute, &[]).with(|setup| setup.host = ptr::null());
    assert_eq!(nobody.init(&parrot).0, 1);
    assert_eq!(nobody.complaints(), [(None, "no word".to_owned())]);
    let flow = fake::flow(0);
    assert_eq!(fake::spawn(&parrot, ptr::null_mut(), &flow).0, 3);
    // SAFETY: as above.
    let code = unsafe { parrot.func_spawn.unwrap()(ptr::null_mut(), ptr::null(), &raw mut place) };
    assert_eq!(code, 3);
    assert_eq!(
        process(ptr::null_mut(), abi::UPSTREAM, b"x", &mut [0], 0),
        (0, 0, abi::ERROR)
    );
    fake::end(&parrot, ptr::null_mut(), &[ptr::null_mut()]);
    assert_eq!((last().struct_size, last().name), (0, ptr::null()));
}

/// Buffers that are null, of a flow that is not.
#[test]
fn null_buffers_are_answered_not_followed() {
    let waits = describe::<Waits>();
    let setup = Setup::new(Host::leak(), &[]);
    let (_, function) = setup.init(&waits);
    let (_, flow) = fake::spawn(&waits, function, &fake::flow(0));
    let call = waits.func_process.unwrap();
    let mut room = [0; 4];
    for (in_len, out_cap, verdict) in [(0, 0, abi::WAIT), (1, 0, abi::ERROR), (0, 1, abi::ERROR)] {
        let (from, to) = (ptr::null(), ptr::null_mut());
        // SAFETY: null is what is tested.
        let result = unsafe { call(flow, abi::UPSTREAM, from, in_len, to, out_cap, 0) };
        assert_eq!(result.verdict, verdict, "{in_len} {out_cap}");
    }
    let result = fake::process(&waits, flow, abi::UPSTREAM, b"xy", &mut room, 0);
    assert_eq!((result.consumed, result.produced), (1, 0));
    fake::end(&waits, function, &[flow]);
}

/// Answers with whatever the byte says.
struct Waits;

impl Function for Waits {
    const NAME: &CStr = c"waits";
    const SUMMARY: &CStr = c"gives every verdict there is";
    const VERSION: &CStr = c"1";
    const READS_FILES: bool = true;
    type Flow = Self;

    fn init(_setup: &srv6pipes_vnf::Setup) -> Result<Self, Reason> {
        Ok(Self)
    }

    fn spawn(&self, flow: &FlowInfo) -> Result<Self, Reason> {
        assert_ne!(flow.argument, 13, "in spawn");
        Ok(Self)
    }
}

impl Flow for Waits {
    fn process(
        &mut self,
        _direction: Direction,
        input: &[u8],
        _output: &mut [u8],
        _end: bool,
    ) -> Result<Progress, Reason> {
        let verdict = match input.first() {
            Some(b'f') => Verdict::Finished,
            Some(b'p') => Verdict::Pass,
            Some(b'c') => Verdict::Close,
            Some(b'r') => Verdict::Reset,
            Some(b'w') => Verdict::Wait(250),
            Some(b'!') => panic!("in process"),
            Some(_) => Verdict::More,
            None => Verdict::Wait(0),
        };
        Ok(Progress {
            consumed: input.len().min(1),
            produced: 0,
            verdict,
        })
    }
}

#[test]
fn every_verdict_crosses_and_a_panic_does_not() {
    let waits = describe::<Waits>();
    assert_eq!(waits.capabilities, abi::CAP_READS_FILES);
    let host = Host::leak();
    let setup = Setup::new(host, &[]);
    let (_, function) = setup.init(&waits);
    let (_, flow) = fake::spawn(&waits, function, &fake::flow(0));
    for (input, verdict, ms) in [
        ("x", abi::MORE, 0),
        ("f", abi::FINISHED, 0),
        ("p", abi::PASS, 0),
        ("c", abi::CLOSE, 0),
        ("r", abi::RESET, 0),
        ("w", abi::WAIT, 250),
        ("", abi::WAIT, 0),
        ("!", abi::ERROR, 0),
    ] {
        let bytes = input.as_bytes();
        let result = fake::process(&waits, flow, abi::UPSTREAM, bytes, &mut [0], 0);
        assert_eq!((result.verdict, result.wait_ms), (verdict, ms), "{input}");
    }
    assert_eq!(fake::spawn(&waits, function, &fake::flow(13)).0, 2);
    let logged = host.logged();
    assert_eq!(logged.len(), 2, "{logged:?}");
    assert!(logged[0].contains("in process") && logged[1].contains("in spawn"));
    fake::end(&waits, function, &[flow]);
}
