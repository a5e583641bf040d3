//! Every system call we make ourselves, and nothing else.
//!
//! `nix` and `socket2` cover most of them safely; what they lack is in [`option`], the only file
//! here with `unsafe`. File descriptors are owned from birth.

pub mod end;
pub mod kernel_pipe;
pub mod option;
pub mod raw;
pub mod socket;
