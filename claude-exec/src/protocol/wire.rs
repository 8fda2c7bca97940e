//! Borrowed views of one stream-json line, as lenient as the CLI is free: every field may be missing,
//! unknown ones are skipped. Key order means nothing: `type` has been seen as the 19th key.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::outcome::{ModelUsage, Usage};

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
    /// On `message_delta`: the output tokens, and with some models the input tokens anew.
    pub usage: Option<UsageWire>,
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
    #[serde(borrow)]
    pub stop_sequence: Option<Str<'a>>,
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
    pub usage: Option<UsageWire>,
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
    #[serde(deserialize_with = "lenient")]
    pub tools: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub agents: Vec<String>,
    #[serde(rename = "permissionMode")]
    pub permission_mode: String,
    #[serde(deserialize_with = "lenient")]
    pub user_message_uuids: Vec<String>,
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

/// `result`. It ends the turn, so no field of an unexpected shape may cost it: such a field is its default.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct ResultLine {
    #[serde(deserialize_with = "lenient")]
    pub subtype: String,
    /// Missing or no boolean: the subtype tells.
    #[serde(deserialize_with = "lenient")]
    pub is_error: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub result: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub session_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub stop_reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub terminal_reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub api_error_status: Option<u16>,
    #[serde(deserialize_with = "lenient")]
    pub errors: Vec<Value>,
    pub structured_output: Option<Box<RawValue>>,
    #[serde(deserialize_with = "lenient")]
    pub usage: UsageWire,
    #[serde(deserialize_with = "lenient")]
    pub total_cost_usd: Option<f64>,
    #[serde(rename = "modelUsage", deserialize_with = "lenient")]
    pub model_usage: BTreeMap<String, ModelUsage>,
    #[serde(deserialize_with = "lenient")]
    pub model_usage_since_last_result: Option<BTreeMap<String, ModelUsage>>,
    #[serde(deserialize_with = "lenient")]
    pub num_turns: u32,
    #[serde(deserialize_with = "lenient")]
    pub duration_ms: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub ttft_ms: Option<f64>,
    pub permission_denials: Option<Box<RawValue>>,
    #[serde(deserialize_with = "lenient")]
    pub result_index: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub user_message_uuids: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub user_message_uuid: Option<String>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct UsageWire {
    #[serde(deserialize_with = "lenient")]
    pub input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub output_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub cache_creation_input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub cache_read_input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub output_tokens_details: OutputDetails,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct OutputDetails {
    #[serde(deserialize_with = "lenient")]
    pub thinking_tokens: u64,
}

impl UsageWire {
    pub(super) fn to_usage(&self) -> Usage {
        Usage {
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cache_creation_input_tokens: self.cache_creation_input_tokens,
            cache_read_input_tokens: self.cache_read_input_tokens,
            thinking_tokens: self.output_tokens_details.thinking_tokens,
        }
    }
}

/// The value, or the default when it has another shape, `null` included.
fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Value::deserialize(deserializer)?;
    Ok(T::deserialize(value).unwrap_or_default())
}

/// The least a line must have to be passed on whole.
#[derive(Deserialize, Debug)]
pub(super) struct Bare {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, deserialize_with = "lenient")]
    pub subtype: Option<String>,
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
