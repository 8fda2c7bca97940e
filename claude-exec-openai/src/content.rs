//! What is said, in the one form that every wire is read into: the Messages API's.
//!
//! The types serialize to that API's JSON, which is what the CLI takes on stdin and what is stored.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// The person, or the client that answers a tool call.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order. Empty for an assistant that said nothing.
    pub content: Vec<Block>,
}

/// One piece of a message.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Block {
    /// Text.
    Text {
        /// The text itself.
        text: String,
    },
    /// A picture.
    Image {
        /// Where it is.
        source: Source,
    },
    /// A document, such as a PDF.
    Document {
        /// Where it is.
        source: Source,
        /// Its file's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// The model's call of a tool of the client's.
    ToolUse {
        /// The call's id.
        id: String,
        /// The tool's name, as the client calls it.
        name: String,
        /// The arguments: always an object.
        input: Value,
    },
    /// What the client's tool gave.
    ToolResult {
        /// The id of the call it answers.
        tool_use_id: String,
        /// Texts and pictures.
        content: Vec<Block>,
        /// The tool failed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

/// Where a picture or a document is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// Here.
    Base64 {
        /// Such as `image/png`.
        media_type: String,
        /// Standard base64, padded, without white space.
        data: String,
    },
    /// At a URL that the model API fetches; this server never does.
    Url {
        /// An `https` or `http` URL.
        url: String,
    },
    /// Here, as plain text; documents only.
    Text {
        /// `text/plain`.
        media_type: String,
        /// The text.
        data: String,
    },
}

impl Message {
    /// A message of these blocks.
    pub fn new(role: Role, content: Vec<Block>) -> Self {
        Self { role, content }
    }

    /// True when nothing is said: no block, or texts of nothing but white space.
    pub fn is_blank(&self) -> bool {
        self.content.iter().all(Block::is_blank)
    }

    /// True when a tool is called or answered in it.
    pub fn has_tools(&self) -> bool {
        self.content.iter().any(|block| matches!(block, Block::ToolUse { .. } | Block::ToolResult { .. }))
    }
}

impl Block {
    /// A text block.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// True for a text of nothing but white space.
    pub fn is_blank(&self) -> bool {
        matches!(self, Self::Text { text } if text.trim().is_empty())
    }

    /// The block as the Messages API writes it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("strings and numbers always serialize")
    }

    /// The pictures in it, those of a tool's result included.
    pub(crate) fn images(&self) -> usize {
        match self {
            Self::Image { .. } => 1,
            Self::ToolResult { content, .. } => content.iter().map(Self::images).sum(),
            _ => 0,
        }
    }
}

/// Shows kinds and sizes: blocks are prompts.
impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { text } => write!(f, "Text({} bytes)", text.len()),
            Self::Image { source } => write!(f, "Image({source:?})"),
            Self::Document { source, .. } => write!(f, "Document({source:?})"),
            Self::ToolUse { id, name, .. } => write!(f, "ToolUse({id}, {name})"),
            Self::ToolResult { tool_use_id, content, is_error } => {
                write!(f, "ToolResult({tool_use_id}, {content:?}, is_error: {is_error})")
            }
        }
    }
}

/// Shows the kind and the size.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base64 { media_type, data } => write!(f, "{media_type}, {} bytes of base64", data.len()),
            Self::Url { url } => write!(f, "URL of {} bytes", url.len()),
            Self::Text { data, .. } => write!(f, "text of {} bytes", data.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_the_messages_apis_json_and_come_back() {
        let source = Source::Base64 { media_type: "image/png".into(), data: "eA==".into() };
        let url = Source::Url { url: "https://x/y".into() };
        let table = [
            (Block::text("a"), json!({"type": "text", "text": "a"})),
            (
                Block::Image { source },
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}}),
            ),
            (
                Block::Document { source: url, title: Some("t".into()) },
                json!({"type": "document", "source": {"type": "url", "url": "https://x/y"}, "title": "t"}),
            ),
            (
                Block::ToolUse { id: "c".into(), name: "f".into(), input: json!({"a": 1}) },
                json!({"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}),
            ),
            (
                Block::ToolResult {
                    tool_use_id: "c".into(),
                    content: vec![Block::text("r")],
                    is_error: true,
                },
                json!({"type": "tool_result", "tool_use_id": "c", "is_error": true,
                    "content": [{"type": "text", "text": "r"}]}),
            ),
        ];
        for (block, expected) in table {
            assert_eq!(block.to_value(), expected);
            assert_eq!(serde_json::from_value::<Block>(expected).unwrap(), block);
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let message = Message::new(Role::User, vec![Block::text("secret")]);
        assert_eq!(format!("{message:?}"), "Message { role: User, content: [Text(6 bytes)] }");
    }
}
