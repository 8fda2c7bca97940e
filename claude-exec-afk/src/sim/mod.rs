//! A whole world in memory behind every port: for demonstrations, and for tests that need one that crashes,
//! lies and refuses on command. Nothing in it is real.

mod agent;
mod plot;
mod ports;
mod world;

pub use plot::Plot;
pub use world::{Fault, SimBell, SimIssue, World};
