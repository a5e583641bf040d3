//! What we do for modules: `struct srv6pipes_host`, one for each name of a function.
#![allow(unsafe_code, reason = "called from C, with pointers")]

use std::ffi::{c_char, c_void};
use std::panic::catch_unwind;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use srv6pipes_vnf::abi;

/// Bytes of the longest message; the rest is cut.
const MAX_MESSAGE: usize = 1024;

/// The ABI's structure first, so that a pointer to it is one to the whole.
#[repr(C)]
#[derive(Debug)]
struct Host {
    abi: abi::Host,
    /// The function's name: the target of its log lines.
    name: String,
}

/// The host as a function of this name sees it. The ABI promises that it lives as long as the
/// process: a module may keep it where we cannot see. So there is one for each name that was ever
/// configured, and it is never freed.
pub(super) fn host(name: &str) -> *const abi::Host {
    static HOSTS: Mutex<Vec<&Host>> = Mutex::new(Vec::new());
    let mut hosts = HOSTS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = hosts.iter().find(|host| host.name == name).copied();
    let host = known.unwrap_or_else(|| {
        let host: &Host = Box::leak(Box::new(Host {
            abi: abi::Host {
                struct_size: super::instance::size_of_abi::<abi::Host>(),
                log: Some(log),
                get_extension: Some(extension),
                wake: Some(wake),
            },
            name: name.to_owned(),
        }));
        hosts.push(host);
        host
    });
    ptr::from_ref(host).cast()
}

unsafe extern "C" fn log(host: *const abi::Host, level: u32, message: *const c_char) {
    // SAFETY: null, or what `host` above returned, which is never freed.
    let Some(host) = (unsafe { host.cast::<Host>().as_ref() }) else {
        return;
    };
    if message.is_null() {
        return;
    }
    // SAFETY: the header: the message ends with NUL, and it is valid until we return.
    let len = unsafe { libc::strnlen(message, MAX_MESSAGE) };
    // SAFETY: as above: at least `len` bytes lie before the NUL.
    let bytes = unsafe { std::slice::from_raw_parts(message.cast::<u8>(), len) };
    let level = match level {
        abi::LOG_ERROR => log::Level::Error,
        abi::LOG_WARN => log::Level::Warn,
        abi::LOG_INFO => log::Level::Info,
        abi::LOG_TRACE => log::Level::Trace,
        _ => log::Level::Debug,
    };
    // A logger that panics must not unwind into C; the line is lost then.
    let _ = catch_unwind(|| {
        // One line stays one line, and a terminal is not steered by what a client sent.
        let text = String::from_utf8_lossy(bytes).replace(char::is_control, " ");
        log::log!(target: &host.name, level, "{text}");
    });
}

/// ABI 0.1 defines no extension.
unsafe extern "C" fn extension(_host: *const abi::Host, _id: *const c_char) -> *const c_void {
    ptr::null()
}

unsafe extern "C" fn wake(_host: *const abi::Host, flow_id: u64) {
    super::wake::wake(flow_id);
}
