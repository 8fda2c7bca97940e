//! What happens in a session, as its log keeps it and its readers see it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::log::{Draft, Entry};

/// One thing that happened. Its name on the wire is the variant's in snake case, its data the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A prompt was accepted: the turn has begun.
    User(User),
    /// The CLI's session began or went on.
    Session(CliSession),
    /// A piece of the answer.
    Delta(Piece),
    /// A piece of thinking.
    Thinking(Piece),
    /// The model started over: what is left of these blocks.
    Retract(Retract),
    /// A tool call.
    Tool(ToolCall),
    /// What a tool gave back.
    ToolResult(ToolResult),
    /// Someone is asked for leave.
    Approval(Approval),
    /// What became of it; or that a tool ran without being asked for.
    Decision(Decision),
    /// What a power verb that the agent asked for has led to.
    Power(PowerDone),
    /// The CLI is about to try the model's API again.
    Retry(Retry),
    /// The turn's result.
    Result(TurnResult),
    /// The turn failed outside the CLI's own account of it.
    Error(TurnError),
    /// The turn was cancelled.
    Cancelled(Cancelled),
    /// The turn is over, and nothing of it runs.
    TurnEnd(TurnEnd),
    /// The session asks from now on, or no longer does.
    Mode(ModeSet),
    /// The session's turns run on another model from now on.
    Model(ModelSet),
    /// The session has another name.
    Renamed(Renamed),
    /// The session takes no more prompts.
    Closed(Closed),
}

/// How a session treats what is not read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A person is asked.
    #[default]
    Ask,
    /// Everything runs, as in the original service. Shown in red.
    Unattended,
}

/// `user`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// When, in Unix milliseconds, here and in all that follows.
    pub at: u64,
    /// The turn's number, from 1, here and in all that follows.
    pub turn: u64,
    /// The prompt.
    pub text: String,
    /// Who asked.
    pub by: String,
    /// The caller's key, with which asking twice is asking once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// `session`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in the CLI's protocol")]
pub struct CliSession {
    pub at: u64,
    pub turn: u64,
    pub session_id: String,
    pub model: String,
}

/// `delta`, `thinking`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct Piece {
    pub at: u64,
    pub turn: u64,
    /// Which block of the turn it goes on with, from 0.
    pub block: u64,
    pub text: String,
}

/// `retract`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct Retract {
    pub at: u64,
    pub turn: u64,
    pub blocks: Vec<Left>,
}

/// What is left of a block: the whole of its text from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `Piece`")]
pub struct Left {
    pub block: u64,
    pub text: String,
}

/// `tool`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct ToolCall {
    pub at: u64,
    pub turn: u64,
    pub tool_id: String,
    pub name: String,
    /// The input, or what of it is shown.
    pub input: Value,
    /// The line to show: the command, the file, the pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The input is not shown whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The tool call whose sub-agent makes this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// `tool_result`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct ToolResult {
    pub at: u64,
    pub turn: u64,
    pub tool_id: String,
    pub is_error: bool,
    pub text: String,
    /// How many bytes there were.
    pub bytes: u64,
    pub truncated: bool,
    /// How long after the call.
    pub ms: Option<u64>,
}

/// `approval`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct Approval {
    pub at: u64,
    pub turn: u64,
    /// The card's name in this session.
    pub approval: String,
    /// When it is refused for want of an answer.
    pub expires_at: u64,
    #[serde(flatten)]
    pub what: Asked,
}

/// What leave is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "see `ToolCall`")]
pub enum Asked {
    /// A tool of the CLI's.
    Tool {
        tool_id: String,
        tool: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
        input: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// What `allow_session` allows from now on; none: it cannot be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// A power verb.
    Power { verb: String, reason: String },
}

/// `decision`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `Approval`")]
pub struct Decision {
    pub at: u64,
    pub turn: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<String>,
    pub decision: Verdict,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What became of a question for leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// This once.
    AllowOnce,
    /// This, and what the rule covers, until the session ends.
    AllowSession,
    /// No.
    Deny,
    /// No, since nobody answered.
    Expired,
    /// No, since the turn was cancelled or ended.
    Cancelled,
    /// Nobody was asked.
    Auto,
}

/// `power`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `Approval`")]
pub struct PowerDone {
    pub at: u64,
    pub turn: u64,
    pub approval: String,
    pub verb: String,
    pub by: String,
    pub outcome: String,
    pub text: String,
}

/// `retry`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in the CLI's protocol")]
pub struct Retry {
    pub at: u64,
    pub turn: u64,
    pub attempt: u32,
    pub max_retries: u32,
    pub delay_ms: u64,
    pub status: Option<u16>,
    pub error: String,
}

/// `result`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in the CLI's protocol")]
pub struct TurnResult {
    pub at: u64,
    pub turn: u64,
    pub is_error: bool,
    /// The text; empty when it was streamed.
    pub result: String,
    pub duration_ms: Option<u64>,
    /// What this turn cost, in US dollars.
    pub cost_usd: Option<f64>,
    pub total_cost_usd: Option<f64>,
    pub usage: Usage,
    pub num_turns: u32,
}

/// Tokens of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in the model's API")]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub cache_creation_input_tokens: u64,
}

/// `error`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct TurnError {
    pub at: u64,
    pub turn: u64,
    pub error: String,
}

/// `cancelled`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct Cancelled {
    pub at: u64,
    pub turn: u64,
    pub by: String,
}

/// `turn_end`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct TurnEnd {
    pub at: u64,
    pub turn: u64,
    pub state: Ended,
    /// How long the turn took.
    pub ms: u64,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Ended {
    Done,
    Failed,
    Cancelled,
}

/// `mode`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct ModeSet {
    pub at: u64,
    pub mode: Mode,
    pub by: String,
}

/// `model`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct ModelSet {
    pub at: u64,
    /// None is the server's own.
    pub model: Option<String>,
    pub by: String,
}

/// `renamed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct Renamed {
    pub at: u64,
    pub name: String,
    pub by: String,
}

/// `closed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see `User`")]
pub struct Closed {
    pub at: u64,
    /// `closed` by a person, or `idle`.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl Event {
    /// Its name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Session(_) => "session",
            Self::Delta(_) => "delta",
            Self::Thinking(_) => "thinking",
            Self::Retract(_) => "retract",
            Self::Tool(_) => "tool",
            Self::ToolResult(_) => "tool_result",
            Self::Approval(_) => "approval",
            Self::Decision(_) => "decision",
            Self::Power(_) => "power",
            Self::Retry(_) => "retry",
            Self::Result(_) => "result",
            Self::Error(_) => "error",
            Self::Cancelled(_) => "cancelled",
            Self::TurnEnd(_) => "turn_end",
            Self::Mode(_) => "mode",
            Self::Model(_) => "model",
            Self::Renamed(_) => "renamed",
            Self::Closed(_) => "closed",
        }
    }

    /// The event for a log.
    pub fn to_draft(&self) -> Draft {
        match self {
            Self::Delta(piece) | Self::Thinking(piece) => {
                Draft::text(self.name(), piece.at, piece.turn, piece.block, &*piece.text)
            }
            other => Draft::new(self.name(), other.data()),
        }
    }

    /// Reads an event of a log; `None` for one of another version.
    pub fn of(entry: &Entry) -> Option<Self> {
        let data: &serde_json::value::RawValue = serde_json::from_str(entry.data()).ok()?;
        let tagged = format!(r#"{{"event":"{}","data":{data}}}"#, entry.name());
        serde_json::from_str(&tagged).ok()
    }

    /// Its fields, as JSON on one line.
    pub fn data(&self) -> String {
        // Strings, numbers and values made of them are always JSON.
        let tagged = serde_json::to_string(self).unwrap_or_default();
        let start = r#"{"event":"","data":"#.len() + self.name().len();
        tagged.get(start..tagged.len().saturating_sub(1)).unwrap_or("{}").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::log::EventId;

    #[test]
    fn names_and_data_are_as_the_wire_has_them() {
        let approval = Event::Approval(Approval {
            at: 5,
            turn: 1,
            approval: "a1".into(),
            expires_at: 9,
            what: Asked::Power { verb: "cycle".into(), reason: "hangs".into() },
        });
        let table = [
            (
                Event::User(User { at: 1, turn: 1, text: "hi\n".into(), by: "me".into(), key: None }),
                json!({"at":1,"turn":1,"text":"hi\n","by":"me"}),
            ),
            (
                Event::Delta(Piece { at: 1, turn: 2, block: 0, text: "\u{2028}\"".into() }),
                json!({"at":1,"turn":2,"block":0,"text":"\u{2028}\""}),
            ),
            (
                approval,
                json!({"at":5,"turn":1,"approval":"a1","kind":"power","verb":"cycle","reason":"hangs","expires_at":9}),
            ),
            (
                Event::Decision(Decision {
                    at: 1,
                    turn: 1,
                    approval: None,
                    tool_id: Some("t".into()),
                    decision: Verdict::AllowSession,
                    by: "me".into(),
                    reason: None,
                    rule: Some("read-only".into()),
                }),
                json!({"at":1,"turn":1,"tool_id":"t","decision":"allow_session","by":"me","rule":"read-only"}),
            ),
            (
                Event::TurnEnd(TurnEnd { at: 1, turn: 1, state: Ended::Cancelled, ms: 3 }),
                json!({"at":1,"turn":1,"state":"cancelled","ms":3}),
            ),
        ];
        for (event, data) in table {
            let text = event.data();
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), data);
            let entry = Entry::new(EventId::new(1, 1), event.name(), &text);
            assert_eq!(Event::of(&entry), Some(event));
        }
        assert_eq!(Event::of(&Entry::new(EventId::new(1, 1), "from_the_future", "{}")), None);
    }
}
