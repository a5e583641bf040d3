//! `cargo fuzz run srh`: captured SYNs and segment routing headers; see `srv6pipes_fuzz::srh`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| srv6pipes_fuzz::srh(data));
