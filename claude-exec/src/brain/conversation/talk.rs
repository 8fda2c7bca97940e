//! The brain: conversations by any id, over turns, failures and restarts.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use tokio::sync::oneshot;

use super::builder::BrainBuilder;
use super::exchange::Exchange;
use super::line::{Busy, Lines, Place};
use super::lock::Locked;
use super::message::Message;
use super::record::{Choices, Record, Records, Stored};
use super::turn::ConversationTurn;
use crate::brain::live::Live;
use crate::brain::order::Ending;
use crate::brain::pool::{Claimed, Origin, Pool};
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::invocation::{Invocation, SessionChoice, check_content};
use crate::protocol::Content;

/// The longest id of a conversation: room for any UUID, path or user id and whom it is of, and none for a document.
const MAX_ID_BYTES: usize = 512;

/// Conversations that go on: over turns, over failures, over evictions of their process and over restarts.
///
/// A conversation is any id of the caller's. Its turns run in a live process, from a pool: the first one in a process
/// started before anybody asked, later ones in the same process, and when that has gone, in another one that resumes
/// the session. The CLI loses history silently when two processes resume one session, so a conversation has one turn
/// at a time; [`Busy`] says what becomes of another.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use claude_exec::brain::Brain;
/// use claude_exec::executor::ScriptedCli;
///
/// let brain = Brain::builder(ScriptedCli::echo()).build()?; // or LocalExecutor::new()
/// let turn = brain.say("kitchen", "And tomorrow?").await?;
/// assert_eq!(turn.outcome().await?.text, "And tomorrow?");
/// assert_eq!(brain.history("kitchen").await?[0].answer, "And tomorrow?");
/// # Ok::<(), claude_exec::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Brain {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) pool: Pool,
    pub(super) invocation: Invocation,
    pub(super) records: Records,
    pub(super) lines: Lines,
    pub(super) locks: Option<PathBuf>,
    pub(super) busy: Busy,
    /// Tells this brain's live processes from another server's.
    pub(super) name: String,
}

/// All that a turn holds until its end; given back in this order.
struct Hold {
    #[expect(dead_code, reason = "for its drop")]
    guard: Option<Box<dyn Send>>,
    #[expect(dead_code, reason = "for its drop")]
    lock: Option<Locked>,
    place: Place,
}

/// A process for a conversation's next turn.
struct Opened {
    claimed: Claimed,
    stored: Stored,
    /// Its session is new.
    is_first: bool,
}

impl Brain {
    /// Begins to build a brain whose processes run on `executor`, in a pool of its own.
    pub fn builder(executor: impl Executor + 'static) -> BrainBuilder {
        BrainBuilder::new(executor)
    }

    /// Begins to build a brain whose processes come from `pool`, which others may use too.
    pub fn on(pool: Pool) -> BrainBuilder {
        BrainBuilder::on(pool)
    }

    /// Says something to the conversation `id`, and gives its turn once that has begun.
    ///
    /// A conversation that the CLI no longer has is begun anew, with a warning in the log: failing for ever would not
    /// bring it back. A first turn that failed leaves nothing, so that it can be tried again.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for an id that is empty or over 512 bytes, and for content or options that no
    /// turn can have; these cost nothing. [`is_queue_full`](Error::is_queue_full), [`is_conflict`](Error::is_conflict)
    /// or [`is_stopped`](Error::is_stopped) as [`Busy`] has it; [`is_conflict`](Error::is_conflict) too for an option
    /// that the conversation cannot change. Otherwise when the store cannot be used or no process be had.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the place in line back and says nothing; a turn that has begun already is
    /// interrupted.
    pub async fn say(&self, id: &str, message: impl Into<Message>) -> Result<ConversationTurn> {
        let message = message.into();
        check_id(id)?;
        check_content(&message.content)?;
        message.options.check()?;
        let busy = message.busy.unwrap_or(self.shared.busy);
        let place = self.shared.lines.enter(id, busy).await?;
        let overtaken = place.overtaken();
        tokio::select! {
            biased;
            () = overtaken => Err(Error::stopped()),
            turn = self.begin(id, message, place, busy) => turn,
        }
    }

    async fn begin(
        &self,
        id: &str,
        mut message: Message,
        place: Place,
        busy: Busy,
    ) -> Result<ConversationTurn> {
        let lock = self.lock(id, busy).await?;
        let admission = message.admission.take().map(Mutex::into_inner);
        let guard = match admission {
            Some(Ok(admission)) => Some(admission.await?),
            _ => None,
        };
        let opened = self.open(id, &message).await?;
        let hold = Hold { guard, lock, place };
        let (begun, is_begun) = oneshot::channel();
        // From here on a caller who leaves interrupts: what was said may have been heard.
        tokio::spawn(self.clone().run(id.to_owned(), message, opened, hold, begun));
        is_begun.await.unwrap_or_else(|_| Err(Error::stopped()))
    }

    /// Runs a turn to its end, whether it is read or not.
    async fn run(
        self,
        id: String,
        message: Message,
        opened: Opened,
        hold: Hold,
        begun: oneshot::Sender<Result<ConversationTurn>>,
    ) {
        let Opened { claimed, mut stored, mut is_first } = opened;
        // A process that waited may have died without a word; who finds that out is not to blame.
        let may_be_dead = matches!(claimed.origin(), Origin::Live | Origin::Spare);
        let (live, mut slot) = claimed.into_parts();
        let (mut turn, ending) = live.say_apart(&message.content, &message.options);
        let mut ending = ending.boxed();
        hold.place.begun(turn.handle());
        if may_be_dead && !turn.has_begun().await {
            ending.await;
            drop(slot);
            let opened = match self.open(&id, &message).await {
                Ok(opened) => opened,
                Err(error) => return drop(begun.send(Err(error))),
            };
            (stored, is_first) = (opened.stored, opened.is_first);
            let (live, again) = opened.claimed.into_parts();
            slot = again;
            let (said, ended) = live.say_apart(&message.content, &message.options);
            (turn, ending) = (said, ended.boxed());
            hold.place.begun(turn.handle());
        }
        let (done, is_done) = oneshot::channel();
        let session_id = stored.record.session_id.clone();
        let turn = ConversationTurn { turn, session_id, done: Some(is_done), held: None };
        drop(begun.send(Ok(turn)));
        let (ending, live) = ending.await;
        let live = self.shared.settle(&id, &message.content, stored, is_first, &ending, live).await;
        match live {
            Some(live) => slot.give_back(live),
            None => drop(slot),
        }
        drop(hold);
        let _left = done.send(());
    }

    async fn lock(&self, id: &str, busy: Busy) -> Result<Option<Locked>> {
        let Some(directory) = &self.shared.locks else { return Ok(None) };
        let limit = self.shared.invocation.get_deadlines().total;
        Locked::take(directory, id, busy, limit).await.map(Some)
    }

    /// A process for the conversation's next turn, with its record as it stands.
    async fn open(&self, id: &str, message: &Message) -> Result<Opened> {
        let Shared { pool, records, name, .. } = &*self.shared;
        let before = records.load(id).await?;
        let choices = match &before {
            Some(stored) => stored.record.choices.clone().with(message)?,
            None => Choices::of(message),
        };
        let invocation = self.shared.invocation_for(&choices);
        if let Some(stored) = &before
            && let Some(claimed) = self.resume(id, &stored.record, invocation.clone()).await?
        {
            let record = Record { choices, owner: name.clone(), ..stored.record.clone() };
            let unchanged = record == stored.record;
            let stored =
                if unchanged { stored.clone() } else { records.save(id, Some(stored), record).await? };
            return Ok(Opened { claimed, stored, is_first: false });
        }
        let claimed = pool.claim(&invocation.session(SessionChoice::New)).await?;
        let session_id = claimed.session_id().cloned().ok_or_else(Error::stopped)?;
        let turns = before.as_ref().map_or(0, |stored| stored.record.turns);
        let record = Record { session_id, owner: name.clone(), choices, turns };
        // Before anything is said: a crash in the first turn must find its session again.
        let stored = records.save(id, before.as_ref(), record).await?;
        Ok(Opened { claimed, stored, is_first: true })
    }

    /// The session that was, when the CLI still has it.
    async fn resume(&self, id: &str, record: &Record, invocation: Invocation) -> Result<Option<Claimed>> {
        let pool = &self.shared.pool;
        if record.owner != self.shared.name {
            pool.evict(&record.session_id); // another server may have gone on with it since
        }
        let resume = SessionChoice::Resume(record.session_id.clone());
        match pool.claim(&invocation.session(resume)).await {
            Err(error) if error.is_unknown_session() => {
                tracing::warn!(conversation = %id, "the CLI no longer has this session; it begins anew");
                Ok(None)
            }
            claimed => claimed.map(Some),
        }
    }

    /// What was said in the conversation, oldest first: its last 1,000 turns, those that failed included. Empty for
    /// one that does not exist.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for an id that no conversation can have, and when the store cannot be read.
    pub async fn history(&self, id: &str) -> Result<Vec<Exchange>> {
        check_id(id)?;
        self.shared.records.exchanges(id).await
    }

    /// Interrupts the turn under way, when there is one; what was said so far stays said. True when there was one.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for an id that no conversation can have.
    pub fn interrupt(&self, id: &str) -> Result<bool> {
        check_id(id)?;
        Ok(self.shared.lines.interrupt(id))
    }

    /// Forgets a conversation once its turn has ended, with its process and its history here; the next turn begins a
    /// new one. The CLI's own transcript of the session stays where the CLI keeps it.
    ///
    /// # Errors
    ///
    /// As [`say`](Self::say), and when the store cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it forgotten or not.
    pub async fn forget(&self, id: &str) -> Result<()> {
        check_id(id)?;
        let _place = self.shared.lines.enter(id, Busy::Wait).await?;
        let _lock = self.lock(id, Busy::Wait).await?;
        // A record that cannot be read can be forgotten too.
        if let Ok(Some(stored)) = self.shared.records.load(id).await {
            self.shared.pool.evict(&stored.record.session_id);
        }
        self.shared.records.remove(id).await
    }

    /// The pool that its processes come from.
    pub fn pool(&self) -> &Pool {
        &self.shared.pool
    }
}

impl Shared {
    fn invocation_for(&self, choices: &Choices) -> Invocation {
        let mut invocation = self.invocation.clone();
        if let Some(model) = &choices.model {
            invocation = invocation.model(model);
        }
        if let Some(cwd) = &choices.cwd {
            invocation = invocation.cwd(cwd);
        }
        if let Some(text) = &choices.system_prompt {
            invocation = invocation.system_prompt(text);
        }
        invocation
    }

    /// Keeps what became of a turn; gives the session back when it may be used again.
    async fn settle(
        &self,
        id: &str,
        content: &Content,
        stored: Stored,
        is_first: bool,
        ending: &Ending,
        live: Option<Live>,
    ) -> Option<Live> {
        let failed = match &ending.result {
            Ok(outcome) => !outcome.is_success(),
            Err(error) => !error.is_stopped(),
        };
        if is_first && failed {
            // Else the retry of a failed first message would find that message in its history.
            if let Err(error) = self.records.undo(id, &stored).await {
                tracing::warn!(conversation = %id, %error, "a first turn that failed could not be removed");
            }
            return None;
        }
        let mut record = stored.record.clone();
        if let Some(reported) = ending.result.as_ref().ok().and_then(|outcome| outcome.session_id.clone()) {
            // Some versions go on under another id after a resume; the old one would be a branch without the rest.
            record.session_id = reported;
        }
        let exchange = Exchange::new(content, &ending.said, &ending.result);
        match self.records.add(id, &stored, record, &exchange).await {
            Ok(_) => live,
            Err(error) => {
                tracing::warn!(conversation = %id, %error, "what became of a turn could not be kept");
                live.filter(|_| !error.is_conflict())
            }
        }
    }
}

fn check_id(id: &str) -> Result<()> {
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return Err(Error::invalid("session_id", format!("must have 1 to {MAX_ID_BYTES} bytes")));
    }
    Ok(())
}

impl fmt::Debug for Brain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brain").field("invocation", &self.shared.invocation).finish_non_exhaustive()
    }
}
