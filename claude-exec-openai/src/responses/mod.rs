//! `POST /v1/responses`: its requests, its object and its events.

mod events;
mod fields;
mod input;
mod object;
mod request;

pub use events::ResponseEvents;
#[cfg(test)]
pub(crate) use fields::FIELDS;
pub use input::MAX_ITEMS;
pub(crate) use object::empty;
pub use object::{Echo, Status, response};
pub use request::ResponsesRequest;
