//! An answer that is sent whole: void text is gone as if it had never been.

use std::fmt;

use serde_json::json;

use crate::answer::{Done, PARAGRAPH, Step};
use crate::content::{Block, Message, Role};
use crate::error::ApiError;
use crate::failure;

/// Text of an answer that is sent in one piece. Far beyond any model's output; an agent that writes more is to
/// be streamed.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A whole answer.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Whole {
    /// The text.
    pub text: String,
    /// What the model thought.
    pub reasoning: String,
    /// The calls of the client's tools, in order.
    pub calls: Vec<Call>,
    /// How it ended.
    pub done: Done,
}

/// One call of a tool of the client's.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// Its id.
    pub id: String,
    /// The tool's name, as the client calls it.
    pub name: String,
    /// The arguments as JSON text.
    pub arguments: String,
}

/// Collects the steps of an answer.
#[derive(Default)]
pub struct Collected {
    text: String,
    reasoning: String,
    calls: Vec<Call>,
}

impl Whole {
    /// An answer of this text alone.
    pub fn of_text(text: impl Into<String>, done: Done) -> Self {
        Self { text: text.into(), reasoning: String::new(), calls: Vec::new(), done }
    }
}

impl Whole {
    /// The answer as a message of the conversation. What the model thought is not part of it.
    pub fn to_message(&self) -> Message {
        let mut content = Vec::new();
        if !self.text.is_empty() {
            content.push(Block::text(self.text.as_str()));
        }
        for call in &self.calls {
            let input = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
            content.push(Block::ToolUse { id: call.id.clone(), name: call.name.clone(), input });
        }
        Message::new(Role::Assistant, content)
    }
}

impl Collected {
    /// Takes the next step; the answer or its failure when it was the last one.
    ///
    /// # Errors
    ///
    /// The answer's own failure, and 502 `answer_too_long` for one of more than 16 MB.
    pub fn take(&mut self, step: Step) -> Option<Result<Whole, ApiError>> {
        match step {
            Step::Done(done) => Some(Ok(self.finish(done))),
            Step::Failed(error) => Some(Err(error)),
            step => {
                self.note(&step);
                self.is_too_long().then(|| Err(failure::too_long()))
            }
        }
    }

    /// Takes note of a step that is not the last one.
    pub(crate) fn note(&mut self, step: &Step) {
        match step {
            Step::Text { text, paragraph } => {
                if *paragraph {
                    self.text.push_str(PARAGRAPH);
                }
                self.text.push_str(text);
            }
            Step::Reasoning { text } => self.reasoning.push_str(text),
            Step::Call { id, name } => {
                self.calls.push(Call { id: id.clone(), name: name.clone(), arguments: String::new() });
            }
            Step::Arguments { id, json } => {
                if let Some(call) = self.calls.iter_mut().find(|call| call.id == *id) {
                    call.arguments.push_str(json);
                }
            }
            Step::Void { bytes, reasoning_bytes } => {
                take_back(&mut self.text, *bytes);
                take_back(&mut self.reasoning, *reasoning_bytes);
                // An answer with calls is one message, so they were begun in this one.
                self.calls.clear();
            }
            Step::Began | Step::Settled | Step::Limits(_) | Step::Done(_) | Step::Failed(_) => {}
        }
    }

    /// The answer, which ended so.
    pub(crate) fn finish(&mut self, mut done: Done) -> Whole {
        let Self { text, reasoning, calls } = std::mem::take(self);
        let text = done.text.take().unwrap_or(text);
        Whole { text, reasoning, calls, done }
    }

    /// True when it is more than one object may be.
    pub(crate) fn is_too_long(&self) -> bool {
        self.len() > MAX_ANSWER
    }

    fn len(&self) -> usize {
        let calls: usize = self.calls.iter().map(|call| call.arguments.len()).sum();
        self.text.len() + self.reasoning.len() + calls
    }
}

/// A message's text is contiguous, so its bytes are the string's last ones.
fn take_back(text: &mut String, bytes: usize) {
    let keep = text.len().saturating_sub(bytes);
    let keep = (0..=keep).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.truncate(keep);
}

/// Shows sizes.
impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, reasoning, calls, done } = self;
        write!(f, "Whole({} bytes, {} of reasoning, {calls:?}, {done:?})", text.len(), reasoning.len())
    }
}

/// Shows no arguments.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({}, {}, {} bytes)", self.id, self.name, self.arguments.len())
    }
}

/// Shows the size.
impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collected({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finish::FinishReason;

    #[test]
    fn all_kinds_of_pieces_are_put_together_and_void_ones_gone() {
        let text = |text: &str, paragraph| Step::Text { text: text.into(), paragraph };
        let mut collected = Collected::default();
        for step in [
            Step::Began,
            Step::Reasoning { text: "hm".into() },
            text("a", false),
            text("жж", true),
            Step::Void { bytes: 2, reasoning_bytes: 1 },
            Step::Settled,
            Step::Call { id: "c".into(), name: "f".into() },
            Step::Arguments { id: "c".into(), json: "{\"a\":".into() },
            Step::Arguments { id: "c".into(), json: "1}".into() },
        ] {
            assert_eq!(collected.take(step), None);
        }
        let done = Done::new(FinishReason::ToolCalls, None);
        let call = Call { id: "c".into(), name: "f".into(), arguments: "{\"a\":1}".into() };
        let expected =
            Whole { text: "a\n\nж".into(), reasoning: "h".into(), calls: vec![call], done: done.clone() };
        assert_eq!(collected.take(Step::Done(done)), Some(Ok(expected)));
    }

    #[test]
    fn an_answer_has_a_bound() {
        let mut collected = Collected::default();
        let piece = || Step::Text { text: "x".repeat(MAX_ANSWER), paragraph: false };
        assert_eq!(collected.take(piece()), None);
        assert_eq!(collected.take(piece()).unwrap().unwrap_err().code, Some("answer_too_long"));
    }
}
