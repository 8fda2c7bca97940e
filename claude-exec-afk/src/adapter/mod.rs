//! What stands behind the ports.
//!
//! | | ports | feature |
//! |---|---|---|
//! | `brain` | [`Agent`](crate::port::Agent), on our own core | `brain` |
//! | `Forgejo`, for Gitea too | [`Tracker`](crate::port::Tracker), [`Ci`](crate::port::Ci) | `http-adapters` |
//! | `T3Agent` | [`Agent`](crate::port::Agent), on a T3 server | `http-adapters` |
//! | `GitHub` | [`Tracker`](crate::port::Tracker), [`Ci`](crate::port::Ci) | `http-adapters` |
//! | `GitHubDeployments` | [`Deploy`](crate::port::Deploy) | `http-adapters` |
//! | `Woodpecker` | [`Ci`](crate::port::Ci) | `http-adapters` |
//! | `CommandDeploy` | [`Deploy`](crate::port::Deploy), by commands of the operator's | `command` |
//! | `Slack`, `Ntfy`, `Webhook`, `LogBell` | [`Bell`](crate::port::Bell) | `http-adapters` |
//!
//! # What those over HTTP have in common
//!
//! One client for each service and account: share an adapter behind an [`Arc`](std::sync::Arc), since a service's
//! rate limits are kept for each client. Every request has a time limit and every answer a size limit; a list is
//! read whole or not at all; a service that asks to be left alone is, and what is owed to it stays owed. No redirect
//! is followed, so that a token goes to the address it was given for and nowhere else; a `Secret` is in no `Debug`,
//! error or log line. Plain `http://` is for this machine and networks that are trusted: the token travels readably.

#[cfg(feature = "http-adapters")]
mod bell;
#[cfg(feature = "brain")]
pub mod brain;
#[cfg(feature = "http-adapters")]
mod comment;
#[cfg(feature = "command")]
mod deploy;
#[cfg(feature = "http-adapters")]
mod fold;
#[cfg(feature = "http-adapters")]
mod forge;
#[cfg(feature = "http-adapters")]
mod forgejo;
#[cfg(feature = "http-adapters")]
mod github;
#[cfg(any(feature = "brain", feature = "command", feature = "http-adapters"))]
mod held;
#[cfg(feature = "http-adapters")]
mod history;
#[cfg(feature = "http-adapters")]
mod http;
#[cfg(feature = "http-adapters")]
mod mentions;
#[cfg(feature = "http-adapters")]
mod moment;
#[cfg(feature = "http-adapters")]
mod secret;
#[cfg(feature = "http-adapters")]
mod t3;
#[cfg(feature = "http-adapters")]
mod woodpecker;

#[cfg(feature = "http-adapters")]
pub use bell::{LogBell, Ntfy, Slack, Webhook};
#[cfg(feature = "command")]
pub use deploy::CommandDeploy;
#[cfg(feature = "http-adapters")]
pub use forgejo::Forgejo;
#[cfg(feature = "http-adapters")]
pub use github::{GitHub, GitHubDeployments};
#[cfg(feature = "http-adapters")]
pub use secret::{Secret, Token};
#[cfg(feature = "http-adapters")]
pub use t3::{T3Agent, T3Probe, T3Settings};
#[cfg(feature = "http-adapters")]
pub use woodpecker::Woodpecker;
