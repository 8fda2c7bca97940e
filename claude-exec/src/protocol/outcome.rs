//! What became of a turn: success, or which failure, with usage and cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::session::SessionId;

/// A turn's result as the CLI tells it (`result`).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// The CLI's word: `success` also for API errors, so never test it; ask [`Outcome::is_success`].
    pub subtype: String,
    /// The turn failed.
    pub is_error: bool,
    /// The final text; the answer seen on the stream when the CLI's own is empty. An error's prose when
    /// the turn failed.
    pub text: String,
    /// The session that this turn is part of.
    pub session_id: Option<SessionId>,
    /// Why the model stopped, in the API's words.
    pub stop_reason: Option<String>,
    /// Why the turn ended, in the CLI's words: `completed`, `api_error`, `prompt_too_long`, …
    pub terminal_reason: Option<String>,
    /// The HTTP status of the API, when it refused.
    pub api_error_status: Option<u16>,
    /// The CLI's error messages.
    pub errors: Vec<String>,
    /// The JSON that fits the invocation's schema.
    pub structured_output: Option<Box<RawValue>>,
    /// The tokens of this turn's main loop.
    pub usage: Usage,
    /// What this turn cost, in US dollars; `None` from a CLI that tells only sums.
    pub cost_usd: Option<f64>,
    /// Tokens and cost of this turn, of all its models together, those of sub-agents and of messages that were cut
    /// too; `None` from a CLI that tells only sums.
    pub turn_usage: Option<ModelUsage>,
    /// What the session has cost so far, in US dollars: cumulative, over resumes too. Never sum it over turns.
    pub total_cost_usd: Option<f64>,
    /// Tokens and cost by model: cumulative too.
    pub model_usage: BTreeMap<String, ModelUsage>,
    /// Requests to the model that this turn took.
    pub num_turns: u32,
    /// Wall time of the turn in milliseconds.
    pub duration_ms: Option<u64>,
    /// Time to the first token in milliseconds, as the CLI measured it.
    pub ttft_ms: Option<u64>,
    /// The tools that were refused, as the CLI lists them.
    pub permission_denials: Option<Box<RawValue>>,
    /// Counts the results of one process from 0; a gap means a lost one.
    pub result_index: Option<u64>,
    /// The ids of the user messages that this result answers.
    pub user_message_uuids: Vec<String>,
}

/// Tokens of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct Usage {
    /// Fresh input tokens.
    pub input_tokens: u64,
    /// Output tokens, thinking included.
    pub output_tokens: u64,
    /// Input tokens written to the prompt cache.
    pub cache_creation_input_tokens: u64,
    /// Input tokens read from the prompt cache.
    pub cache_read_input_tokens: u64,
    /// Of the output tokens, those spent on thinking.
    pub thinking_tokens: u64,
}

/// Tokens and cost of one model, cumulative for the process.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default, rename_all = "camelCase")]
pub struct ModelUsage {
    /// Fresh input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens read from the prompt cache.
    pub cache_read_input_tokens: u64,
    /// Input tokens written to the prompt cache.
    pub cache_creation_input_tokens: u64,
    /// US dollars.
    #[serde(rename = "costUSD")]
    pub cost_usd: f64,
}

/// Why a turn failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The model API refused; its HTTP status when the CLI told one.
    Api(Option<u16>),
    /// The conversation no longer fits the model's context.
    PromptTooLong,
    /// `max_turns` reached.
    MaxTurns,
    /// The budget is spent.
    MaxBudget,
    /// The model did not produce JSON that fits the schema.
    StructuredOutput,
    /// The session to resume does not exist.
    UnknownSession,
    /// The turn was interrupted.
    Interrupted,
    /// Any other failure that the CLI reported.
    Execution,
}

impl Outcome {
    /// True when the turn succeeded: the subtype is `success` and `is_error` is not set. Neither alone tells.
    pub fn is_success(&self) -> bool {
        self.failure().is_none()
    }

    /// Why the turn failed; `None` when it did not.
    pub fn failure(&self) -> Option<Failure> {
        match self.subtype.as_str() {
            "error_max_turns" => return Some(Failure::MaxTurns),
            "error_max_budget_usd" => return Some(Failure::MaxBudget),
            "error_max_structured_output_retries" => return Some(Failure::StructuredOutput),
            "success" if !self.is_error => return None,
            _ => {}
        }
        let reason = self.terminal_reason.as_deref().unwrap_or_default();
        if reason == "prompt_too_long" || self.text.starts_with("Prompt is too long") {
            return Some(Failure::PromptTooLong);
        }
        if reason.starts_with("aborted_") {
            return Some(Failure::Interrupted);
        }
        if self.api_error_status.is_some() || reason == "api_error" {
            return Some(Failure::Api(self.api_error_status));
        }
        if self.errors.iter().any(|error| error.starts_with("No conversation found")) {
            return Some(Failure::UnknownSession);
        }
        Some(Failure::Execution)
    }

    /// The one-line message of a failed turn.
    pub fn error_message(&self) -> String {
        let first = self.errors.first().map(String::as_str).filter(|text| !text.is_empty());
        let text = first.unwrap_or(if self.text.is_empty() { &self.subtype } else { &self.text });
        text.lines().next().unwrap_or_default().to_owned()
    }
}

impl ModelUsage {
    /// The sum of what several models were used for.
    pub fn sum<'u>(all: impl IntoIterator<Item = &'u Self>) -> Self {
        all.into_iter().fold(Self::default(), |sum, usage| Self {
            input_tokens: sum.input_tokens.saturating_add(usage.input_tokens),
            output_tokens: sum.output_tokens.saturating_add(usage.output_tokens),
            cache_read_input_tokens: sum
                .cache_read_input_tokens
                .saturating_add(usage.cache_read_input_tokens),
            cache_creation_input_tokens: sum
                .cache_creation_input_tokens
                .saturating_add(usage.cache_creation_input_tokens),
            cost_usd: sum.cost_usd + usage.cost_usd,
        })
    }
}

impl Usage {
    /// All input tokens: fresh, read from the cache and written to it.
    pub fn total_input_tokens(&self) -> u64 {
        self.input_tokens + self.cache_creation_input_tokens + self.cache_read_input_tokens
    }
}
