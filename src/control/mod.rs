//! Talk with the operator: one request line in, one JSON document out, over a Unix socket.
//!
//! `app` answers the requests; nothing here knows what a flow is.

pub mod client;
pub mod print;
pub mod proto;
pub mod server;
