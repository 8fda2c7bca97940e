//! The loop: observe, decide, commit, deliver; for each repository by itself, again and again.
//!
//! Level-triggered: every tick looks at the world as it is and knows nothing of the last one but what the ledger
//! says. A webhook, a resume, a claim only [wake](Engine::wake) it. The key is the repository: what happens in
//! one is one after another, and a failure in one, or a panic over one issue, stops nothing elsewhere.

mod clock;
mod core;
mod deliver;
mod limit;
mod observe;
mod poll;
mod ports;
mod report;
mod watch;

pub use clock::{Clock, SystemClock};
pub use core::Engine;
pub use ports::Ports;
pub use report::{Explanation, RunStatus, Status, Tick};
