//! A forge on loopback, of real parts: emulate's stateful GitHub and Slack, git's own smart HTTP, and act as its CI.

mod ci;
mod emulate;
mod git;

pub(crate) use ci::Ci;
pub(crate) use emulate::{BOT, Emulate, HUMAN, SLACK};
pub(crate) use git::{GitHost, git};
