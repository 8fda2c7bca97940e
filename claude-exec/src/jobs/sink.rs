//! Where a running job says what happens: each event as one JSON object with a `kind`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::log::Log;
use super::record::JobStatus;
use crate::protocol::Event;

/// Takes the events of one job. Never blocks; what followers cannot keep up with, they miss.
#[derive(Debug, Clone)]
pub struct EventSink(Arc<Log>);

impl EventSink {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self(log)
    }

    /// Tells an event of the run. Those that say nothing to a reader are left out.
    pub fn tell(&self, event: &Event) {
        if let Some(json) = to_json(event) {
            self.0.push(json.to_string());
        }
    }

    /// Tells where the job stands.
    pub(super) fn tell_status(&self, status: JobStatus, position: Option<usize>, error: Option<&str>) {
        self.0.push(status_json(status, position, error));
    }
}

/// `{"kind":"status","status":…}`, with the place in the queue or the error when there is one. The last event of
/// every job is one with a final status.
pub(super) fn status_json(status: JobStatus, position: Option<usize>, error: Option<&str>) -> String {
    let mut json = json!({"kind": "status", "status": status});
    if let Some(position) = position {
        json["queue_position"] = position.into();
    }
    if let Some(error) = error {
        json["error"] = error.into();
    }
    json.to_string()
}

/// The JSON of an event; `None` for pieces of what comes whole, and for the protocol's own traffic.
fn to_json(event: &Event) -> Option<Value> {
    let (json, parent) = match event {
        Event::Session(session) => {
            (json!({"kind": "session", "session_id": session.session_id, "model": session.model}), &None)
        }
        Event::Text(text) => (json!({"kind": "text", "text": text.text}), &text.parent),
        Event::Thinking(text) => (json!({"kind": "thinking", "text": text.text}), &text.parent),
        Event::Tool(tool) => {
            (json!({"kind": "tool", "id": tool.id, "name": tool.name, "input": tool.input}), &tool.parent)
        }
        Event::ToolResult(result) => (
            json!({"kind": "tool_result", "tool_use_id": result.tool_use_id, "is_error": result.is_error,
                "content": result.content}),
            &result.parent,
        ),
        Event::MessageEnd(end) => {
            (json!({"kind": "message_end", "stop_reason": end.stop_reason}), &end.parent)
        }
        Event::Restarted(void) => (
            json!({"kind": "restarted", "text_bytes": void.text_bytes, "thinking_bytes": void.thinking_bytes}),
            &void.parent,
        ),
        Event::Retry(retry) => (
            json!({"kind": "retry", "attempt": retry.attempt, "max_retries": retry.max_retries,
                "delay_ms": retry.delay_ms, "status": retry.status, "error": retry.error}),
            &None,
        ),
        Event::RateLimit(limit) => {
            (json!({"kind": "rate_limit", "status": limit.status, "resets_at": limit.resets_at}), &None)
        }
        Event::Finished(outcome) => (
            json!({"kind": "result", "is_error": !outcome.is_success(), "result": outcome.text,
                "duration_ms": outcome.duration_ms, "total_cost_usd": outcome.total_cost_usd,
                "num_turns": outcome.num_turns}),
            &None,
        ),
        Event::Error(error) => (json!({"kind": "error", "error": error.to_string()}), &None),
        Event::Cancelled => (json!({"kind": "cancelled"}), &None),
        _ => return None,
    };
    let mut json = json;
    if let Some(parent) = parent {
        json["parent"] = parent.as_str().into();
    }
    Some(json)
}
