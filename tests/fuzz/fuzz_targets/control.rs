//! `cargo fuzz run control`: bytes on the control socket; see `srv6pipes_fuzz::control`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| srv6pipes_fuzz::control(data));
