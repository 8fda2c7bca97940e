//! Who runs the turns of a session: the seam to the CLI.

use std::sync::Arc;

use claude_exec::Result;
use claude_exec::protocol::{Event, Reply};
use futures::future::BoxFuture;
use futures::stream::BoxStream;

/// Runs the turns of sessions. A session's turns are one conversation, and come one at a time.
///
/// # Contract
///
/// 1. The events of a turn are those of the CLI, and end with [`Event::TurnEnd`]; then nothing of it runs but a
///    process that waits for the next turn.
/// 2. Dropping the future, or the events before their end, stops the turn.
/// 3. A session that was at rest, or in a server that is gone, goes on where it was.
pub trait Agent: Send + Sync {
    /// Begins a turn.
    ///
    /// # Errors
    ///
    /// When it cannot begin. What goes wrong later is an event.
    fn say(&self, ask: Ask) -> BoxFuture<'_, Result<Saying>>;

    /// Ends what a session keeps running between turns; the session goes on with the next turn.
    fn rest<'a>(&'a self, session: &'a str) -> BoxFuture<'a, ()>;

    /// Forgets a session.
    ///
    /// # Errors
    ///
    /// When what is kept of it cannot be removed.
    fn forget<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<()>>;
}

/// What is asked in one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ask {
    /// The session's id.
    pub session: String,
    /// The prompt.
    pub prompt: String,
    /// The model; the agent's own when none.
    pub model: Option<String>,
}

impl Ask {
    /// A prompt in a session.
    pub fn new(session: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self { session: session.into(), prompt: prompt.into(), model: None }
    }
}

/// A turn under way.
#[must_use = "dropping a turn stops it"]
pub struct Saying {
    /// What the CLI says.
    pub events: BoxStream<'static, Event>,
    /// What steers it.
    pub reins: Arc<dyn Reins>,
}

impl std::fmt::Debug for Saying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Saying").finish_non_exhaustive()
    }
}

/// Ends a turn, or answers it. It keeps nothing alive.
pub trait Reins: Send + Sync {
    /// Asks the CLI to end the turn, and stops it when it does not in time.
    fn interrupt(&self);

    /// Stops the turn with all its processes.
    fn stop(&self);

    /// Answers the control request with this id.
    ///
    /// # Errors
    ///
    /// When the process no longer reads.
    fn reply<'a>(&'a self, request_id: &'a str, reply: Reply) -> BoxFuture<'a, Result<()>>;
}
