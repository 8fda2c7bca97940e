//! What stands behind the ports.
//!
//! | | ports | feature |
//! |---|---|---|
//! | `brain` | [`Agent`](crate::port::Agent), on our own core | `brain` |
//! | `GitHub` | [`Tracker`](crate::port::Tracker), [`Ci`](crate::port::Ci) | `http-adapters` |
//!
//! # What those over HTTP have in common
//!
//! One client for each service and account: share an adapter behind an [`Arc`](std::sync::Arc), since a service's
//! rate limits are kept for each client. Every request has a time limit and every answer a size limit; a list is
//! read whole or not at all; a service that asks to be left alone is, and what is owed to it stays owed. No redirect
//! is followed, so that a token goes to the address it was given for and nowhere else; a `Secret` is in no `Debug`,
//! error or log line. Plain `http://` is for this machine and networks that are trusted: the token travels readably.

#[cfg(feature = "brain")]
pub mod brain;
#[cfg(feature = "http-adapters")]
mod fold;
#[cfg(feature = "http-adapters")]
mod github;
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
pub use github::GitHub;
#[cfg(feature = "http-adapters")]
pub use secret::{Secret, Token};
