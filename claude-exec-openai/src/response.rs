//! The `chat.completion` object, and the usage that chunks share with it.

use claude_exec::protocol::Usage;
use serde::Serialize;

use crate::finish::FinishReason;

/// What every object of one answer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// `chatcmpl-…`, the same in every chunk.
    pub id: String,
    /// Seconds since the Unix epoch, the same in every chunk.
    pub created: u64,
    /// The model as the caller named it.
    pub model: String,
}

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

/// The body of a non-streaming answer, compact. Without `usage` the member is `null`, as OpenAI's types allow.
pub fn completion(
    stamp: &Stamp,
    text: &str,
    finish_reason: FinishReason,
    usage: Option<TokenUsage>,
) -> Vec<u8> {
    let message = Message { role: "assistant", content: text, refusal: None };
    let choice = Choice { index: 0, message, logprobs: None, finish_reason: finish_reason.as_str() };
    let body = Completion {
        id: &stamp.id,
        object: "chat.completion",
        created: stamp.created,
        model: &stamp.model,
        choices: [choice],
        usage,
    };
    serde_json::to_vec(&body).expect("strings and numbers always serialize")
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    usage: Option<TokenUsage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    refusal: Option<()>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_openais_to_the_byte() {
        let usage: Usage = serde_json::from_str(
            r#"{"input_tokens":10,"output_tokens":5,"cache_creation_input_tokens":200,
                "cache_read_input_tokens":3000,"thinking_tokens":2}"#,
        )
        .unwrap();
        let stamp = Stamp { id: "chatcmpl-1".into(), created: 7, model: "sonnet".into() };
        let body = completion(&stamp, "Здравей \"ти\"\n", FinishReason::Length, Some(usage.into()));
        let expected = concat!(
            r#"{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"sonnet","choices":[{"index":0,"#,
            r#""message":{"role":"assistant","content":"Здравей \"ти\"\n","refusal":null},"logprobs":null,"#,
            r#""finish_reason":"length"}],"usage":{"prompt_tokens":3210,"completion_tokens":5,"total_tokens":3215,"#,
            r#""prompt_tokens_details":{"cached_tokens":3000},"completion_tokens_details":{"reasoning_tokens":2}}}"#,
        );
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
