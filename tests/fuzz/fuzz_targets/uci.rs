//! `cargo fuzz run uci`: configuration files; see `srv6pipes_fuzz::uci`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| srv6pipes_fuzz::uci(data));
