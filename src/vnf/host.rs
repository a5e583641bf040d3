//! What we do for modules: `struct srv6pipes_host`, one for each function's id and name.
#![allow(unsafe_code, reason = "called from C, with pointers")]

use std::ffi::{CStr, c_char, c_void};
use std::panic::catch_unwind;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use srv6pipes_vnf::abi;

use crate::vnf::c::{c_message, size_of_abi};
use crate::vnf::counters::{self, Counters};

/// The host as a `config function` sees it.
///
/// The ABI's structure first, so that a pointer to it is one to the whole.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Host {
    abi: abi::Host,
    /// The section's `option id`.
    id: u16,
    /// The function's name: the target of its log lines.
    name: String,
    /// What it counts.
    pub counters: Counters,
}

impl Host {
    /// The one of this id and name. The ABI promises that it lives as long as the process: a
    /// module may keep it where we cannot see. So there is one for each that was ever configured,
    /// and it is never freed.
    pub fn of(id: u16, name: &str) -> &'static Self {
        static HOSTS: Mutex<Vec<&Host>> = Mutex::new(Vec::new());
        let mut hosts = HOSTS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = hosts.iter();
        if let Some(known) = known.find(|host| host.id == id && host.name == name) {
            return known;
        }
        let host: &Self = Box::leak(Box::new(Self {
            abi: abi::Host {
                struct_size: size_of_abi::<abi::Host>(),
                log: Some(log),
                get_extension: Some(extension),
                wake: Some(wake),
            },
            id,
            name: name.to_owned(),
            counters: Counters::default(),
        }));
        hosts.push(host);
        host
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For the module.
    pub fn as_abi(&'static self) -> *const abi::Host {
        ptr::from_ref(self).cast()
    }

    /// From the module.
    ///
    /// # Safety
    /// Null, or what [`Self::as_abi`] returned.
    pub unsafe fn from_abi(host: *const abi::Host) -> Option<&'static Self> {
        // SAFETY: null, or a `Host`, which is never freed.
        unsafe { host.cast::<Self>().as_ref() }
    }
}

unsafe extern "C" fn log(host: *const abi::Host, level: u32, message: *const c_char) {
    // SAFETY: the header: `host` is the structure that the module was handed.
    let Some(host) = (unsafe { Host::from_abi(host) }) else {
        return;
    };
    // SAFETY: the header: null, or ends with NUL and is valid until we return.
    let Some(text) = (unsafe { c_message(message) }) else {
        return;
    };
    let level = match level {
        abi::LOG_ERROR => log::Level::Error,
        abi::LOG_WARN => log::Level::Warn,
        abi::LOG_INFO => log::Level::Info,
        abi::LOG_TRACE => log::Level::Trace,
        _ => log::Level::Debug,
    };
    // A logger that panics must not unwind into C; the line is lost then.
    let _ = catch_unwind(|| log::log!(target: &host.name, level, "{text}"));
}

unsafe extern "C" fn extension(_host: *const abi::Host, id: *const c_char) -> *const c_void {
    if id.is_null() {
        return ptr::null();
    }
    // SAFETY: the header: a name, so it ends with NUL, valid until we return.
    let id = unsafe { CStr::from_ptr(id) };
    if id == abi::COUNTERS {
        ptr::from_ref(&counters::TABLE).cast()
    } else {
        ptr::null()
    }
}

unsafe extern "C" fn wake(_host: *const abi::Host, flow_id: u64) {
    super::wake::wake(flow_id);
}
