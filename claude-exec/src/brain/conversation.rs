//! Conversations: any caller's id, kept as one CLI session, one turn at a time.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::turn::{Turn, TurnHandle, run_holding};
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::invocation::{Invocation, SessionChoice};
use crate::protocol::{Event, Failure, Outcome, SessionId};
use crate::store::Store;

/// The store's space for conversations.
const SPACE: &str = "conversations";

/// The longest id of a conversation: room for any UUID, path or user id, and none for a document.
const MAX_ID_BYTES: usize = 256;

/// Turns that may wait for one conversation, besides the one under way. A person does not talk faster.
const MAX_WAITING: usize = 8;

/// Events read ahead at most: a CLI that says so much has found its session.
const MAX_AHEAD: usize = 64;

/// Conversations that go on: over turns, over failures and over restarts.
///
/// The CLI loses history silently when two processes resume one session, so a conversation has one turn at a
/// time, which holds its place until its process is gone.
///
/// ```no_run
/// # async fn example(conversations: claude_exec::brain::Conversations) -> claude_exec::Result<()> {
/// use claude_exec::{Invocation, executor::LocalExecutor};
///
/// let seat = conversations.open("kitchen").await?; // waits for the turn before
/// let turn = seat.say(&LocalExecutor::new(), Invocation::conversational("And tomorrow?"), ()).await?;
/// println!("{}", turn.outcome().await?.text);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Conversations {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    directory: PathBuf,
    busy: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// What is kept of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    session_id: SessionId,
}

impl Conversations {
    /// Keeps conversations in `store`, and runs them in `directory`, which must exist and stay the same: it
    /// decides where the CLI looks for a session.
    pub fn new(store: Arc<dyn Store>, directory: impl Into<PathBuf>) -> Self {
        let shared = Shared { store, directory: directory.into(), busy: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Where the conversations' processes run.
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// Takes the conversation's seat, waiting until the turn before has left it.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for an id that is empty or over 256 bytes, and
    /// [`is_queue_full`](Error::is_queue_full) when 8 turns of this conversation wait already.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the place in line back.
    pub async fn open(&self, id: &str) -> Result<Seat> {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(Error::invalid("session_id", format!("must have 1 to {MAX_ID_BYTES} bytes")));
        }
        let lock = {
            let mut busy = self.busy();
            // Nobody else can take a lock that only the map holds: these are free.
            busy.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(busy.entry(id.to_owned()).or_default())
        };
        // One for the map, one for the turn under way, one for this caller, and the waiting ones.
        if Arc::strong_count(&lock) > MAX_WAITING + 2 {
            return Err(Error::queue_full(MAX_WAITING));
        }
        let place = lock.lock_owned().await;
        Ok(Seat { shared: Arc::clone(&self.shared), id: id.to_owned(), place })
    }

    /// Forgets a conversation once its turn has ended; the next turn begins a new one.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and when the store cannot be written.
    pub async fn forget(&self, id: &str) -> Result<()> {
        let seat = self.open(id).await?;
        seat.shared.store.remove(SPACE, id).await
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.shared.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Conversations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversations").field("directory", &self.shared.directory).finish_non_exhaustive()
    }
}

/// The right to the next turn of one conversation. Dropping it gives it to the one who waits longest.
#[must_use = "dropping a seat gives it away"]
pub struct Seat {
    shared: Arc<Shared>,
    id: String,
    place: OwnedMutexGuard<()>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Seat {
    /// Runs the conversation's next turn: the first one in a new session, later ones resumed. `guard` and the
    /// seat are given back when the process is gone.
    ///
    /// A session that the CLI no longer has is begun anew, with a warning in the log: failing for ever would
    /// not bring it back.
    ///
    /// # Errors
    ///
    /// When the invocation is invalid, the store cannot be used, or the process cannot be started.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the process.
    pub async fn say<G: Send + 'static>(
        self,
        executor: &dyn Executor,
        invocation: Invocation,
        guard: G,
    ) -> Result<ConversationTurn> {
        let invocation = invocation.cwd(&self.shared.directory);
        let shared = Arc::clone(&self.shared);
        let id = self.id.clone();
        // Shared, since a resume that finds nothing hands it on to a second process.
        let guard = Arc::new(Mutex::new((self.place, guard)));
        if let Some(record) = shared.load(&id).await? {
            let resume = invocation.clone().session(SessionChoice::Resume(record.session_id.clone()));
            let mut turn = run_holding(executor, &resume, Arc::clone(&guard)).await?;
            let ahead = read_ahead(&mut turn).await;
            if !ahead.iter().any(is_unknown_session) {
                let keeping = Keeping { shared, id, record, is_first: false };
                return Ok(ConversationTurn { turn, ahead, keeping: Some(keeping), writing: None });
            }
            tracing::warn!(conversation = %id, "the CLI no longer has this session; it begins anew");
            while turn.next().await.is_some() {} // its process must be gone before the next one starts
        }
        let session_id = SessionId::from(Uuid::new_v4());
        let record = Record { session_id: session_id.clone() };
        shared.save(&id, &record).await?;
        let fresh = invocation.session(SessionChoice::NewWithId(session_id));
        let keeping = Keeping { shared: Arc::clone(&shared), id: id.clone(), record, is_first: true };
        let turn = match run_holding(executor, &fresh, guard).await {
            Ok(turn) => turn,
            Err(error) => {
                shared.store.remove(SPACE, &id).await?;
                return Err(error);
            }
        };
        Ok(ConversationTurn { turn, ahead: VecDeque::new(), keeping: Some(keeping), writing: None })
    }
}

impl Shared {
    async fn load(&self, id: &str) -> Result<Option<Record>> {
        let Some(bytes) = self.store.get(SPACE, id).await? else { return Ok(None) };
        // A record of another version is one we do not have.
        Ok(serde_json::from_slice(&bytes).ok())
    }

    async fn save(&self, id: &str, record: &Record) -> Result<()> {
        let bytes =
            serde_json::to_vec(record).map_err(|error| Error::store("saving a conversation", error))?;
        self.store.put(SPACE, id, Bytes::from(bytes)).await
    }
}

/// Reads until it is clear whether the session exists: the answer to `initialize`, which a CLI that does not
/// find its session never gives, or the turn's end.
async fn read_ahead(turn: &mut Turn) -> VecDeque<Event> {
    let mut ahead = VecDeque::new();
    while let Some(event) = turn.next().await {
        let clear = matches!(
            event,
            Event::ControlResponse(_)
                | Event::ControlRequest(_)
                | Event::Session(_)
                | Event::Finished(_)
                | Event::Error(_)
        );
        ahead.push_back(event);
        if clear || ahead.len() == MAX_AHEAD {
            break;
        }
    }
    ahead
}

fn is_unknown_session(event: &Event) -> bool {
    match event {
        Event::Finished(outcome) => outcome.failure() == Some(Failure::UnknownSession),
        // Some versions say it on stderr only.
        Event::Error(error) => error.stderr_tail().contains("No conversation found"),
        _ => false,
    }
}

/// A conversation's running turn: a [`Turn`] in all but the bookkeeping.
#[must_use = "dropping a turn stops it"]
pub struct ConversationTurn {
    turn: Turn,
    /// What was read to see whether the session exists.
    ahead: VecDeque<Event>,
    keeping: Option<Keeping>,
    /// A write to the store, and the event that comes after it.
    writing: Option<(BoxFuture<'static, Result<()>>, Option<Event>)>,
}

/// What the end of the turn may change in the store.
struct Keeping {
    shared: Arc<Shared>,
    id: String,
    record: Record,
    is_first: bool,
}

impl Keeping {
    /// What to write when the turn ends with `event`.
    fn write(self, event: &Event) -> Option<BoxFuture<'static, Result<()>>> {
        let Self { shared, id, mut record, is_first } = self;
        let reported = match event {
            Event::Finished(outcome) if outcome.is_success() => outcome.session_id.clone(),
            // Else the retry of a failed first message would find that message in its history.
            _ if is_first => return Some(async move { shared.store.remove(SPACE, &id).await }.boxed()),
            _ => None,
        };
        // Some versions go on under another id after a resume; the old one would be a branch without the rest.
        let session_id = reported.filter(|reported| *reported != record.session_id)?;
        record.session_id = session_id;
        Some(async move { shared.save(&id, &record).await }.boxed())
    }
}

impl ConversationTurn {
    /// A handle to end the turn from elsewhere.
    pub fn handle(&self) -> TurnHandle {
        self.turn.handle()
    }

    /// Reads the turn to its end, after which nothing of it runs.
    ///
    /// # Errors
    ///
    /// As [`Turn::outcome`].
    pub async fn outcome(mut self) -> Result<Outcome> {
        let mut result = Err(Error::stopped());
        while let Some(event) = self.next().await {
            match event {
                Event::Finished(outcome) => result = Ok(*outcome),
                Event::Error(error) => result = Err(error),
                _ => {}
            }
        }
        result
    }
}

impl Stream for ConversationTurn {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = &mut *self;
        if this.writing.is_none() {
            let event = match this.ahead.pop_front() {
                Some(event) => Some(event),
                None => std::task::ready!(this.turn.poll_next_unpin(context)),
            };
            let last = event.as_ref().filter(|event| matches!(event, Event::Finished(_) | Event::Error(_)));
            let write = last.and_then(|event| this.keeping.take()?.write(event));
            match write {
                Some(write) => this.writing = Some((write, event)),
                None => return Poll::Ready(event),
            }
        }
        let Some((write, event)) = &mut this.writing else { return Poll::Pending };
        if let Err(error) = std::task::ready!(write.poll_unpin(context)) {
            tracing::warn!(%error, "what became of a conversation could not be kept");
        }
        let event = event.take();
        this.writing = None;
        Poll::Ready(event)
    }
}

impl fmt::Debug for ConversationTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversationTurn").field("turn", &self.turn).finish_non_exhaustive()
    }
}
