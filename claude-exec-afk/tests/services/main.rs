//! The adapters to agents, CI, deployments and phones, against small services on loopback that remember what they are
//! told and have the traps of the real ones.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod bell;
#[cfg(feature = "command")]
mod deploy;
mod deployments;
#[path = "../forge/stub.rs"]
mod stub;
mod t3;
mod woodpecker;
