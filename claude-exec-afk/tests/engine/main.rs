//! The whole loop over a simulated world: outcomes, failures, crashes.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod crash;
mod explain;
mod faults;
mod outcomes;
mod scene;
