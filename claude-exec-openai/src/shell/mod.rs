//! The endpoint as a `tower_service::Service`: authentication, admission, turns, and the wire.

mod answer_end;
mod answering;
mod builder;
mod exchange;
mod frames;
mod kept;
mod queue;
mod record;
mod respond;
mod responses;
mod route;
mod running;
#[cfg(feature = "self-test")]
mod self_test;
mod service;
mod talk;
mod underway;
mod wire;

pub use answer_end::AnswerEnd;
pub use builder::{OpenAi, OpenAiBuilder};
pub use exchange::{IGNORED, STRICT};
pub use respond::refusal;
