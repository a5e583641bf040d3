//! The words of the command line, what they answer and how they end; and the control socket
//! behind them, under whatever is said to it.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../modules/mod.rs"]
mod modules;

mod answers;
mod words;
