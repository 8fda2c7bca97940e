//! The vocabulary that everything above the protocol sees: owned, small, open.

use serde_json::value::RawValue;

use super::control::{ControlRequest, ControlResponse};
use super::outcome::{Outcome, Usage};
use super::session::SessionId;

/// One thing the CLI said, or that became of its turn.
///
/// **The answer is the concatenation of [`Event::Text`] with no `parent`, shortened at its end by each
/// [`Event::Restarted`] with no `parent`.**
/// Text that came as deltas is not repeated when the whole message follows, and text that came only whole is
/// not lost.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A turn began in this session (`system/init`; the CLI says it at the start of every turn).
    Session(Session),
    /// A piece of answer text.
    Text(Text),
    /// A piece of thinking.
    Thinking(Text),
    /// A tool call began; its input follows in pieces. The whole call comes as [`Event::Tool`].
    ToolStart(ToolStart),
    /// A piece of a tool call's input, as JSON text.
    ToolInput(ToolInput),
    /// A whole tool call.
    Tool(Tool),
    /// What a tool gave back.
    ToolResult(ToolResult),
    /// The model finished one message (one request to the API); a turn with tools has several.
    MessageEnd(MessageEnd),
    /// The CLI starts a message over: the end of what was said is void, and what takes its place follows.
    Restarted(Restarted),
    /// The CLI is about to try the model API again.
    Retry(Retry),
    /// The account's limits, as the API reported them.
    RateLimit(RateLimit),
    /// The CLI asks something of us: a permission, an MCP message, a hook.
    ControlRequest(ControlRequest),
    /// The CLI answered a control request of ours.
    ControlResponse(ControlResponse),
    /// The CLI no longer wants the answer to its control request with this id.
    ControlCancel(String),
    /// The turn's result, good or bad: success is [`Outcome::is_success`].
    Finished(Box<Outcome>),
    /// The turn failed outside the CLI's own account of it: a time limit, an early exit, no result.
    Error(crate::Error),
    /// The turn was stopped on its caller's wish.
    Cancelled,
    /// The CLI's own account of a turn that had ended in [`Event::Cancelled`] or [`Event::Error`] before it came: what
    /// it has cost all the same. It changes nothing about what became of the turn.
    Late(Box<Outcome>),
    /// The turn is over and nothing of it runs any more. Always the last event of a turn.
    TurnEnd,
    /// A type of line that this version does not know, or knows and does not interpret, whole.
    Other(Other),
    /// A line that could not be used; the session goes on.
    Noise(Noise),
}

/// The start of a turn: what the CLI runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// The session's id as the CLI reports it.
    pub session_id: SessionId,
    /// The model's full name.
    pub model: String,
    /// The CLI's version, such as `2.1.330`.
    pub version: String,
    /// The CLI's working directory.
    pub cwd: String,
    /// The tools the model is offered.
    pub tools: Vec<String>,
    /// The agents the CLI knows here.
    pub agents: Vec<String>,
    /// The permission mode.
    pub permission_mode: String,
    /// The ids of the user messages that this turn answers; empty when the CLI does not tell.
    pub user_message_uuids: Vec<String>,
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Text {
    /// The text itself, never empty.
    pub text: String,
    /// The tool call whose sub-agent said it; `None` for the main agent.
    pub parent: Option<String>,
}

/// The start of a tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolStart {
    /// The call's id.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The tool call whose sub-agent makes this one.
    pub parent: Option<String>,
}

/// A piece of a tool call's input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolInput {
    /// The call's id.
    pub id: String,
    /// A piece of JSON text; the pieces of one id concatenate to its input.
    pub partial_json: String,
    /// The tool call whose sub-agent makes this one.
    pub parent: Option<String>,
}

/// A whole tool call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tool {
    /// The call's id.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The input, byte for byte as the CLI wrote it.
    pub input: Box<RawValue>,
    /// The tool call whose sub-agent makes this one.
    pub parent: Option<String>,
}

/// What a tool gave back.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ToolResult {
    /// The id of the call it answers.
    pub tool_use_id: String,
    /// A JSON string or an array of content blocks, byte for byte.
    pub content: Option<Box<RawValue>>,
    /// The tool failed, or leave for it was refused.
    pub is_error: bool,
    /// The tool call whose sub-agent made the call.
    pub parent: Option<String>,
}

/// The end of one message of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageEnd {
    /// Why it ended, in the API's words: `end_turn`, `max_tokens`, `tool_use`, `refusal`, …
    pub stop_reason: Option<String>,
    /// The stop sequence that ended it, when one did.
    pub stop_sequence: Option<String>,
    /// Its tokens; `None` when the API told none.
    pub usage: Option<Usage>,
    /// The tool call whose sub-agent said it.
    pub parent: Option<String>,
}

/// How much became void. A tool call that was begun and not yet seen whole is void too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restarted {
    /// Bytes of text that are void, counted back from its end.
    pub text_bytes: usize,
    /// Bytes of thinking that are void, counted the same way.
    pub thinking_bytes: usize,
    /// The tool call whose sub-agent starts over; `None` for the main agent.
    pub parent: Option<String>,
}

/// A retry that the CLI announced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// Which retry this is, from 1.
    pub attempt: u32,
    /// How many the CLI will make.
    pub max_retries: u32,
    /// How long it waits first, in milliseconds.
    pub delay_ms: u64,
    /// The API's HTTP status; `None` for a connection that failed.
    pub status: Option<u16>,
    /// The CLI's name for the error, such as `rate_limit` or `authentication_failed`.
    pub error: String,
}

impl Retry {
    /// True when waiting cannot help: the credential was refused, so every retry will be too.
    pub fn is_hopeless(&self) -> bool {
        matches!(self.status, Some(401 | 403))
    }
}

/// The account's limits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RateLimit {
    /// `allowed`, `allowed_warning` or `rejected`; only the last one stops a turn.
    pub status: String,
    /// When the limit resets, in seconds since the Unix epoch.
    pub resets_at: Option<u64>,
    /// Which limit, such as `five_hour`.
    pub kind: Option<String>,
    /// All of `rate_limit_info`.
    pub raw: Box<RawValue>,
}

/// A line passed on whole.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Other {
    /// Its `type`.
    pub kind: String,
    /// Its `subtype`.
    pub subtype: Option<String>,
    /// The whole line.
    pub raw: Box<RawValue>,
}

/// A line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Noise {
    /// Why.
    pub reason: NoiseReason,
    /// The line's length in bytes.
    pub bytes: u64,
}

/// Why a line could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoiseReason {
    /// It is no JSON object. Some builds of the CLI print plain log lines to stdout.
    NotJson,
    /// It is longer than the line limit; it was dropped up to its newline.
    TooLong,
    /// It has a known type whose fields do not fit; the parser's words.
    Malformed(String),
    /// The stream ended in the middle of it.
    CutOff,
}
