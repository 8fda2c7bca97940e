//! What a response is made from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::content::Message;

/// The conversation that a response was made from, or that one goes on from. The `instructions` of a request are not
/// part of it: they hold for one response, as OpenAI has it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Context {
    /// What was said.
    pub messages: Vec<Message>,
    /// The system and developer messages, which the model is told before all else.
    pub instructions: Vec<Instruction>,
}

/// A system or developer message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Instruction {
    /// How many messages stand before it.
    pub at: usize,
    /// `system` or `developer`.
    pub role: String,
    /// What it says.
    pub text: String,
}

impl Context {
    /// This conversation, and then the other.
    #[must_use]
    pub(crate) fn then(mut self, mut later: Self) -> Self {
        let before = self.messages.len();
        later.instructions.iter_mut().for_each(|instruction| instruction.at += before);
        self.messages.extend(later.messages);
        self.instructions.extend(later.instructions);
        self
    }
}

/// Shows the size.
impl fmt::Debug for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instruction({}, {} bytes)", self.role, self.text.len())
    }
}
