//! `cargo fuzz run request`: HTTP requests; see `srv6pipes_fuzz::request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| srv6pipes_fuzz::request(data));
