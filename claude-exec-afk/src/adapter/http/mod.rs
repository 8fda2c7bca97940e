//! One small client for every service: limits, paging, conditional requests, and errors that say what to do.
//!
//! [`Client::send`] gives the [`Answer`] that a service made to a [`Call`], whatever its status; what is no answer
//! (no connection, a rate limit, 401, a redirect, 5xx) is an error that is told as the ports want it. An adapter
//! looks at the statuses that mean something to it, and has [`Answer::ok`] refuse the others.

mod cache;
mod call;
mod client;
mod limit;
mod link;

pub(crate) use call::{Answer, Call, segment};
pub(crate) use client::{Client, Scheme, whole};
