//! What a user says, as a line for stdin.

use std::fmt;

use bytes::Bytes;
use serde_json::{Value, json};

use super::control::line;

/// What a user says: text, or content blocks of the Messages API.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Content blocks such as `{"type":"image","source":{…}}`.
    Blocks(Vec<Value>),
}

impl Content {
    /// True when nothing would be said, or a text block says nothing: the API refuses both.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Blocks(blocks) => {
                let is_blank = |block: &Value| {
                    block["type"] == "text"
                        && block["text"].as_str().is_none_or(|text| text.trim().is_empty())
                };
                blocks.is_empty() || blocks.iter().any(is_blank)
            }
        }
    }

    /// True when a text holds a NUL.
    pub fn has_nul(&self) -> bool {
        match self {
            Self::Text(text) => text.contains('\0'),
            Self::Blocks(blocks) => blocks.iter().any(has_nul),
        }
    }

    /// A user message with this content as one line for stdin, newline included.
    ///
    /// `uuid` must be fresh: the CLI silently drops a message whose `uuid` it has seen, and no result ever
    /// comes. With `verbatim` (`client_composed`, CLI 2.1.248 and later) the text reaches the model as it is;
    /// without it the CLI reads the files that `@path` names and runs `/commands`.
    pub fn to_line(&self, uuid: uuid::Uuid, verbatim: bool) -> Bytes {
        let mut message = message("user", self.to_value());
        message["uuid"] = json!(uuid.hyphenated().to_string());
        if verbatim {
            message["client_composed"] = json!(true);
        }
        line(&message)
    }

    /// A user message of the past (`shouldQuery: false`): the model is not asked. The CLI still gives a result,
    /// which must be awaited before the next line, or the order is lost (2.1.330).
    pub fn to_past_line(&self, uuid: uuid::Uuid) -> Bytes {
        let mut message = message("user", self.to_value());
        message["uuid"] = json!(uuid.hyphenated().to_string());
        message["client_composed"] = json!(true);
        message["shouldQuery"] = json!(false);
        line(&message)
    }

    /// An answer of the past, which the CLI adds to the session as it is. Undocumented; covered by a test on the
    /// real CLI.
    pub fn to_assistant_line(&self) -> Bytes {
        let blocks = match self {
            Self::Text(text) => json!([{"type": "text", "text": text}]),
            Self::Blocks(blocks) => json!(blocks),
        };
        line(&message("assistant", blocks))
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Blocks(blocks) => json!(blocks),
        }
    }
}

fn message(role: &str, content: Value) -> Value {
    json!({
        "type": role,
        "message": {"role": role, "content": content},
        "parent_tool_use_id": null,
        "session_id": "",
    })
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.values().any(has_nul),
        _ => false,
    }
}

/// Shows sizes only.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Blocks(blocks) => write!(f, "Blocks({})", blocks.len()),
        }
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<Value>> for Content {
    fn from(blocks: Vec<Value>) -> Self {
        Self::Blocks(blocks)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_one_newline_whatever_the_text() {
        let line = Content::from("two\nlines\r\n\u{2028}").to_line(uuid::Uuid::nil(), true);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert!(line.ends_with(b"\n"));
    }

    #[test]
    fn verbatim_is_the_difference_that_keeps_files_unread() {
        let content = Content::from("@/etc/hostname");
        let text =
            |verbatim| String::from_utf8(content.to_line(uuid::Uuid::nil(), verbatim).to_vec()).unwrap();
        assert!(text(true).contains(r#""client_composed":true"#));
        assert!(!text(false).contains("client_composed"));
    }
}
