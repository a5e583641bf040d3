//! `cargo fuzz run clienthello`: the beginning of TLS streams; see `srv6pipes_fuzz::clienthello`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| srv6pipes_fuzz::clienthello(data));
