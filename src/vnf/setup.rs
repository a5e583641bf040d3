//! What `func_init` is handed: the options of the section, and an ear for its complaints.
//!
//! SAFETY comments quote `srv6pipes_vnf.h`.
#![allow(unsafe_code, reason = "called from C, with pointers")]

use std::ffi::{CString, NulError, c_char};
use std::panic::catch_unwind;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use srv6pipes_vnf::abi;

use crate::config::model::FunctionOption;
use crate::vnf::c::{c_message, size_of_abi};

/// Complaints of one `func_init`; what comes after them is only counted.
const MAX_COMPLAINTS: usize = 64;

/// Something that a function does not like about its section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Which option, counted from 0; `None`: the section as a whole.
    pub option: Option<usize>,
    /// What is wrong with it: one line, never empty.
    pub text: String,
}

/// The ABI's structure first, so that a pointer to it is one to the whole.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Setup {
    abi: abi::Setup,
    /// What `abi.options` points to.
    options: Vec<abi::ConfigOption>,
    /// What `options` point to.
    texts: Vec<(CString, CString)>,
    /// A mutex: a function may start threads before it is through, and one of them may complain.
    complaints: Mutex<Complaints>,
}

#[derive(Debug, Default)]
struct Complaints {
    kept: Vec<Complaint>,
    /// Those beyond [`MAX_COMPLAINTS`].
    more: usize,
}

impl Setup {
    /// For the function of this id; the error is the index of an option with a NUL in it.
    pub fn new(
        function_id: u16,
        options: &[FunctionOption],
        host: *const abi::Host,
    ) -> Result<Self, usize> {
        let texts = options
            .iter()
            .enumerate()
            .map(|(index, option)| {
                let text = |text: &str| CString::new(text).map_err(|_: NulError| index);
                Ok((text(&option.key)?, text(&option.value)?))
            })
            .collect::<Result<Vec<_>, usize>>()?;
        let options: Vec<_> = texts
            .iter()
            .map(|(key, value)| abi::ConfigOption {
                key: key.as_ptr(),
                value: value.as_ptr(),
            })
            .collect();
        let start = if options.is_empty() {
            ptr::null()
        } else {
            options.as_ptr()
        };
        Ok(Self {
            abi: abi::Setup {
                struct_size: size_of_abi::<abi::Setup>(),
                abi_major: abi::ABI_MAJOR,
                abi_minor: abi::ABI_MINOR,
                host_version: HOST_VERSION.as_ptr(),
                options: start,
                option_count: options.len(),
                host,
                complain: Some(complain),
                function_id,
            },
            options,
            texts,
            complaints: Mutex::default(),
        })
    }

    /// For `func_init`, as long as `self` lives and stays where it is.
    pub fn as_abi(&self) -> *const abi::Setup {
        ptr::from_ref(self).cast()
    }

    /// What the function complained of, in its order.
    pub fn complaints(self) -> Vec<Complaint> {
        let complaints = self.complaints.into_inner();
        let Complaints { mut kept, more } = complaints.unwrap_or_else(PoisonError::into_inner);
        if more > 0 {
            kept.push(Complaint {
                option: None,
                text: format!("{more} more complaints are left out"),
            });
        }
        kept
    }

    fn add(&self, option: *const abi::ConfigOption, text: String) {
        let option = self.options.iter().position(|known| ptr::eq(known, option));
        let mut complaints = self
            .complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if complaints.kept.len() < MAX_COMPLAINTS {
            complaints.kept.push(Complaint { option, text });
        } else {
            complaints.more = complaints.more.saturating_add(1);
        }
    }
}

unsafe extern "C" fn complain(
    setup: *const abi::Setup,
    option: *const abi::ConfigOption,
    message: *const c_char,
) {
    // SAFETY: null, or the structure that func_init was handed: that of a `Setup`, which lives
    // until func_init has returned.
    let Some(setup) = (unsafe { setup.cast::<Setup>().as_ref() }) else {
        return;
    };
    // SAFETY: the header: null, or ends with NUL and is valid until we return.
    let text = unsafe { c_message(message) };
    // Nothing may unwind into C; the complaint is lost then.
    let _ = catch_unwind(|| {
        let text = text.filter(|text| !text.trim().is_empty());
        setup.add(option, text.unwrap_or_else(|| "is not accepted".to_owned()));
    });
}

const HOST_VERSION: &std::ffi::CStr = srv6pipes_vnf::package_version!();
