//! Following a session: the event stream of a cursor, and the original service's stream.
//!
//! Replay and live are one path: a reader is a cursor into the session's log, and reads on when the log's head
//! moves. What a slow reader costs is its cursor.

mod control;
mod legacy;
mod stream;

pub use legacy::{LegacyCursor, follow as follow_legacy};
#[cfg(feature = "http")]
pub(crate) use stream::HEARTBEAT_INTERVAL as HEARTBEAT;
pub use stream::{Attach, follow};
