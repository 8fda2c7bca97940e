//! What a process is started with, by which spares are kept.

use std::sync::Arc;

use crate::executor::Command;

/// Everything of an invocation that must be known when its process is started: program, flags, directory,
/// environment. Not its prompt, nor what `initialize` carries, nor which session it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LaunchKey(Arc<Command>);

impl LaunchKey {
    /// The key of processes that `command` starts.
    pub(super) fn new(command: Command) -> Self {
        Self(Arc::new(command))
    }

    #[cfg(test)]
    pub(super) fn named(name: &str) -> Self {
        Self::new(Command::new(name))
    }
}
