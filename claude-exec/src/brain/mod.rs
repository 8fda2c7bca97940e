//! Who is talking: one turn at a time, or a conversation that goes on.

mod drive;
mod turn;

pub use turn::{Turn, TurnHandle, run, run_holding};
