//! An OpenAI-compatible endpoint over the Claude Code CLI.

mod error;
mod fields;
mod json;
mod message;
mod request;
mod sampling;

pub use error::ApiError;
pub use fields::IgnoredFields;
pub use message::{MAX_MESSAGES, MAX_PARTS, Message, Role};
pub use request::ChatRequest;
pub use sampling::{ReasoningEffort, Sampling};
