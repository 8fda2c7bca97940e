//! The endpoint as a `tower_service::Service`: authentication, admission, turns, and the wire.

mod answering;
mod builder;
mod exchange;
mod frames;
mod kept;
mod record;
mod respond;
mod responses;
mod route;
mod running;
mod service;
mod wire;

pub use builder::{OpenAi, OpenAiBuilder};
pub use exchange::{IGNORED, STRICT};
pub use respond::refusal;
