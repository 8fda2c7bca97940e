//! The record of who did what, from where: hash-chained lines of JSON, durable before a verb and after it.
//!
//! Each line is one record. It ends with the SHA-256 of everything before it in that line, which holds the hash of
//! the line before: nothing in the middle can be changed, taken out or put in without [`verify`] telling. The last
//! lines can be cut off by whoever may write the files; so the hash of every line goes to the log of the server
//! too (target `audit`), where somebody else keeps it.
//!
//! | file | what it is |
//! |---|---|
//! | `audit-000000000001.jsonl` | the records from number 1 on; a new file begins after 16 MiB |
//! | `audit.lock` | held by the one server that writes |
//!
//! Nothing is ever deleted here. Old files may be moved away: the chain is then verified from the first that is left.

mod chain;
#[cfg(test)]
pub(crate) mod disk;
mod journal;
mod record;
mod recorder;
mod sampling;
mod segments;
mod verify;

pub use chain::Fault;
pub use record::{Actor, Decision, Event, Record};
pub use recorder::{Audit, AuditConfig, Durability};
pub use verify::{Report, verify};
