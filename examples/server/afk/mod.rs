//! The role `afk`: unattended work on issues. It does nothing at all until it is told to.

mod adapters;
mod args;
mod config;
mod demo;
mod life;
mod ports;
mod remote;
mod verbs;

pub use args::AfkCommand;
pub use config::{Config, refused};
pub use life::live;
pub use verbs::run as verb;
