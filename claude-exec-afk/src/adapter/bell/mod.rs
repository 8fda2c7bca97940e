//! A person's phone: [`Slack`], [`Ntfy`], a [`Webhook`] of one's own, or nothing but the [`LogBell`].
//!
//! One bell for each [key](crate::port::Notice::key). ntfy and webhooks are given the key; Slack keeps it in a
//! message's metadata. When an earlier attempt may have rung, the key is looked for first, and a service that cannot
//! be looked at is not rung: it stays owed. **None of them was ever tried on the live service.**

mod log;
mod ntfy;
mod slack;
mod webhook;

pub use log::LogBell;
pub use ntfy::Ntfy;
pub use slack::Slack;
pub use webhook::Webhook;
