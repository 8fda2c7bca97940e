//! What stands behind the ports, over HTTP.
//!
//! | type | ports |
//! |---|---|
//! | [`GitHub`] | [`Tracker`](crate::port::Tracker), [`Ci`](crate::port::Ci) |
//!
//! # What they have in common
//!
//! One client for each service and account: share an adapter behind an [`Arc`](std::sync::Arc), since a service's
//! rate limits are kept for each client. Every request has a time limit and every answer a size limit; a list is
//! read whole or not at all; a service that asks to be left alone is, whatever is owed to it stays owed. No redirect
//! is followed, so that a token goes to the address it was given for and nowhere else; a [`Secret`] is in no `Debug`,
//! error or log line. Plain `http://` is for this machine and networks that are trusted: the token travels readably.

mod fold;
mod github;
mod history;
mod http;
mod mentions;
mod moment;
mod secret;

pub use github::GitHub;
pub use secret::{Secret, Token};
