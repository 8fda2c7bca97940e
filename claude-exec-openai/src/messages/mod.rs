//! Anthropic's `POST /v1/messages`: its requests, its object, its events and its errors.

mod error;
mod events;
mod fields;
mod object;
mod request;

pub use error::{error_json, error_type};
pub use events::MessageEvents;
#[cfg(test)]
pub(crate) use fields::FIELDS;
pub use object::message;
pub use request::MessagesRequest;
