//! Limits for each key, and what it has used.
//!
//! [`Account`] decides, purely: a key's [limits](KeyLimits), what it has [used](Counted) and the time, to a yes or a
//! [`Refusal`]. [`Ledger`] (feature `http`) keeps the accounts of all keys in a store and charges them what the CLI
//! tells at the end of each turn. [`OpenAiBuilder::ledger`](crate::OpenAiBuilder::ledger) puts an endpoint's requests
//! under it; a service beside it, such as one for conversations, asks [`Ledger::admit`] itself and reads its turns
//! through [`Billed`].
//!
//! ```text
//! request -> Ledger::admit -> Permit, Bill -> Billed (a turn) -> its result -> the key's account
//! ```
//!
//! # What is counted when
//!
//! | what happens | the request | the cost |
//! |---|---|---|
//! | it is refused, or never gets a process | not counted | none |
//! | its turn ends | counted | what the CLI tells for the turn |
//! | its client hangs up, or cancels | counted | what the CLI tells when it is interrupted |
//! | its answer is calls of the client's tools | counted, and so is the one with their results | told once, at the turn's end |
//! | its process is killed, by a time limit or by anybody | counted | unknown: as the dearest turn of the day, a cent at least |
//! | the server is killed | counted: it was on the disk before the turn began | unknown |
//!
//! A key with a limit of requests or dollars is refused with 503 `usage_not_recorded` while the store cannot be
//! written, such as on a full disk.

mod account;
#[cfg(feature = "http")]
mod bill;
#[cfg(feature = "http")]
mod billed;
mod figures;
#[cfg(feature = "http")]
mod keys;
#[cfg(feature = "http")]
mod ledger;
mod limits;
mod refusal;
mod report;

pub use account::Account;
#[cfg(feature = "http")]
pub use bill::{Bill, Permit};
#[cfg(feature = "http")]
pub use billed::{Billable, Billed};
pub use figures::{Counted, Figures, Spent};
#[cfg(feature = "http")]
pub use keys::{KeyTable, parse_keys};
#[cfg(feature = "http")]
pub use ledger::{Ledger, Totals};
pub use limits::KeyLimits;
pub use refusal::Refusal;
pub use report::usage_json;
