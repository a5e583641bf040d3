//! What the operator wants, typed: UCI text in, [`Config`] out, every mistake at once.

pub mod mark;
pub mod model;

pub use model::Config;
