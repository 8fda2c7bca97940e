//! Who is talking: one turn, a session that goes on in its process, or conversations that outlive theirs.
//!
//! | what | for |
//! |---|---|
//! | [`run`] | one turn in a process of its own: a job, a question |
//! | [`live`] | a process that keeps its session, turn after turn, for whoever keeps the session |
//! | [`pool`] | warm processes under bounds: spares, and sessions between turns |
//! | `Brain` (feature `store`) | conversations by any id, over evictions, crashes and restarts |

mod active;
#[cfg(feature = "store")]
mod conversation;
mod drive;
mod hear;
mod limits;
pub mod live;
mod order;
pub mod pool;
mod questions;
mod tally;
mod turn;

#[cfg(feature = "store")]
pub use conversation::{Brain, BrainBuilder, Busy, ConversationTurn, Exchange, Message};
pub use turn::{Turn, TurnHandle, run, run_holding};
