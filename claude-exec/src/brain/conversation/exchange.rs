//! What was said in a turn, for the history.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::protocol::{Content, Outcome};
use crate::text;

/// How much of a text is kept: no person says more, and a store is no place for files.
const MAX_BYTES: usize = 256 * 1024;

/// One turn of a conversation, as its history has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exchange {
    /// What the user said: the text, and `[image]` and the like for other blocks. At most 256 KiB are kept.
    pub said: String,
    /// What was answered, as far as it was said. At most 256 KiB are kept.
    pub answer: String,
    /// Why the turn failed, when it did: `stopped` for one that was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Exchange {
    pub(super) fn new(content: &Content, answer: &str, result: &Result<Box<Outcome>, Error>) -> Self {
        let (answer, failed) = match result {
            Ok(outcome) if outcome.is_success() => (outcome.text.as_str(), None),
            Ok(outcome) => (answer, Some(outcome.error_message())),
            Err(error) => (answer, Some(error.to_string())),
        };
        Self { said: cut(&text_of(content)), answer: cut(answer), failed }
    }
}

fn text_of(content: &Content) -> String {
    match content {
        Content::Text(text) => text.clone(),
        Content::Blocks(blocks) => {
            let text = blocks.iter().map(|block| match (block["text"].as_str(), block["type"].as_str()) {
                (Some(text), Some("text")) => text.to_owned(),
                (_, kind) => format!("[{}]", kind.unwrap_or("block")),
            });
            text.collect::<Vec<_>>().join("\n")
        }
    }
}

fn cut(text: &str) -> String {
    text::start(text, MAX_BYTES).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_said_is_kept_as_text() {
        let blocks =
            vec![json!({"type": "text", "text": "what is this"}), json!({"type": "image", "source": {}})];
        let good = Outcome { subtype: "success".to_owned(), text: "a cat".to_owned(), ..Outcome::default() };
        let exchange = Exchange::new(&Content::Blocks(blocks), "a ca", &Ok(Box::new(good)));
        let expected =
            Exchange { said: "what is this\n[image]".to_owned(), answer: "a cat".to_owned(), failed: None };
        assert_eq!(exchange, expected);
        let cut = Exchange::new(&"ж".repeat(MAX_BYTES).into(), "so f", &Err(Error::stopped()));
        assert_eq!((cut.said.len(), cut.answer.as_str()), (MAX_BYTES, "so f"));
        assert_eq!(cut.failed.as_deref(), Some("stopped"));
    }
}
