//! `/v1/responses`: its requests, its object, its events, and what it was made from.

mod context;
mod events;
mod fields;
mod input;
mod items;
mod object;
mod request;

pub use context::{Context, Instruction};
pub use events::ResponseEvents;
#[cfg(test)]
pub(crate) use fields::FIELDS;
pub use input::MAX_ITEMS;
pub use items::{Page, input_items};
pub(crate) use object::empty;
pub use object::{Echo, Status, response};
pub use request::ResponsesRequest;
