//! The adapters to trackers and CI, over HTTP on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod http;
mod stub;
