//! Bytes only: no I/O, no libc, no clock.

pub mod sid;
