//! Which issue may be started now, and which gate holds each other one.

mod gate;
mod plan;
mod trust;

pub use gate::Gate;
pub use plan::{Claim, Held, Plan, RepoView, World, plan};
