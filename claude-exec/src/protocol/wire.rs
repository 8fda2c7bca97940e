//! Borrowed views of one stream-json line, as lenient as the CLI is free: every field may be missing,
//! unknown ones are skipped. Key order means nothing: `type` has been seen as the 19th key.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::outcome::ModelUsage;

/// A string that borrows from the line when it has no escapes. `Option<Cow<str>>` would copy silently.
#[derive(Deserialize, Debug, Default)]
pub(super) struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

impl Str<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_string(self) -> String {
        self.0.into_owned()
    }
}

/// What every line may have, and all of a `stream_event`: the one shape that comes by the thousand.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Head<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub subtype: Option<Str<'a>>,
    #[serde(borrow)]
    pub parent_tool_use_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub event: Option<StreamEvent<'a>>,
    /// On a `message_stop` (2.1.330): the blocks from this one on were cut off, and will be said anew.
    pub abandoned_blocks: Option<AbandonedBlocks>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct AbandonedBlocks {
    pub from_block_index: u32,
}

/// `stream_event.event`: a raw event of the Messages API
/// (<https://docs.anthropic.com/en/docs/build-with-claude/streaming>).
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct StreamEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub delta: Option<Delta<'a>>,
    /// Boxed, as the next one is: they are rare, and every event is moved several times.
    #[serde(borrow)]
    pub content_block: Option<Box<BlockStart<'a>>>,
    #[serde(borrow)]
    pub message: Option<Box<MessageStart<'a>>>,
    pub index: u32,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Str<'a>>,
    #[serde(borrow)]
    pub partial_json: Option<Str<'a>>,
    #[serde(borrow)]
    pub stop_reason: Option<Str<'a>>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct BlockStart<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct MessageStart<'a> {
    #[serde(borrow)]
    pub id: Str<'a>,
}

/// `assistant` and `user`.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct MessageLine<'a> {
    #[serde(borrow)]
    pub message: Option<Message<'a>>,
    /// Set when the "message" is the CLI's own prose about an API error.
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    #[serde(rename = "isReplay")]
    pub is_replay: bool,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    /// A string or an array of blocks.
    #[serde(borrow)]
    pub content: Option<&'a RawValue>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Str<'a>>,
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub tool_use_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub content: Option<&'a RawValue>,
    pub is_error: Option<bool>,
}

/// `system` with the subtype `init`.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct InitLine {
    pub session_id: String,
    pub model: String,
    pub claude_code_version: String,
    pub cwd: String,
    pub tools: Vec<String>,
    #[serde(rename = "permissionMode")]
    pub permission_mode: String,
}

/// `system` with the subtype `api_retry`.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct RetryLine {
    pub attempt: u32,
    pub max_retries: u32,
    pub retry_delay_ms: f64,
    pub error_status: Option<u16>,
    pub error: Option<String>,
}

#[derive(Deserialize, Debug)]
pub(super) struct RateLimitLine {
    pub rate_limit_info: Box<RawValue>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct RateLimitInfo {
    pub status: String,
    #[serde(rename = "resetsAt")]
    pub resets_at: Option<f64>,
    #[serde(rename = "rateLimitType")]
    pub kind: Option<String>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct ResultLine {
    pub subtype: String,
    pub is_error: bool,
    pub result: Option<String>,
    pub session_id: Option<String>,
    pub stop_reason: Option<String>,
    pub terminal_reason: Option<String>,
    pub api_error_status: Option<u16>,
    pub errors: Vec<String>,
    pub structured_output: Option<Box<RawValue>>,
    pub usage: Option<UsageWire>,
    pub total_cost_usd: Option<f64>,
    #[serde(rename = "modelUsage")]
    pub model_usage: BTreeMap<String, ModelUsage>,
    pub num_turns: u32,
    pub duration_ms: Option<f64>,
    pub ttft_ms: Option<f64>,
    pub permission_denials: Option<Box<RawValue>>,
    pub result_index: Option<u64>,
    pub user_message_uuids: Vec<String>,
    pub user_message_uuid: Option<String>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct UsageWire {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_creation_input_tokens: Option<u64>,
    pub cache_read_input_tokens: Option<u64>,
    pub output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct OutputDetails {
    pub thinking_tokens: u64,
}

#[derive(Deserialize, Debug)]
pub(super) struct ControlRequestLine<'a> {
    pub request_id: String,
    #[serde(borrow)]
    pub request: &'a RawValue,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct AskWire<'a> {
    pub subtype: String,
    pub tool_name: Option<String>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
    pub tool_use_id: Option<String>,
    pub description: Option<String>,
    #[serde(borrow)]
    pub permission_suggestions: Option<&'a RawValue>,
    pub server_name: Option<String>,
    #[serde(borrow)]
    pub message: Option<&'a RawValue>,
}

#[derive(Deserialize, Debug)]
pub(super) struct ControlResponseLine {
    pub response: ControlResponseWire,
}

#[derive(Deserialize, Debug)]
pub(super) struct ControlResponseWire {
    pub subtype: String,
    pub request_id: String,
    #[serde(default)]
    pub response: Option<Box<RawValue>>,
    #[serde(default)]
    pub error: Option<String>,
}

#[derive(Deserialize, Debug)]
pub(super) struct ControlCancelLine {
    pub request_id: String,
}
