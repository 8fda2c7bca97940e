//! A turn of a live session.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};

use super::options::TurnOptions;
use super::session::Live;
use crate::brain::turn::{Turn, TurnHandle};
use crate::error::Result;
use crate::protocol::{Event, Outcome, SessionId};

/// How long the CLI may take to answer a change of settings. It takes 12 ms.
const SETTINGS_LIMIT: Duration = Duration::from_secs(30);

/// A running turn of a live session: a stream of its events, the last of which is [`Event::TurnEnd`].
///
/// It has the session until [`finish`](Self::finish) or [`cancel`](Self::cancel) gives it back. Dropping it ends the
/// process.
#[must_use = "dropping a turn ends the process"]
pub struct LiveTurn {
    turn: Turn,
    live: Live,
    session_id: Option<SessionId>,
}

impl LiveTurn {
    pub(super) fn new(turn: Turn, live: Live) -> Self {
        Self { turn, live, session_id: None }
    }

    /// A handle to end the turn, or to answer it, from elsewhere. Cheap to clone.
    pub fn handle(&self) -> TurnHandle {
        self.turn.handle()
    }

    /// Asks the CLI to end the turn; what was said so far stays said, and the session goes on. The turn's last word
    /// is [`Event::Cancelled`], at once; [`Event::TurnEnd`] follows when the CLI has ended it.
    pub fn interrupt(&self) {
        self.turn.interrupt();
    }

    /// Changes the options in the middle of the turn, for the requests to the model that are still to come, such as the
    /// one after a tool's result. Its time limits stay as they are, and so does `max_tokens`: the CLI reads that once a
    /// turn, so give it as a member of the body ([`TurnOptions::extra_body`]) where it is to change (2.1.330).
    ///
    /// # Errors
    ///
    /// As [`TurnHandle::request`], and [`is_invalid`](crate::Error::is_invalid) for options that no turn can have.
    ///
    /// # Cancel safety
    ///
    /// A call whose future is dropped may have changed them: end the turn then.
    pub async fn change(&mut self, options: &TurnOptions) -> Result<()> {
        if let Some(request) = self.live.adjust(options)? {
            self.handle().request(&request, SETTINGS_LIMIT).await?;
        }
        Ok(())
    }

    /// The session's id.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.session_id.as_ref().or(self.live.session_id())
    }

    /// Reads the turn to its end: what became of it, and the session when it can go on.
    ///
    /// The outcome may be a failure that the CLI reported: ask [`Outcome::is_success`]. The session goes on all the
    /// same then.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](crate::Error::is_timeout) for a time limit, [`is_stopped`](crate::Error::is_stopped) for an
    /// interrupt or a stop, [`is_invalid`](crate::Error::is_invalid) for content or options that no turn can have;
    /// [`exit`](crate::Error::exit) is set when the process ended in mid-turn.
    pub async fn finish(mut self) -> (Result<Outcome>, Option<Live>) {
        while self.next().await.is_some() {}
        let Self { mut turn, mut live, session_id } = self;
        live.used(session_id);
        let live = Some(live).filter(|live| live.retired().is_none());
        (turn.take_result(), live)
    }

    /// Interrupts the turn, waits for its end, and gives the session back when it can go on. A turn that has ended
    /// by itself is not harmed.
    pub async fn cancel(self) -> Option<Live> {
        self.interrupt();
        self.finish().await.1
    }
}

impl Stream for LiveTurn {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let event = std::task::ready!(self.turn.poll_next_unpin(context));
        match &event {
            Some(Event::Session(session)) => self.session_id = Some(session.session_id.clone()),
            Some(Event::Finished(outcome)) => {
                self.session_id = outcome.session_id.clone().or(self.session_id.take());
            }
            _ => {}
        }
        Poll::Ready(event)
    }
}

impl fmt::Debug for LiveTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTurn").field("live", &self.live).finish_non_exhaustive()
    }
}
