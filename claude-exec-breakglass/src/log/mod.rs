//! The event log of a session: append-only, bounded, durable before it is shown.
//!
//! | file | what it decides |
//! |---|---|
//! | [`id`](EventId) | what a cursor is |
//! | [`entry`](Entry) | how an event lies in memory, on the disk and on the wire: the same bytes |
//! | [`window`](Window) | what is kept, and what a reader at a cursor gets next (pure) |
//! | [`store`](LogStore) | what a durable log owes: the seam for another engine |
//! | [`embedded`](EmbeddedLog) | the log in this machine's store |
//! | [`journal`](Journal) | appends, in batches; readers wait on its head |
//!
//! **An id that a reader has seen is on the disk**, so a cursor stays valid over a crash, and a reader is a
//! cursor into shared memory, never a queue: a slow one costs what a fast one does.

mod embedded;
mod entry;
mod id;
mod journal;
mod store;
mod window;

pub use embedded::EmbeddedLog;
pub use entry::Entry;
pub use id::{CursorError, EventId};
pub use journal::{Draft, Journal};
pub use store::{Loaded, LogStore};
pub use window::{Bounds, Read, Resume, Window};
