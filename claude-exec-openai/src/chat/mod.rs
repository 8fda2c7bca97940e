//! `POST /v1/chat/completions`: its requests, its object and its chunks.

mod chunk;
mod completion;
mod fields;
mod message;
mod request;

pub use chunk::Chunker;
pub use completion::completion;
#[cfg(test)]
pub(crate) use fields::FIELDS;
pub use message::{MAX_MESSAGES, MAX_PARTS};
pub use request::ChatRequest;
