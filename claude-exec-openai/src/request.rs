//! What a request asks for, whatever wire it came on.

use crate::content::{Block, Message, Role};
use crate::error::ApiError;
use crate::fields::IgnoredFields;
use crate::media::MAX_IMAGES;
use crate::sampling::{Reasoning, Sampling};
use crate::schema::OutputFormat;
use crate::tool::{ToolChoice, ToolDefinition};

/// One request, every field of which was understood, named as ignored, or the reason of a refusal.
///
/// The parsers of the wires make it, [`plan`](crate::plan) makes a turn of it.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Request {
    /// The model's name; `None` for an absent one and for `null`.
    pub model: Option<String>,
    /// The instructions, from wherever they stood, a blank line between them.
    pub system: Option<String>,
    /// The conversation: at least one message of the user's, the instructions not in it.
    pub messages: Vec<Message>,
    /// The client's tools.
    pub tools: Vec<ToolDefinition>,
    /// Which of them may be called.
    pub tool_choice: ToolChoice,
    /// Whether several calls may come at once.
    pub parallel_tool_calls: bool,
    /// Limits and sampling.
    pub sampling: Sampling,
    /// How much the model thinks.
    pub reasoning: Reasoning,
    /// Whether what it thinks is shown.
    pub show_reasoning: bool,
    /// What the answer must be.
    pub output: OutputFormat,
    /// Server-sent events instead of one object.
    pub stream: bool,
    /// The fields that are not honoured.
    pub ignored: IgnoredFields,
}

impl Request {
    /// True when the model is to be offered the client's tools.
    pub fn offers_tools(&self) -> bool {
        !self.tools.is_empty() && self.tool_choice != ToolChoice::None
    }

    /// What holds for every wire. `messages` is the wire's name for the conversation, and `last` says where its
    /// last message's content stands.
    pub(crate) fn check(&self, messages: &str, last: &str) -> Result<(), ApiError> {
        if !self.messages.iter().any(|message| message.role == Role::User) {
            return Err(ApiError::invalid(messages, "must hold at least one user message"));
        }
        if self.messages.last().is_some_and(|last| last.role == Role::User && last.is_blank()) {
            return Err(ApiError::invalid(last, "must not be blank"));
        }
        let images: usize =
            self.messages.iter().flat_map(|message| &message.content).map(Block::images).sum();
        if images > MAX_IMAGES {
            return Err(ApiError::invalid(messages, format!("at most {MAX_IMAGES} images")));
        }
        self.tool_choice.check(&self.tools)
    }
}

/// Joins texts that stand apart by a blank line, since none of them ends the other's sentence; blank ones are
/// left out.
pub(crate) fn joined<I: IntoIterator<Item = String>>(texts: I) -> Option<String> {
    let texts: Vec<String> = texts.into_iter().filter(|text| !text.trim().is_empty()).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}
