//! What the model received, and how to read it.

use hyper::{HeaderMap, Method};
use serde_json::Value;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) method: Method,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// `Null` when there was none.
    pub(crate) body: Value,
    /// Bytes of the body on the wire.
    pub(crate) body_len: usize,
}

impl Recorded {
    /// A turn of the model, not a token count or a probe.
    pub(crate) fn is_message(&self) -> bool {
        self.method == Method::POST && self.path.split('?').next() == Some("/v1/messages")
    }

    pub(crate) fn streams(&self) -> bool {
        self.body["stream"] == Value::Bool(true)
    }

    pub(crate) fn user_texts(&self) -> Vec<String> {
        user_texts(&self.body)
    }

    pub(crate) fn roles(&self) -> Vec<String> {
        roles(&self.body)
    }
}

/// The role of each message, in order.
pub(crate) fn roles(body: &Value) -> Vec<String> {
    messages(body).iter().map(|message| role(message).to_owned()).collect()
}

/// Every text the user's side sent, in order and to the byte: one entry per string content or text block.
/// Tool results are not in it, nor are blocks that hold nothing but a `<system-reminder>` of the CLI's own.
pub(crate) fn user_texts(body: &Value) -> Vec<String> {
    let users = messages(body).iter().filter(|message| role(message) == "user");
    users.flat_map(texts).filter(|text| !is_reminder(text)).collect()
}

/// The last text of the last user message that is not tool results; that is where markers are looked for.
pub(crate) fn last_user_text(body: &Value) -> String {
    asked(body).map(|(_, text)| text).unwrap_or_default()
}

/// The text of every tool result, in order, with its `is_error`.
pub(crate) fn tool_results(body: &Value) -> Vec<(String, bool)> {
    let blocks = messages(body).iter().filter_map(|message| message["content"].as_array()).flatten();
    let results = blocks.filter(|block| block["type"] == "tool_result");
    results.map(|block| (texts(block).concat(), block["is_error"] == Value::Bool(true))).collect()
}

/// The system prompt, its blocks joined by a newline.
pub(crate) fn system_text(body: &Value) -> String {
    match &body["system"] {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// The last user text and how many tool rounds followed it.
pub(super) fn asked(body: &Value) -> Option<(usize, String)> {
    let mut rounds = 0;
    for message in messages(body).iter().rev().filter(|message| role(message) == "user") {
        let results = message["content"]
            .as_array()
            .is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"));
        if results {
            rounds += 1;
            continue;
        }
        // After a failed turn the next message is one more block of the same user message.
        let own = texts(message).into_iter().rfind(|text| !is_reminder(text) && !text.is_empty());
        if let Some(text) = own {
            return Some((rounds, text));
        }
    }
    None
}

fn messages(body: &Value) -> &[Value] {
    body["messages"].as_array().map_or(&[], Vec::as_slice)
}

fn role(message: &Value) -> &str {
    message["role"].as_str().unwrap_or("")
}

fn texts(message: &Value) -> Vec<String> {
    match &message["content"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => {
            blocks.iter().filter_map(|block| block["text"].as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

fn is_reminder(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("<system-reminder>") && text.ends_with("</system-reminder>")
}
