//! Tokens, as OpenAI counts them.

use claude_exec::protocol::Usage;
use serde::Serialize;

/// The tokens of one answer, as OpenAI counts them.
///
/// The Messages API counts fresh, cached and cache-writing input apart; OpenAI's `prompt_tokens` is their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct TokenUsage {
    /// All input tokens.
    pub prompt_tokens: u64,
    /// All output tokens, thinking included.
    pub completion_tokens: u64,
    /// Their sum.
    pub total_tokens: u64,
    /// Of the input.
    pub prompt_tokens_details: PromptTokens,
    /// Of the output.
    pub completion_tokens_details: CompletionTokens,
}

/// Details of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct PromptTokens {
    /// Read from the prompt cache.
    pub cached_tokens: u64,
}

/// Details of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct CompletionTokens {
    /// Spent on thinking.
    pub reasoning_tokens: u64,
}

impl From<Usage> for TokenUsage {
    fn from(usage: Usage) -> Self {
        let prompt_tokens = usage.total_input_tokens();
        Self {
            prompt_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: prompt_tokens.saturating_add(usage.output_tokens),
            prompt_tokens_details: PromptTokens { cached_tokens: usage.cache_read_input_tokens },
            completion_tokens_details: CompletionTokens { reasoning_tokens: usage.thinking_tokens },
        }
    }
}
