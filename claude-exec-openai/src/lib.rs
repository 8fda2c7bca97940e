//! An OpenAI-compatible endpoint over the Claude Code CLI.

mod answer;
mod chunk;
mod error;
mod failure;
mod fields;
mod finish;
mod json;
mod message;
mod models;
mod plan;
mod prompt;
mod relay;
mod request;
mod response;
mod sampling;
mod sent;
#[cfg(feature = "http")]
mod shell;

pub use answer::{Answer, Collected, Done, Step};
pub use chunk::Chunker;
pub use error::ApiError;
pub use failure::{from_error, from_outcome};
pub use fields::IgnoredFields;
pub use finish::FinishReason;
pub use message::{MAX_MESSAGES, MAX_PARTS, Message, Role};
pub use models::{AgentModel, Model, Models, Workspace};
pub use plan::{Plan, plan};
pub use prompt::Prompt;
pub use relay::{Progress, Relay};
pub use request::ChatRequest;
pub use response::{CompletionTokens, PromptTokens, Stamp, TokenUsage, completion};
pub use sampling::{ReasoningEffort, Sampling};
#[cfg(feature = "http")]
pub use shell::{IGNORED, OpenAi, OpenAiBuilder, STRICT};
