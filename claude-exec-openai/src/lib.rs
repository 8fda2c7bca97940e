//! An OpenAI-compatible endpoint over the Claude Code CLI.
//!
//! ```text
//! body -> Request -> Plan (an Invocation) -> [a turn] -> Event -> Step -> one object, or events
//! ```
//!
//! Everything but the turn is pure: no clock, no socket, no runtime. [`OpenAi`] (feature `http`, on by
//! default) is the thin shell around it, a `tower_service::Service` that mounts in raw hyper and in axum.
//!
//! ```
//! # #[cfg(feature = "http")] {
//! use claude_exec::{executor::Scripted, http::Keyring, jobs::Gate};
//! use claude_exec_openai::OpenAi;
//!
//! let keyring = Keyring::builder().token("n8n", "0123456789abcdef0123456789abcdef").build()?;
//! let gate = Gate::new(4, 16)?; // four turns at once, sixteen that wait
//! let endpoint = OpenAi::builder(Scripted::answer("Hello."), gate).keyring(keyring).build()?;
//! # drop(endpoint);
//! # }
//! # Ok::<(), claude_exec::Error>(())
//! ```
//!
//! # Models
//!
//! A plain name (`haiku`, `sonnet`, …) **never has tools**. A name that the operator configured may stand for
//! an agent ([`AgentModel`]), which has them, and a checkout of its own; `/v1/models` says which those are.
//!
//! # The wires
//!
//! | path | reads | writes |
//! |---|---|---|
//! | `POST /v1/chat/completions` | [`chat::ChatRequest`] | [`chat::completion`], [`chat::Chunker`] |
//! | `POST /v1/responses` | [`responses::ResponsesRequest`] | [`responses::response`], [`responses::ResponseEvents`] |
//! | `POST /v1/messages` | [`messages::MessagesRequest`] | [`messages::message`], [`messages::MessageEvents`] |
//!
//! All three are read into one [`Request`] and written from one stream of [`Step`]s. Beside them there are
//! `GET` and `DELETE /v1/responses/{id}`, `GET /v1/responses/{id}/input_items` (what it was made from) and
//! `POST /v1/responses/{id}/cancel` (which ends one that is being made, by its id), and `GET /v1/models` and `/v1/models/{id}`. `POST /v1/messages/count_tokens` is refused: the CLI
//! has no count. `GET /v1/usage` tells a key what it has used and may ([`quota::usage_json`]).
//!
//! # Fields
//!
//! For all wires: what a wire does not have is not read there.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `model` | honoured; `null` or no model is the default one |
//! | `messages`, `input`, `system`, `instructions` | honoured: texts, images (PNG, JPEG, GIF and WebP of up to 5 MB as data URL or base64; other URLs are passed on and never fetched here) and PDF files; audio is refused. Thinking of earlier turns is left out |
//! | `stream`, `stream_options` | honoured |
//! | `response_format`, `text`, `output_config` | honoured: the answer fits the schema, strict or not, or has failed with `invalid_output`; an `effort` is honoured too, a `verbosity` named as ignored |
//! | `max_tokens`, `max_completion_tokens`, `max_output_tokens`, `temperature`, `top_p`, `top_k`, `stop`, `stop_sequences`, `reasoning_effort`, `reasoning`, `thinking` | honoured for plain models; named as ignored for agents. A `temperature` above 1 and a blank `stop` are named as ignored, and `temperature`, `top_p` and `top_k` beside thinking |
//! | `tools`, `tool_choice`, `parallel_tool_calls` | honoured for plain models, with a pool; refused for agents, which have tools of their own |
//! | `previous_response_id`, `store` | honoured where the server keeps responses ([`OpenAiBuilder::store`]) |
//! | `user`, `metadata`, `safety_identifier`, `prompt_cache_key`, `prompt_cache_retention`, `cache_control`; `store` of a chat, `stream_options` of a response | accepted: they change nothing in an answer |
//! | `seed`, `logit_bias`, `presence_penalty`, `frequency_penalty`, `service_tier`, `verbosity`, `prediction`, `include`, `max_tool_calls`, `truncation`, `context_management`, `inference_geo`, `speed`, and every field not in this table | accepted at the default; otherwise named in the header `x-claude-exec-ignored` and in the log |
//! | `n`, `logprobs`, `top_logprobs`, `functions`, `function_call`, `modalities`, `audio`, `web_search_options`, `background`, `conversation`, `prompt`, `container`, `mcp_servers` | accepted at the default; otherwise refused, with `param` |
//!
//! Under `strict` (an option of the server, or the request header `x-claude-exec-strict: true`) what would be
//! ignored is refused.
//!
//! # Conversations
//!
//! The endpoint is stateless, as OpenAI's is: each request carries its conversation. With a
//! [pool](OpenAiBuilder::pool) it is warm inside: the process that gave a conversation's last answer is found by a hash of
//! the caller's key name and all that was said, and told the new turn alone; one request at a time has it. Where none
//! is found, the earlier turns are written into a fresh process as what they are. Otherwise, and for agents, they are
//! packed as [`carried`] says. A conversation of one message always travels byte for byte.
//!
//! # Tools of the client's
//!
//! When the model calls them, its turn waits in its process for the results, for a
//! [bounded time](OpenAiBuilder::parking); the request that brings them lets it go on. Who comes later, or with other
//! words too, finds the conversation replayed, calls and results as what they are. The CLI's own tools stay off.
//!
//! # Limits of keys
//!
//! With a [ledger](OpenAiBuilder::ledger), each key has the models, the turns at a time, and the requests and dollars of a
//! day that its [limits](quota::KeyLimits) say: [`quota`] has what is counted when.
//!
//! # Errors
//!
//! Always OpenAI's object, below `/v1/messages` Anthropic's, whose status is the true one as long as none has been sent; the tables are on
//! [`from_outcome`] and [`from_error`]. A failed turn is never a `stop`, and the CLI's
//! error prose never the assistant's words. A stream that fails in the middle ends with the error object and
//! without `[DONE]`.
//!
//! # Cancel safety
//!
//! Dropping the service's future, or the response's body, leaves the queue or stops the process, and gives the
//! slot and the checkout back when nothing of it runs any more. That is what a server does when its client
//! hangs up.

mod answer;
pub mod chat;
mod collected;
mod content;
mod draft7;
mod effort;
mod envelope;
mod error;
mod failure;
mod fields;
mod finish;
mod json;
mod limits;
mod media;
pub mod messages;
mod models;
mod plan;
mod prompt;
pub mod quota;
mod read;
mod relay;
mod request;
pub mod responses;
mod sampling;
mod schema;
mod sent;
#[cfg(feature = "http")]
mod shell;
mod stamp;
mod tool;
mod usage;
#[cfg(feature = "http")]
mod warm;

pub use answer::{Answer, Done, Step};
pub use collected::{Call, Collected, Whole};
pub use content::{Block, Message, Role, Source};
pub use envelope::Envelope;
pub use error::ApiError;
pub use failure::{from_error, from_outcome};
pub use fields::IgnoredFields;
pub use finish::FinishReason;
pub use limits::Limits;
pub use media::{MAX_DOCUMENT_BYTES, MAX_IMAGE_BYTES, MAX_IMAGES};
pub use models::{AgentModel, Model, Models, Workspace};
pub use plan::{Plan, plan};
pub use prompt::carried;
pub use relay::{Progress, Relay};
pub use request::Request;
pub use sampling::{Reasoning, Sampling};
pub use schema::{MAX_SCHEMA_BYTES, OutputFormat, Schema};
#[cfg(feature = "http")]
pub use shell::{AnswerEnd, IGNORED, OpenAi, OpenAiBuilder, STRICT, refusal};
pub use stamp::Stamp;
pub use tool::{MAX_TOOLS, ToolChoice, ToolDefinition};
pub use usage::{CompletionTokens, PromptTokens, TokenUsage};

#[cfg(test)]
mod tests {
    use crate::fields::Rule;

    #[test]
    fn the_documentation_says_what_becomes_of_every_field() {
        let rows = include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
        let rows: Vec<(&str, &str)> = rows.filter_map(|row| row.split_once(" | ")).collect();
        let tables = [crate::chat::FIELDS, crate::responses::FIELDS, crate::messages::FIELDS];
        for (name, rule) in tables.into_iter().flatten() {
            let expected = match rule {
                Rule::Honoured => "honoured",
                Rule::Accepted => "accepted:",
                Rule::Ignored(_) => "accepted at the default; otherwise named",
                Rule::Refused(..) => "accepted at the default; otherwise refused",
            };
            let mut told =
                rows.iter().filter(|(names, _)| format!("`{names}").contains(&format!("`{name}`")));
            assert!(told.any(|(_, what)| what.starts_with(expected)), "{name}: {expected}");
        }
    }
}
