//! `step(row, observation, config, now) -> (row, effects)`
//!
//! Takes issues marked ready from a tracker, has an agent implement each, follows the run through tests red,
//! green, pushed, CI and deployment, fixes forward when CI goes red, hands over to a person when it should, and
//! never does the wrong thing twice. **It ships disabled**: with a fresh [`Config`] it opens no socket and
//! writes no file.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | every setting, read from the environment or a map; a bad value is an error |
//! | [`issue`] | what a tracker says about an issue |
//! | [`policy`] | which issue may be started now, and which gate holds each other one |
//! | [`run`] | the machine of one run: its row, what was observed, what to do |
//! | [`words`] | the checklist, the prompts and the notices |
//! | `adapter` | what stands behind the ports |
//! | `git` | the lock and the remote, over git itself |
//! | `engine` | the loop over all of it: `Engine` |
//! | `shell` | its status page, the operator's verbs, webhooks |
//! | `ledger` | what is remembered: runs, claims, spend, and what is owed |
//! | [`port`] | what the loop needs of the world, as object-safe traits |
//!
//! All but the ports is pure: no clock, no randomness, no I/O; time is an argument. Everything that was looked
//! at is [`Seen`]: known, absent, or unknown; what is unknown never starts, reaps or closes anything.

#[cfg(any(feature = "brain", feature = "command", feature = "http-adapters"))]
pub mod adapter;
pub mod config;
#[cfg(feature = "runtime")]
pub mod engine;
mod error;
#[cfg(feature = "git")]
pub mod git;
pub mod issue;
#[cfg(feature = "runtime")]
pub mod ledger;
mod money;
mod names;
pub mod policy;
pub mod port;
pub mod run;
mod seen;
#[cfg(feature = "http")]
pub mod shell;
#[cfg(feature = "sim")]
pub mod sim;
mod time;
pub mod words;

pub use config::Config;
pub use error::{Error, Result};
pub use money::Usd;
pub use names::{Digest, Fence, IssueKey, Repo, RunId, Sha};
pub use seen::{Reason, Seen};
pub use time::{LEAP_LIMIT, Now, Timekeeper};
