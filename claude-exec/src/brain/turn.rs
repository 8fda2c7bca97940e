//! One turn: an invocation run to its end, as a stream of events.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::drive::Driver;
use super::order::{self, Bridle, Order, Saying, Wish};
use crate::error::{Error, Result};
use crate::executor::{Command, Control, Executor, Process};
use crate::invocation::{Deadlines, Invocation, Launch};
use crate::protocol::{Event, Outcome, Reply, Request};

/// Events that may wait for the caller; then the process is held back.
const EVENTS_AHEAD: usize = 128;

/// Events looked at before a turn is taken to have begun.
#[cfg(feature = "store")]
const MAX_AHEAD: usize = 64;

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
    let message_id = Uuid::new_v4();
    let Launch { command, held } = invocation.to_launch(message_id)?;
    let process = start(executor, command, deadlines).await?;
    let (mut bridle, reins) = Bridle::new(&process.control);
    let (turn, saying) = Turn::new(&bridle, message_id, deadlines, Vec::new());
    let saying = Saying { held, ..saying };
    let driver = Driver::once(process, reins, invocation.get_mcp_servers().to_vec(), saying);
    spawn(driver, guard);
    Ok(Turn { owner: bridle.owner.take(), ..turn })
}

/// Starts `command` within the time that its first byte may take.
pub(super) async fn start(
    executor: &dyn Executor,
    command: Command,
    deadlines: Deadlines,
) -> Result<Process> {
    let start = tokio::time::timeout(deadlines.first_byte, executor.start(command));
    start.await.map_err(|_| Error::timed_out("starting the CLI", deadlines.first_byte))?
}

/// Runs the driver of a process in a task of its own; `guard` is dropped when the process is gone.
pub(super) fn spawn<G: Send + 'static>(driver: Driver, guard: G) {
    tokio::spawn(async move {
        let rest = driver.run().await;
        drop(guard);
        if let Some(rest) = rest {
            rest.deliver().await;
        }
    });
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
    /// The first events, looked at before their time.
    ahead: VecDeque<Event>,
    /// What keeps the process of a single turn.
    #[expect(dead_code, reason = "it is there to be dropped")]
    owner: Option<mpsc::Sender<Saying>>,
}

impl Turn {
    /// A turn, and what its driver must be told to begin it.
    pub(super) fn new(
        bridle: &Bridle,
        message_id: Uuid,
        deadlines: Deadlines,
        lines: Vec<Bytes>,
    ) -> (Self, Saying) {
        let (events, receiver) = mpsc::channel(EVENTS_AHEAD);
        let (wish, wishes) = watch::channel(Wish::GoOn);
        let message_id = message_id.hyphenated().to_string();
        let saying =
            Saying { lines, settings: None, held: None, message_id, deadlines, events, wishes, ended: None };
        let (orders, control) = (bridle.orders.clone(), Arc::clone(&bridle.control));
        let handle = TurnHandle { wish: Arc::new(wish), orders, control };
        (Self { events: receiver, handle, result: None, ahead: VecDeque::new(), owner: None }, saying)
    }

    /// A turn that could not begin.
    pub(super) fn refused(bridle: &Bridle, error: Error) -> Self {
        let (turn, saying) = Self::new(bridle, Uuid::nil(), Deadlines::within(Duration::ZERO), Vec::new());
        for event in [Event::Error(error), Event::TurnEnd] {
            let _fits = saying.events.try_send(event);
        }
        turn
    }

    /// Waits until the turn has begun, and leaves all its events to be read; false when its process ended before:
    /// nobody heard the message then. What the process had still to say of the turn before does not count.
    #[cfg(feature = "store")]
    pub(super) async fn has_begun(&mut self) -> bool {
        while let Some(event) = self.events.recv().await {
            let is_aside = matches!(event, Event::Other(_) | Event::Noise(_) | Event::RateLimit(_));
            let is_death = matches!(&event, Event::Error(error) if error.exit().is_some());
            self.ahead.push_back(event);
            if is_death {
                return false;
            }
            if !is_aside || self.ahead.len() == MAX_AHEAD {
                break;
            }
        }
        true
    }

    /// What the turn came to, as far as its events were read.
    pub(super) fn take_result(&mut self) -> Result<Outcome> {
        self.result.take().unwrap_or_else(|| Err(Error::stopped())).map(|outcome| *outcome)
    }

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
        self.take_result()
    }
}

impl Stream for Turn {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let event = match self.ahead.pop_front() {
            Some(event) => Some(event),
            None => std::task::ready!(self.events.poll_recv(context)),
        };
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

/// Ends a turn, or answers it, from elsewhere. It keeps nothing alive, and means its own turn only: once that has
/// ended, a wish does nothing.
#[derive(Clone)]
pub struct TurnHandle {
    wish: Arc<watch::Sender<Wish>>,
    orders: mpsc::Sender<Order>,
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
    /// [`is_not_found`](Error::is_not_found) when nothing waits for this answer: it was given, its time has run
    /// out, or the turn has ended. Another error when the process no longer reads.
    ///
    /// # Cancel safety
    ///
    /// A call whose future is dropped may have answered.
    pub async fn reply(&self, request_id: &str, reply: &Reply) -> Result<()> {
        order::reply(&self.orders, request_id, reply.to_line(request_id)).await
    }

    /// Sends a control request of ours and waits for the CLI's answer, at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) when the CLI refuses it, [`is_timeout`](Error::is_timeout) when
    /// it does not answer: the turn fails then, and its process is not used again.
    ///
    /// # Cancel safety
    ///
    /// A call whose future is dropped may have been sent.
    pub async fn request(&self, request: &Request, limit: Duration) -> Result<Option<Box<RawValue>>> {
        let id = Uuid::new_v4().hyphenated().to_string();
        let line = request.to_line(&id);
        order::ask(&self.orders, id, line, limit).await
    }

    /// The processor time that the turn's process and its descendants have used, where the executor can tell: a tool
    /// that says nothing for half an hour may be at work all the same.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn cpu_time(&self) -> Option<Duration> {
        let control = Arc::clone(&self.control);
        tokio::task::spawn_blocking(move || control.cpu_time()).await.ok()?
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
