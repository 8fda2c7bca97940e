//! One place where secrets are taken out of a text, before audit, log and stream.
//!
//! [`Redactor`] takes out what looks like a secret and what is known to be one; [`Redacting`] does the same to a
//! text that comes in pieces; [`plain`] takes out what would steer a terminal.
//!
//! It is a net and no wall: a secret that looks like nothing, and that nobody named, passes.

mod plain;
mod redactor;
mod rules;
mod streamed;

pub use plain::plain;
pub use redactor::Redactor;
pub use streamed::Redacting;
