//! What is queued: a bounded gate, a checkout per job, and a durable registry of what became of each.

mod base;
mod cancel;
mod checkout;
mod gate;
mod git;
mod instance;
mod tree;
mod workspace;
mod workspaces;

pub use cancel::Cancelled;
pub use gate::{Gate, GateStatus, Moves, Slot, Waiting};
pub use workspace::Workspace;
pub use workspaces::{Workspaces, WorkspacesConfig};
