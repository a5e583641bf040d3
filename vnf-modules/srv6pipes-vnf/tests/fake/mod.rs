//! A host without C and without a daemon, for the tests of the glue; Miri can run it. What it
//! keeps lies behind the ABI's structures, as with the real one, and is reached through the
//! pointers that functions hand back.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::zeroed;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use srv6pipes_vnf::abi::{self, ConfigOption};

/// What a function can call.
#[repr(C)]
pub struct Host {
    abi: abi::Host,
    logged: Mutex<Vec<String>>,
    woken: Mutex<Vec<u64>>,
    counters: Mutex<Vec<&'static FakeCounter>>,
}

struct FakeCounter {
    name: String,
    value: AtomicU64,
    closed: AtomicU64,
}

static HOSTS: Mutex<Vec<&Host>> = Mutex::new(Vec::new());

static COUNTERS: abi::Counters = abi::Counters {
    struct_size: 0,
    open: Some(open),
    add: Some(add),
    set: Some(set),
    close: Some(close),
};

impl Host {
    /// The SDK takes a host to live as long as the process; it stays in sight of leak checkers.
    pub fn leak() -> &'static Self {
        Self::leak_without(|_| ())
    }

    /// A host that lacks something.
    pub fn leak_without(change: impl FnOnce(&mut abi::Host)) -> &'static Self {
        let mut host = Self {
            abi: abi::Host {
                struct_size: 0,
                log: Some(log),
                get_extension: Some(extension),
                wake: Some(wake),
            },
            logged: Mutex::default(),
            woken: Mutex::default(),
            counters: Mutex::default(),
        };
        change(&mut host.abi);
        let host: &Self = Box::leak(Box::new(host));
        HOSTS.lock().unwrap().push(host);
        host
    }

    pub fn as_abi(&self) -> *const abi::Host {
        ptr::from_ref(self).cast()
    }

    /// `LEVEL text` of each line so far.
    pub fn logged(&self) -> Vec<String> {
        self.logged.lock().unwrap().clone()
    }

    pub fn woken(&self) -> Vec<u64> {
        self.woken.lock().unwrap().clone()
    }

    /// `name[label]`, value and how often it was closed, of each that was opened.
    pub fn counters(&self) -> Vec<(String, u64, u64)> {
        let counters = self.counters.lock().unwrap();
        let shown = counters.iter().map(|counter| {
            let number = |n: &AtomicU64| n.load(Ordering::Relaxed);
            let FakeCounter {
                name,
                value,
                closed,
            } = counter;
            (name.clone(), number(value), number(closed))
        });
        shown.collect()
    }
}

/// What `func_init` is handed.
#[repr(C)]
pub struct Setup {
    abi: abi::Setup,
    options: Vec<ConfigOption>,
    complaints: Mutex<Vec<(Option<usize>, String)>>,
}

impl Setup {
    pub fn new(host: &'static Host, options: &[(&'static CStr, &'static CStr)]) -> Self {
        let options = options.iter().map(|(key, value)| ConfigOption {
            key: key.as_ptr(),
            value: value.as_ptr(),
        });
        let options: Vec<_> = options.collect();
        Self {
            abi: abi::Setup {
                struct_size: 0,
                abi_major: abi::ABI_MAJOR,
                abi_minor: abi::ABI_MINOR,
                host_version: c"1".as_ptr(),
                options: options.as_ptr(),
                option_count: options.len(),
                host: host.as_abi(),
                complain: Some(complain),
                function_id: 7,
            },
            options,
            complaints: Mutex::default(),
        }
    }

    /// With something else in the ABI's part.
    pub fn with(mut self, change: impl FnOnce(&mut abi::Setup)) -> Self {
        change(&mut self.abi);
        self
    }

    /// `func_init` with this: its answer and the state it has set.
    pub fn init(&self, function: &abi::Func) -> (c_int, *mut c_void) {
        let mut state = ptr::null_mut();
        let setup = ptr::from_ref(self).cast();
        // SAFETY: both outlive the call.
        let code = unsafe { function.func_init.unwrap()(setup, &raw mut state) };
        (code, state)
    }

    /// The index of the option, and what was said of it.
    pub fn complaints(&self) -> Vec<(Option<usize>, String)> {
        self.complaints.lock().unwrap().clone()
    }
}

/// A flow with this argument, from [::1]:9 to [::]:80.
pub fn flow(argument: u32) -> abi::Flow {
    // SAFETY: numbers.
    let mut flow: abi::Flow = unsafe { zeroed() };
    flow.argument = argument;
    flow.client_address[15] = 1;
    flow.client_port = 9;
    flow.server_port = 80;
    flow.id = 1;
    flow
}

/// `func_spawn`: its answer and the state it has set.
pub fn spawn(function: &abi::Func, state: *mut c_void, flow: &abi::Flow) -> (c_int, *mut c_void) {
    let mut flow_state = ptr::null_mut();
    // SAFETY: `state` is null or of `func_init`, the others outlive the call.
    let code = unsafe { function.func_spawn.unwrap()(state, flow, &raw mut flow_state) };
    (code, flow_state)
}

/// `func_process` with whole slices.
pub fn process(
    function: &abi::Func,
    flow: *mut c_void,
    direction: u32,
    input: &[u8],
    output: &mut [u8],
    flags: u32,
) -> abi::ProcessResult {
    let (from, in_len) = (input.as_ptr(), input.len());
    let (to, out_cap) = (output.as_mut_ptr(), output.len());
    let call = function.func_process.unwrap();
    // SAFETY: `flow` is null or of `func_spawn`, and both slices outlive the call.
    unsafe { call(flow, direction, from, in_len, to, out_cap, flags) }
}

/// `func_despawn` and `func_deinit`, of states that are not null.
pub fn end(function: &abi::Func, state: *mut c_void, flows: &[*mut c_void]) {
    for flow in flows {
        // SAFETY: of `func_spawn`, and used no more.
        unsafe { function.func_despawn.unwrap()(*flow) };
    }
    // SAFETY: of `func_init`, and used no more.
    unsafe { function.func_deinit.unwrap()(state) };
}

fn text(start: *const c_char) -> String {
    // SAFETY: the SDK hands texts that end with NUL.
    let text = unsafe { CStr::from_ptr(start) };
    text.to_str().unwrap().to_owned()
}

fn host<'a>(host: *const abi::Host) -> &'a Host {
    // SAFETY: what `as_abi` gave; it is leaked.
    unsafe { &*host.cast() }
}

unsafe extern "C" fn log(of: *const abi::Host, level: u32, message: *const c_char) {
    let line = format!("{level} {}", text(message));
    host(of).logged.lock().unwrap().push(line);
}

unsafe extern "C" fn wake(of: *const abi::Host, flow: u64) {
    host(of).woken.lock().unwrap().push(flow);
}

unsafe extern "C" fn extension(_: *const abi::Host, id: *const c_char) -> *const c_void {
    assert_eq!(text(id), "srv6pipes.counters/1");
    ptr::from_ref(&COUNTERS).cast()
}

/// Takes all names but `none`.
unsafe extern "C" fn open(
    of: *const abi::Host,
    name: *const c_char,
    label: *const c_char,
) -> *mut abi::Counter {
    let name = format!("{}[{}]", text(name), text(label));
    if name == "none[]" {
        return ptr::null_mut();
    }
    let counter: &FakeCounter = Box::leak(Box::new(FakeCounter {
        name,
        value: AtomicU64::new(0),
        closed: AtomicU64::new(0),
    }));
    host(of).counters.lock().unwrap().push(counter);
    ptr::from_ref(counter).cast_mut().cast()
}

fn counter<'a>(counter: *mut abi::Counter) -> Option<&'a FakeCounter> {
    // SAFETY: null, or of `open`, and never freed.
    unsafe { counter.cast::<FakeCounter>().as_ref() }
}

unsafe extern "C" fn add(to: *mut abi::Counter, n: u64) {
    if let Some(counter) = counter(to) {
        counter.value.fetch_add(n, Ordering::Relaxed);
    }
}

unsafe extern "C" fn set(to: *mut abi::Counter, n: u64) {
    if let Some(counter) = counter(to) {
        counter.value.store(n, Ordering::Relaxed);
    }
}

unsafe extern "C" fn close(to: *mut abi::Counter) {
    if let Some(counter) = counter(to) {
        counter.closed.fetch_add(1, Ordering::Relaxed);
    }
}

unsafe extern "C" fn complain(
    setup: *const abi::Setup,
    option: *const ConfigOption,
    message: *const c_char,
) {
    // SAFETY: what `Setup::init` handed out.
    let setup: &Setup = unsafe { &*setup.cast() };
    let index = setup.options.iter().position(|one| ptr::eq(one, option));
    assert_eq!(index.is_none(), option.is_null(), "an option of this setup");
    let complaint = (index, text(message));
    setup.complaints.lock().unwrap().push(complaint);
}
