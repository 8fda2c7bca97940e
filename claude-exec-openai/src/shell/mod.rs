//! The endpoint as a `tower_service::Service`: authentication, admission, turns, and the wire.

mod answering;
mod builder;
mod chat;
mod frames;
mod queue;
mod record;
mod respond;
mod running;
mod service;
mod talk;

pub use builder::{OpenAi, OpenAiBuilder};
pub use chat::{IGNORED, STRICT};
