//! The glue as a host in C meets it: pointers of all kinds, and a state that is made and freed.
#![allow(unsafe_code, reason = "plays the host")]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use srv6pipes_vnf::abi::{self, ConfigOption, Host, ProcessResult};
use srv6pipes_vnf::shim::{describe, last};
use srv6pipes_vnf::{Direction, Flow, FlowInfo, Function, Log, Progress, Reason, Setup};

static ALIVE: AtomicUsize = AtomicUsize::new(0);
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

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

    fn init(setup: &Setup) -> Result<Self, Reason> {
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

unsafe extern "C" fn log(_host: *const Host, level: u32, message: *const c_char) {
    // SAFETY: the shim hands a text that ends with NUL.
    let text = unsafe { CStr::from_ptr(message) };
    LOGGED
        .lock()
        .unwrap()
        .push(format!("{level} {}", text.to_str().unwrap()));
}

fn host() -> Host {
    Host {
        struct_size: 0,
        log: Some(log),
        get_extension: None,
        wake: None,
    }
}

fn setup(host: &Host, options: &[ConfigOption]) -> abi::Setup {
    abi::Setup {
        struct_size: 0,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        host_version: c"1".as_ptr(),
        options: options.as_ptr(),
        option_count: options.len(),
        host,
        complain: None,
        function_id: 7,
    }
}

fn flow() -> abi::Flow {
    let mut client_address = [0; 16];
    client_address[15] = 1;
    abi::Flow {
        struct_size: 0,
        argument: 7,
        client_address,
        server_address: [0; 16],
        client_port: 9,
        server_port: 80,
        id: 1,
        choice: 0,
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
    let call = describe::<Parrot>().func_process.unwrap();
    let (room, cap) = (output.as_mut_ptr(), output.len());
    // SAFETY: `flow` is null or the parrot's, and both slices outlive the call.
    let result = unsafe {
        call(
            flow,
            direction,
            input.as_ptr(),
            input.len(),
            room,
            cap,
            flags,
        )
    };
    let ProcessResult {
        consumed,
        produced,
        verdict,
        ..
    } = result;
    (consumed, produced, verdict)
}

#[test]
fn a_flow_lives_from_spawn_to_despawn() {
    let parrot = describe::<Parrot>();
    let capabilities = abi::CAP_PASS_AT_ONCE | abi::CAP_SPEAKS_FIRST | abi::CAP_FAILS_CLOSED;
    assert_eq!(parrot.capabilities, capabilities);
    let host = host();
    let option = |value: &'static CStr| ConfigOption {
        key: c"word".as_ptr(),
        value: value.as_ptr(),
    };
    let options = [option(c"no"), option(c"hello")];
    let setup = setup(&host, &options);
    let (mut function, mut state) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: all pointers are to locals.
    let code = unsafe { parrot.func_init.unwrap()(&raw const setup, &raw mut function) };
    assert_eq!(code, 0);
    let flow = flow();
    // SAFETY: as above; `function` is what init made.
    let code = unsafe { parrot.func_spawn.unwrap()(function, &raw const flow, &raw mut state) };
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

    // SAFETY: what spawn made, once.
    unsafe { parrot.func_despawn.unwrap()(state) };
    // SAFETY: what init made, once, after the last flow.
    unsafe { parrot.func_deinit.unwrap()(function) };
    assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
    assert_eq!(*LOGGED.lock().unwrap(), ["3 [::1]:9 7", "4 only upstream"]);
}

#[test]
fn null_pointers_are_answered_not_followed() {
    let parrot = describe::<Parrot>();
    let nothing = Host {
        struct_size: 0,
        log: None,
        get_extension: None,
        wake: None,
    };
    let none = setup(&nothing, &[]);
    let mut place = ptr::null_mut();
    // SAFETY: null is what is tested.
    let code = unsafe { parrot.func_init.unwrap()(ptr::null(), &raw mut place) };
    assert_eq!(code, 3);
    // SAFETY: as above.
    let code = unsafe { parrot.func_init.unwrap()(&raw const none, &raw mut place) };
    assert_eq!((code, place), (1, ptr::null_mut()), "no word");
    // SAFETY: as above.
    let code = unsafe { parrot.func_spawn.unwrap()(ptr::null_mut(), ptr::null(), &raw mut place) };
    assert_eq!(code, 3);
    assert_eq!(
        process(ptr::null_mut(), abi::UPSTREAM, b"x", &mut [0], 0),
        (0, 0, abi::ERROR)
    );
    // SAFETY: as above.
    unsafe { parrot.func_despawn.unwrap()(ptr::null_mut()) };
    // SAFETY: as above.
    unsafe { parrot.func_deinit.unwrap()(ptr::null_mut()) };
    assert_eq!((last().struct_size, last().name), (0, ptr::null()));
}
