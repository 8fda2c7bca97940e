//! The adapters to trackers and CI, over HTTP on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod ci;
mod conformance;
mod http;
mod hub;
mod judged;
mod node;
mod stage;
mod stub;
mod traps;
