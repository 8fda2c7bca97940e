//! What the loop remembers, durably: runs, claims, spend, and what is still owed.
//!
//! Kept in the core's [`Store`](claude_exec::store::Store), whose batches are compare-and-swap transactions over
//! several keys: that is all a ledger needs, and it is the store the workspace already has. A run's row and its
//! outbox are one value, so a decision and its effects become durable together. Every change says which value
//! it is based on, so of two that decide about the same run, one is refused, whichever process it is in.

mod claim;
mod contract;
mod money;
mod notes;

pub use contract::{Ledger, Stored};
pub use notes::{Failure, RUNS_KEPT};
