//! srv6pipes: middleboxes for bytestreams, made explicit by IPv6 Segment Routing.

pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod flow;
pub mod netlink;
pub mod proxy;
pub mod report;
pub mod setup;
pub mod stats;
pub mod sys;
pub mod vnf;
pub mod wire;
