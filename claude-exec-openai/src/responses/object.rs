//! The `response` object, and the items of its output.

use claude_exec::protocol::Usage;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::answer::Done;
use crate::collected::Whole;
use crate::error::ApiError;
use crate::finish::FinishReason;
use crate::stamp::Stamp;

/// What a response says again of its request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Echo(Map<String, Value>);

impl Echo {
    pub(super) fn new<const N: usize>(fields: [(&str, Value); N]) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// How far a response is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Status<'a> {
    /// The model is at work.
    InProgress,
    /// It has ended so.
    Done(&'a Done),
    /// It has failed of this.
    Failed(&'a ApiError),
    /// Its caller cancelled it.
    Cancelled,
}

impl Status<'_> {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Done(done) if reason(done).is_some() => "incomplete",
            Self::Done(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of an item that is over.
    pub(super) fn of_items(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Done(done) if reason(done).is_none() => "completed",
            _ => "incomplete",
        }
    }
}

/// Why an answer is not whole, in OpenAI's words.
fn reason(done: &Done) -> Option<&'static str> {
    match done.finish_reason {
        FinishReason::Length => Some("max_output_tokens"),
        FinishReason::ContentFilter => Some("content_filter"),
        _ => None,
    }
}

/// One item of the output.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Reasoning(String),
    Message(String),
    Call { call_id: String, name: String, arguments: String },
}

impl Item {
    /// The item's id: the response's own, with a letter and a place of its own.
    pub(super) fn id(&self, stamp: &Stamp, index: usize) -> String {
        let prefix = match self {
            Self::Reasoning(_) => "rs",
            Self::Message(_) => "msg",
            Self::Call { .. } => "fc",
        };
        format!("{prefix}_{}_{index}", stamp.id.trim_start_matches("resp_"))
    }

    pub(super) fn to_value(&self, stamp: &Stamp, index: usize, status: &str) -> Value {
        let id = self.id(stamp, index);
        match self {
            Self::Reasoning(text) => {
                let summary = if text.is_empty() { json!([]) } else { json!([summary(text)]) };
                json!({"id": id, "type": "reasoning", "summary": summary, "status": status})
            }
            Self::Message(text) => {
                // Where an item begins it has no part yet: clients would say its text twice.
                let content = if status == "in_progress" { json!([]) } else { json!([part(text)]) };
                json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
            }
            Self::Call { call_id, name, arguments } => {
                json!({"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name,
                    "arguments": arguments})
            }
        }
    }
}

pub(super) fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

pub(super) fn summary(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

/// The items of a whole answer.
fn items(answer: &Whole) -> Vec<Item> {
    let mut items = Vec::new();
    if !answer.reasoning.is_empty() {
        items.push(Item::Reasoning(answer.reasoning.clone()));
    }
    // An answer of nothing but calls has no message.
    if !answer.text.is_empty() || answer.calls.is_empty() {
        items.push(Item::Message(answer.text.clone()));
    }
    items.extend(answer.calls.iter().map(|call| Item::Call {
        call_id: call.id.clone(),
        name: call.name.clone(),
        arguments: call.arguments.clone(),
    }));
    items
}

/// The body of a non-streaming answer, compact; `stored` says whether it can be fetched again.
pub fn response(stamp: &Stamp, echo: &Echo, stored: bool, answer: &Whole) -> Vec<u8> {
    let status = Status::Done(&answer.done);
    let output = items(answer);
    let output =
        output.iter().enumerate().map(|(at, item)| item.to_value(stamp, at, status.of_items())).collect();
    serde_json::to_vec(&Object::new(stamp, echo, stored, status, output)).expect("it always serializes")
}

/// A response without an output yet, or that never came to one.
pub(crate) fn empty(stamp: &Stamp, echo: &Echo, stored: bool, status: Status<'_>) -> Vec<u8> {
    serde_json::to_vec(&Object::new(stamp, echo, stored, status, Vec::new())).expect("it always serializes")
}

#[derive(Serialize)]
pub(super) struct Object<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    background: bool,
    error: Option<Value>,
    incomplete_details: Option<Value>,
    model: &'a str,
    output: Vec<Value>,
    usage: Option<Value>,
    store: bool,
    service_tier: &'static str,
    truncation: &'static str,
    #[serde(flatten)]
    echo: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    pub(super) fn new(
        stamp: &'a Stamp,
        echo: &'a Echo,
        stored: bool,
        status: Status<'_>,
        output: Vec<Value>,
    ) -> Self {
        let error = match status {
            Status::Failed(error) => {
                let code = error.code.unwrap_or(error.kind);
                Some(json!({"code": code, "message": error.message}))
            }
            _ => None,
        };
        let done = if let Status::Done(done) = status { Some(done) } else { None };
        Self {
            id: &stamp.id,
            object: "response",
            created_at: stamp.created,
            status: status.word(),
            background: false,
            error,
            incomplete_details: done.and_then(reason).map(|reason| json!({ "reason": reason })),
            model: &stamp.model,
            output,
            usage: done.and_then(|done| done.usage).map(usage),
            store: stored,
            service_tier: "default",
            truncation: "disabled",
            echo: &echo.0,
        }
    }
}

fn usage(usage: Usage) -> Value {
    let input = usage.total_input_tokens();
    json!({
        "input_tokens": input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_input_tokens,
            "cache_write_tokens": usage.cache_creation_input_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.thinking_tokens},
        "total_tokens": input.saturating_add(usage.output_tokens),
    })
}
