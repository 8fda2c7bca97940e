//! One turn: an invocation run to its end, as a stream of events.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::drive::{Driver, Wish};
use crate::error::{Error, Result};
use crate::executor::{Control, Executor};
use crate::invocation::{Invocation, Launch};
use crate::protocol::{Event, Outcome, Reply};

/// Events that may wait for the caller; then the process is held back.
const EVENTS_AHEAD: usize = 128;

/// Runs `invocation` on `executor` as one turn.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use claude_exec::{Invocation, brain, executor::Scripted};
///
/// let executor = Scripted::answer("Two.");
/// let turn = brain::run(&executor, &Invocation::conversational("One and one?")).await?;
/// assert_eq!(turn.outcome().await?.text, "Two.");
/// # Ok::<(), claude_exec::Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// When the invocation is invalid or its process cannot be started. What goes wrong later is an event. An agent
/// that the CLI does not know is an [`Event::Error`] with [`is_not_found`](Error::is_not_found): the prompt is
/// not sent before the CLI has listed its agents.
///
/// # Cancel safety
///
/// Dropping the future leaves no process behind.
///
/// # Panics
///
/// Outside a tokio runtime with time enabled (the local executor needs I/O too: `enable_all`).
pub async fn run(executor: &dyn Executor, invocation: &Invocation) -> Result<Turn> {
    run_holding(executor, invocation, ()).await
}

/// As [`run`], and drops `guard` when the process and all its descendants are gone, not earlier: the place
/// for a slot and for the workspace that they still use.
///
/// # Errors
///
/// As [`run`]; `guard` is dropped then too.
///
/// # Cancel safety
///
/// As [`run`].
pub async fn run_holding<G>(executor: &dyn Executor, invocation: &Invocation, guard: G) -> Result<Turn>
where
    G: Send + 'static,
{
    let deadlines = invocation.get_deadlines();
    let Launch { command, held } = invocation.to_launch(Uuid::new_v4())?;
    let start = tokio::time::timeout(deadlines.first_byte, executor.start(command));
    let process = start.await.map_err(|_| Error::timed_out("starting the CLI", deadlines.first_byte))??;
    let control = Arc::clone(&process.control);
    let (events, receiver) = mpsc::channel(EVENTS_AHEAD);
    let (wish, wishes) = watch::channel(Wish::GoOn);
    let driver = Driver::new(process, events, wishes, deadlines, held);
    tokio::spawn(async move {
        let rest = driver.run().await;
        drop(guard);
        rest.deliver().await;
    });
    Ok(Turn { events: receiver, handle: TurnHandle { wish: Arc::new(wish), control }, result: None })
}

/// A running turn: a stream of its events, the last of which is [`Event::TurnEnd`].
///
/// A task of its own drives the process, so time limits hold while nobody reads. Dropping the turn stops the
/// process; when the result has come already, the process is given time to end by itself.
#[must_use = "dropping a turn stops it"]
pub struct Turn {
    events: mpsc::Receiver<Event>,
    handle: TurnHandle,
    result: Option<Result<Box<Outcome>>>,
}

impl Turn {
    /// A handle to end the turn, or to answer it, from elsewhere.
    pub fn handle(&self) -> TurnHandle {
        self.handle.clone()
    }

    /// Asks the CLI to end the turn; what was said so far stays said.
    pub fn interrupt(&self) {
        self.handle.interrupt();
    }

    /// Stops the process with all its descendants.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// Reads the turn to its end, after which nothing of it runs.
    ///
    /// The outcome may still be a failure that the CLI reported: ask [`Outcome::is_success`].
    ///
    /// # Errors
    ///
    /// [`is_timeout`](Error::is_timeout) for a time limit, [`is_stopped`](Error::is_stopped) for a stop, and
    /// [`exit`](Error::exit) is set when the process ended without a result.
    pub async fn outcome(mut self) -> Result<Outcome> {
        while self.next().await.is_some() {}
        self.result.take().unwrap_or_else(|| Err(Error::stopped())).map(|outcome| *outcome)
    }
}

impl Stream for Turn {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let event = std::task::ready!(self.events.poll_recv(context));
        match &event {
            Some(Event::Finished(outcome)) => self.result = Some(Ok(outcome.clone())),
            Some(Event::Error(error)) => self.result = Some(Err(error.clone())),
            Some(Event::Cancelled) => self.result = Some(Err(Error::stopped())),
            _ => {}
        }
        Poll::Ready(event)
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

/// Ends a turn, or answers it, from elsewhere. It keeps nothing alive.
#[derive(Clone)]
pub struct TurnHandle {
    wish: Arc<watch::Sender<Wish>>,
    control: Arc<dyn Control>,
}

impl TurnHandle {
    /// Asks the CLI to end the turn, and stops it when it does not in time.
    pub fn interrupt(&self) {
        self.raise(Wish::Interrupt);
    }

    /// Stops the process with all its descendants.
    pub fn stop(&self) {
        self.raise(Wish::Stop);
    }

    /// Answers the [`Event::ControlRequest`] with this id.
    ///
    /// # Errors
    ///
    /// When the process no longer reads.
    pub async fn reply(&self, request_id: &str, reply: &Reply) -> Result<()> {
        let written = self.control.write(reply.to_line(request_id)).await;
        written.map_err(|error| Error::io("answering the CLI", error))
    }

    fn raise(&self, to: Wish) {
        self.wish.send_if_modified(|wish| {
            let raised = *wish < to;
            *wish = (*wish).max(to);
            raised
        });
    }
}

impl fmt::Debug for TurnHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnHandle").finish_non_exhaustive()
    }
}
