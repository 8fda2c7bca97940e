//! Who is talking: one turn at a time, or a conversation that goes on.

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
