//! A conversation's turn, as its caller reads it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::oneshot;

use crate::brain::turn::{Turn, TurnHandle};
use crate::error::Result;
use crate::protocol::{Event, Outcome, SessionId};

/// A running turn of a conversation: a stream of its events, the last of which is [`Event::TurnEnd`]. By then what
/// became of it is in the store, and the conversation is free for the next turn.
///
/// Dropping it interrupts the turn; what was said so far stays in the conversation.
#[must_use = "dropping a turn interrupts it"]
pub struct ConversationTurn {
    pub(super) turn: Turn,
    pub(super) session_id: SessionId,
    /// Resolves when the conversation is free.
    pub(super) done: Option<oneshot::Receiver<()>>,
    pub(super) held: Option<Event>,
}

impl ConversationTurn {
    /// A handle to end the turn, or to answer it, from elsewhere.
    pub fn handle(&self) -> TurnHandle {
        self.turn.handle()
    }

    /// Asks the CLI to end the turn; what was said so far stays said.
    pub fn interrupt(&self) {
        self.turn.interrupt();
    }

    /// The CLI's id of the session.
    pub fn session_id(&self) -> &SessionId {
        &self.session_id
    }

    /// Reads the turn to its end.
    ///
    /// The outcome may still be a failure that the CLI reported: ask [`Outcome::is_success`].
    ///
    /// # Errors
    ///
    /// [`is_timeout`](crate::Error::is_timeout) for a time limit, [`is_stopped`](crate::Error::is_stopped) for an
    /// interrupt, and [`exit`](crate::Error::exit) is set when the process ended in mid-turn: the conversation goes
    /// on with the next turn all the same.
    pub async fn outcome(mut self) -> Result<Outcome> {
        while self.next().await.is_some() {}
        self.turn.take_result()
    }
}

impl Stream for ConversationTurn {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = &mut *self;
        if this.held.is_none() {
            match ready!(this.turn.poll_next_unpin(context)) {
                Some(Event::TurnEnd) => this.held = Some(Event::TurnEnd),
                event => return Poll::Ready(event),
            }
        }
        if let Some(done) = &mut this.done {
            // An error is the task's end too.
            let _done = ready!(done.poll_unpin(context));
            this.done = None;
        }
        Poll::Ready(this.held.take())
    }
}

impl Drop for ConversationTurn {
    fn drop(&mut self) {
        self.turn.interrupt(); // which one that has had its last word does not heed
    }
}

impl fmt::Debug for ConversationTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversationTurn").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}
