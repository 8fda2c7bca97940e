//! What is queued: a bounded gate, a checkout per job, and a durable registry of what became of each.

mod gate;

pub use gate::{Gate, GateStatus, Moves, Slot, Waiting};
