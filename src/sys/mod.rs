//! Every system call we make ourselves, and nothing else.
//!
//! `nix` and `socket2` cover most of them safely; `unsafe` is allowed here for what they lack.
//! File descriptors are owned from birth.

pub mod capability;
pub mod child;
pub mod disconnect;
pub mod end;
pub mod guarded;
pub mod kernel_pipe;
pub mod marks;
pub mod nfqueue;
pub mod option;
pub mod own_address;
pub mod raw;
pub mod socket;
