//! The module ABI.
