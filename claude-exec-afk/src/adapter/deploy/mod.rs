//! Deployment by commands that the operator gives: [`CommandDeploy`].
//!
//! One command begins a deployment, another one says what is deployed; either can be left out. They run with a clean
//! environment, in which there is no secret of ours, within a time, and end with everything that they started.

mod argv;
mod command;
mod told;

pub use command::CommandDeploy;
