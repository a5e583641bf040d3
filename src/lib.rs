//! srv6pipes: middleboxes for bytestreams, made explicit by IPv6 Segment Routing.
//!
//! ```text
//!  packet                                                                                    bytes
//!    │                                                                                         ▲
//!    ▼                                                                                         │
//! capture ──▶ FlowTable ──▶ door ──▶ itinerary ──▶ course ⇄ connect ──▶ session ⇄ pipe(×2) ── next
//!  (nfqueue only)  (flow)   accept     SRH      func_route (sys)                     │
//!                                                                          Transform ◀─ vnf ◀─ .so
//! before the first packet:   UCI ──▶ config ──▶ setup::plan ──▶ apply ──▶ netlink, nft
//! for the operator:          stats ──▶ app ──▶ control
//! ```
//!
//! From the bottom: [`wire`] reads and writes headers, [`stats`] counts; [`flow`], [`sys`] and
//! [`config`] stand on them; [`netlink`] and [`vnf`] speak to the kernel and to modules; [`setup`]
//! makes the kernel match the configuration; [`proxy`] is the pipe; [`control`] and [`demo`] are
//! for people, [`module`] for those who write modules; [`app`] knows them all. ARCHITECTURE.md has
//! the table that a test holds.
#![warn(clippy::unwrap_used)]

#[cfg(not(any(feature = "dlopen", feature = "builtin-modules")))]
compile_error!("where shall modules come from? choose feature dlopen or builtin-modules");

pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod flow;
pub mod module;
pub mod netlink;
pub mod proxy;
pub mod report;
pub mod setup;
pub mod stats;
pub mod sys;
pub mod vnf;
pub mod wire;
