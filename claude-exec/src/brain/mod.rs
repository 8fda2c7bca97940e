//! Who is talking: one turn at a time, or a conversation that goes on.

#[cfg(feature = "store")]
mod conversation;
mod drive;
mod limits;
mod pool;
mod turn;

#[cfg(feature = "store")]
pub use conversation::{ConversationTurn, Conversations, Seat};
pub use turn::{Turn, TurnHandle, run, run_holding};
