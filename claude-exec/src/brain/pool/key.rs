//! What a process is started with, by which spares are kept, and what it is opened with.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::brain::live;
use crate::error::Result;
use crate::executor::Command;
use crate::invocation::{Invocation, SessionChoice};

/// Everything of an invocation that must be known when its process is started: program, flags, directory,
/// environment. Not its prompt, nor what `initialize` carries, nor which session it is.
#[derive(Debug, Clone)]
pub(super) struct LaunchKey {
    command: Arc<Command>,
    /// An invocation that gives this command.
    spare: Arc<Invocation>,
}

impl LaunchKey {
    pub(super) fn of(invocation: &Invocation) -> Result<Self> {
        let command = Arc::new(live::key(invocation)?);
        let session = match invocation.get_session() {
            SessionChoice::Ephemeral => SessionChoice::Ephemeral,
            _ => SessionChoice::New,
        };
        // Nobody's words are kept for longer than their turn; what many sessions are opened with is in `Setup`.
        let spare = Arc::new(invocation.clone().session(session).prompt("").uninitialized());
        Ok(Self { command, spare })
    }

    /// What starts a spare.
    pub(super) fn spare(&self) -> &Invocation {
        &self.spare
    }

    #[cfg(test)]
    pub(super) fn named(name: &str) -> Self {
        Self::of(&Invocation::conversational("").model(name)).unwrap()
    }
}

impl PartialEq for LaunchKey {
    fn eq(&self, other: &Self) -> bool {
        self.command == other.command
    }
}

impl Eq for LaunchKey {}

impl Hash for LaunchKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.command.hash(state);
    }
}

/// What a session is opened with once its process is there. Equal when one can stand in for the other.
#[derive(Debug, Clone)]
pub(super) struct Setup(Arc<Invocation>);

impl Setup {
    pub(super) fn of(invocation: &Invocation) -> Self {
        Self(Arc::new(invocation.clone().prompt("")))
    }

    pub(super) fn invocation(&self) -> &Invocation {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn named(system_prompt: &str) -> Self {
        Self::of(&Invocation::conversational("").system_prompt(system_prompt))
    }
}

impl PartialEq for Setup {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&self.0, &other.0);
        one.get_initialize() == other.get_initialize() && one.get_mcp_servers() == other.get_mcp_servers()
    }
}
