//! Between our types and those of C.
#![allow(unsafe_code, reason = "reads what C points to")]

use std::ffi::c_char;
use std::time::Duration;

use srv6pipes_vnf::abi;

use crate::vnf::{FlowInfo, Report};

/// Bytes of the longest message; the rest is cut.
const MAX_MESSAGE: usize = 1024;

/// The size of a structure, as its first field has it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "structures of the ABI are below 200 bytes"
)]
pub(super) const fn size_of_abi<T>() -> u32 {
    size_of::<T>() as u32
}

/// The bytes of a text before its NUL, if they are at most `max`; nothing for null.
///
/// # Safety
/// Null, or readable up to its NUL and unchanged as long as the answer is in use.
pub(super) unsafe fn c_bytes<'a>(start: *const c_char, max: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { c_start(start, max.saturating_add(1)) }?;
    (bytes.len() <= max).then_some(bytes)
}

/// A message for people: one line stays one line, a terminal is not steered by what a client sent,
/// and what is too long is cut. Nothing for null.
///
/// # Safety
/// Null, or readable up to its NUL and unchanged during the call.
pub(super) unsafe fn c_message(start: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { c_start(start, MAX_MESSAGE) }?;
    Some(String::from_utf8_lossy(bytes).replace(char::is_control, " "))
}

/// The bytes of a text before its NUL, the first `max` of them; nothing for null.
///
/// # Safety
/// Null, or readable up to its NUL and unchanged as long as the answer is in use.
unsafe fn c_start<'a>(start: *const c_char, max: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // Not strnlen(3): Miri would not know it.
    // SAFETY: the caller's promise: no byte before this one was the NUL.
    let ends = |at: &usize| unsafe { start.wrapping_add(*at).read() } == 0;
    let len = (0..max).find(ends).unwrap_or(max);
    // SAFETY: as above: none of these is the NUL.
    Some(unsafe { std::slice::from_raw_parts(start.cast(), len) })
}

pub(super) fn c_flow(flow: &FlowInfo) -> abi::Flow {
    abi::Flow {
        struct_size: size_of_abi::<abi::Flow>(),
        argument: flow.argument,
        client_address: flow.client.ip().octets(),
        server_address: flow.server.ip().octets(),
        client_port: flow.client.port(),
        server_port: flow.server.port(),
        id: flow.id,
        choice: flow.choice,
    }
}

pub(super) fn c_report(report: &Report) -> abi::Report {
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    // 0 says "not known".
    let known = |time: Option<Duration>| time.map_or(0, |time| us(time).max(1));
    abi::Report {
        struct_size: size_of_abi::<abi::Report>(),
        flags: if report.last { abi::REPORT_LAST } else { 0 },
        upstream_in_bytes: report.upstream_in,
        upstream_out_bytes: report.upstream_out,
        downstream_in_bytes: report.downstream_in,
        downstream_out_bytes: report.downstream_out,
        age_us: us(report.age),
        client_rtt_us: known(report.client_rtt),
        connect_us: known(report.connect),
        first_byte_us: known(report.first_byte),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::ptr;

    use super::*;

    fn message(text: &[u8]) -> String {
        let text = CString::new(text).unwrap();
        // SAFETY: it ends with NUL and outlives the call.
        unsafe { c_message(text.as_ptr()) }.unwrap()
    }

    #[test]
    fn a_message_is_one_bounded_line() {
        assert_eq!(message(b"two\nlines\x1b[31m"), "two lines [31m");
        assert_eq!(message(b"\xff"), "\u{fffd}");
        assert_eq!(message(&[b'x'; 2000]).len(), MAX_MESSAGE);
        // SAFETY: null is allowed.
        assert_eq!(unsafe { c_message(ptr::null()) }, None);
    }

    #[test]
    fn bytes_beyond_the_limit_are_none() {
        // SAFETY: it ends with NUL.
        let bytes = |max| unsafe { c_bytes(c"four".as_ptr(), max) };
        assert_eq!((bytes(4), bytes(3)), (Some(&b"four"[..]), None));
        // SAFETY: null is allowed.
        assert_eq!(unsafe { c_bytes(ptr::null(), 3) }, None);
    }

    #[test]
    fn a_time_that_is_known_is_not_0() {
        let report = c_report(&Report {
            last: true,
            upstream_in: 1,
            upstream_out: 2,
            downstream_in: 3,
            downstream_out: 4,
            age: Duration::MAX,
            client_rtt: Some(Duration::ZERO),
            connect: Some(Duration::from_millis(2)),
            first_byte: None,
        });
        assert_eq!((report.flags, report.age_us), (abi::REPORT_LAST, u64::MAX));
        assert_eq!((report.client_rtt_us, report.connect_us), (1, 2000));
        assert_eq!(report.first_byte_us, 0);
    }
}
