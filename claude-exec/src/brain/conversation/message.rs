//! What is said, and how.

use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::line::Busy;
use crate::brain::live::TurnOptions;
use crate::error::Result;
use crate::protocol::Content;

/// Gives what a turn holds until its end.
pub(super) type Admission = BoxFuture<'static, Result<Box<dyn Send>>>;

/// What is said to a conversation: text or content blocks, with the options of this turn.
///
/// ```
/// use claude_exec::brain::{Busy, Message, live::TurnOptions};
/// let message = Message::new("And in one word?")
///     .options(TurnOptions::new().max_tokens(20))
///     .busy(Busy::Interrupt);
/// ```
#[must_use]
pub struct Message {
    pub(super) content: Content,
    pub(super) options: TurnOptions,
    pub(super) busy: Option<Busy>,
    pub(super) model: Option<String>,
    pub(super) system_prompt: Option<String>,
    pub(super) cwd: Option<PathBuf>,
    /// Locked by nobody: so that a message can be shared though a future cannot.
    pub(super) admission: Option<Mutex<Admission>>,
}

impl Message {
    /// A message with the conversation's own options.
    pub fn new(content: impl Into<Content>) -> Self {
        Self {
            content: content.into(),
            options: TurnOptions::new(),
            busy: None,
            model: None,
            system_prompt: None,
            cwd: None,
            admission: None,
        }
    }

    /// Sets the options of this turn.
    pub fn options(mut self, options: TurnOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets what to do when a turn is under way. Default is the brain's.
    pub fn busy(mut self, busy: Busy) -> Self {
        self.busy = Some(busy);
        self
    }

    /// Sets the conversation's model, from this turn on. A change costs a new process.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// Sets the conversation's system prompt. It holds from the first turn on and cannot be changed: the CLI goes on
    /// with the first one, whatever it is told later.
    pub fn system_prompt(mut self, text: impl Into<String>) -> Self {
        self.system_prompt = Some(text.into());
        self
    }

    /// Sets where the conversation runs. It holds from the first turn on and cannot be changed: it decides where the
    /// CLI keeps the session.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cwd = Some(directory.into());
        self
    }

    /// Waits for `admission` when it is this turn's time, and holds what it gives until the turn has ended: a slot.
    /// Turns that wait for their own conversation so take no slot from others.
    pub fn after<G: Send + 'static>(
        mut self,
        admission: impl Future<Output = Result<G>> + Send + 'static,
    ) -> Self {
        let admission = async { Ok(Box::new(admission.await?) as Box<dyn Send>) };
        self.admission = Some(Mutex::new(admission.boxed()));
        self
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Vec<Value>> for Message {
    fn from(blocks: Vec<Value>) -> Self {
        Self::new(blocks)
    }
}

impl From<Content> for Message {
    fn from(content: Content) -> Self {
        Self::new(content)
    }
}

/// Shows sizes only.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("content", &self.content)
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}
